"""Published files -> one folder in this package's own format, tensor by tensor, so that memory stays small."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.hawkeye import published
from hawkeye.models.hawkeye.checkpoint import LoadReport, allow_fresh, collect, plain_shapes
from hawkeye.models.hawkeye.config import HawkEyeConfig, hawkeye_7b
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.folder import CONFIG_FILE, check_tokenizers, lay_over, save_tokenizers
from hawkeye.models.hawkeye.model import HawkEye, initial_value
from hawkeye.models.hawkeye.tensors import read_tensors, write_tensors
from hawkeye.models.hawkeye.tokenizers import (
    JSON_FILE,
    SENTENCEPIECE_FILE,
    WORDPIECE_FILE,
    JSONTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from hawkeye.records import read_json

PART_BYTES = 1 << 29
VICUNA_ROWS = 32001  # of vicuna v0, the last of which is cut off (quirk M8)
# transformers' name of a LLaMA setting -> ours
LLAMA_SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "intermediate_size": "mlp_width",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_kv_heads",
    "max_position_embeddings": "max_positions",
    "rms_norm_eps": "norm_eps",
    "rope_theta": "rope_theta",
    "tie_word_embeddings": "tie_embeddings",
}


def convert(
    sources: Sequence[str | Path],
    out: str | Path,
    config: HawkEyeConfig | None = None,
    bert_vocab: str | Path | None = None,
    dtype: torch.dtype | None = None,
    fresh: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> tuple[LoadReport, list[str]]:
    """Write ``out`` from ``sources``: weight files, a LLaMA folder, or a folder with the published layout; later ones win.

    ``config``: the model's settings, by default the paper's with the sizes of the LLaMA folder, or a converted folder's own.
    ``dtype`` None keeps each tensor's number type. ``fresh``: parts that may be missing and get initial values
    (`checkpoint.FRESH_PARTS`). ``ignore``: patterns of tensors to leave out. Returns the report, and warnings. Raises
    CheckpointError, ConfigError.
    """
    out = Path(out)
    if (out / CONFIG_FILE).exists():
        raise ConfigError(f"{out}: holds a model already: choose another folder, or remove it first")
    paths = _expand(sources)
    bases = [path for path in paths if path.is_dir()]
    settings = config or _settings(bases)
    tokenizers = _tokenizers(bases, bert_vocab)
    check_tokenizers(settings, tokenizers)
    with torch.device("meta"):
        model = HawkEye(settings)
    shapes = plain_shapes(model)
    tensors, report = collect([(str(path), read_tensors(path)) for path in paths], shapes, ignore)
    allow_fresh(report, fresh)
    report.check(", ".join(map(str, sources)))
    out.mkdir(parents=True, exist_ok=True)
    _check_space(out, shapes, tensors, dtype)
    write_tensors(out, _converted(tensors, shapes, dtype, report), PART_BYTES)
    save_tokenizers(tokenizers, out)
    settings.to_json(out / CONFIG_FILE)
    return report, [warning for base in bases for warning in published.base_warnings(base)]


def _expand(sources: Sequence[str | Path]) -> list[Path]:
    """Files and LLaMA folders, in the order in which they are laid over each other."""
    paths: list[Path] = []
    for source in map(Path, sources):
        if not source.exists():
            raise CheckpointError(f"{source}: no such file or folder; {published.how_to_get(None)}")
        layout = source.is_dir() and any((source / name).exists() for name in published.LAYOUT)
        paths += published.find_sources(source) if layout else [source]
    return paths


def _settings(bases: Sequence[Path]) -> HawkEyeConfig:
    """The paper's settings, with the sizes that the LLaMA folder tells; those of a folder that is converted already."""
    values: dict[str, Any] = {}
    for base in bases:
        path = base / CONFIG_FILE
        if path.is_file():
            told = read_json(path)
            if "vision" in told:
                return HawkEyeConfig.from_dict(told, source=str(path))
            values = {ours: told[theirs] for theirs, ours in LLAMA_SETTINGS.items() if told.get(theirs) is not None}
            if values.get("vocab_size") == VICUNA_ROWS:
                values["vocab_size"] = VICUNA_ROWS - 1
    return HawkEyeConfig.from_dict(lay_over(hawkeye_7b().model_dump(), {"language": values}), source="config.json")


def _tokenizers(bases: Sequence[Path], bert_vocab: str | Path | None) -> Tokenizers:
    own = [base / WORDPIECE_FILE for base in bases if (base / WORDPIECE_FILE).is_file()]
    words = WordPieceTokenizer(bert_vocab or next(iter(own), published.bert_words()))
    for base in bases:
        if (base / SENTENCEPIECE_FILE).is_file():
            return Tokenizers(SentencePieceTokenizer(base / SENTENCEPIECE_FILE), words)
        if (base / JSON_FILE).is_file():
            return Tokenizers(JSONTokenizer(base / JSON_FILE), words)
    raise CheckpointError(
        f"no {SENTENCEPIECE_FILE} in {', '.join(map(str, bases)) or 'the sources'}: give the folder of the LLaMA model "
        "(vicuna-7b-v0) with its tokenizer as one of the sources"
    )


def _check_space(
    out: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], dtype: torch.dtype | None
) -> None:
    needed = sum(
        torch.Size(shape).numel() * (dtype or (tensors[name].dtype if name in tensors else torch.float32)).itemsize
        for name, shape in shapes.items()
    )
    free = shutil.disk_usage(out).free
    if needed > free:
        raise CheckpointError(f"{out}: has {free / 1e9:.1f} GB free and the model needs {needed / 1e9:.1f} GB there")


def _converted(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype | None, report: LoadReport
) -> Iterator[tuple[str, Tensor]]:
    """Tensors one by one in the model's order. Raises CheckpointError for one that holds NaN."""
    generator = torch.Generator().manual_seed(0)
    for name, shape in shapes.items():
        tensor = tensors[name] if name in tensors else initial_value(name, shape, generator)
        tensor = tensor.to(dtype)
        if not all(bool(torch.isfinite(bound)) for bound in tensor.aminmax()):
            raise CheckpointError(f"{name} holds NaN or infinite values: its file is damaged, or {dtype} is too narrow")
        yield name, tensor
