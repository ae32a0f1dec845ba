"""This package's own model folder: ``config.json``, ``model.safetensors`` (or numbered parts), and the tokenizers' files.

Parameter names in it do not depend on whether adapters are attached; adapters lie in it as ``...lora_A.weight``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hawkeye.errors import AnnotationError, CheckpointError, ConfigError
from hawkeye.models.hawkeye.config import HawkEyeConfig
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tensors import write_tensors
from hawkeye.models.hawkeye.tokenizers import (
    JSON_FILE,
    SENTENCEPIECE_FILE,
    WORDPIECE_FILE,
    JSONTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)

CONFIG_FILE = "config.json"


def save_folder(model: HawkEye, folder: str | Path) -> Path:
    """Write ``model`` so that `load.load_folder` gives it back. ``config.json`` comes last: without it the folder is no model."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    write_tensors(folder, ((name, parameter) for name, parameter in model.plain_parameters()))
    save_tokenizers(model.tokenizers, folder)
    model.config.to_json(folder / CONFIG_FILE)
    return folder


def save_tokenizers(tokenizers: Tokenizers, folder: Path) -> None:
    tokenizers.language.save(folder)
    tokenizers.qformer.save(folder)


def read_config(folder: Path, changes: Mapping[str, Any] | None = None) -> HawkEyeConfig:
    """Raises CheckpointError if the folder holds no model of ours, ConfigError for an impossible change."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder}: is not a converted model (no {CONFIG_FILE}): make one with  hawkeye convert")
    try:
        config = HawkEyeConfig.from_json(path)
    except (ConfigError, AnnotationError) as error:
        raise CheckpointError(f"{error}: expected a model that hawkeye convert or training wrote") from None
    return HawkEyeConfig.from_dict(lay_over(config.model_dump(), changes), source="changes") if changes else config


def lay_over(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over ``values``, group by group."""
    result = dict(values)
    for key, change in changes.items():
        below = result.get(key)
        result[key] = lay_over(below, change) if isinstance(below, dict) and isinstance(change, Mapping) else change
    return result


def read_tokenizers(folder: Path) -> Tokenizers:
    """Raises CheckpointError naming the file that is missing or broken."""
    words = folder / WORDPIECE_FILE
    if not words.is_file():
        raise CheckpointError(f"{folder}: has no {WORDPIECE_FILE} (BERT's vocab.txt): run  hawkeye convert  again")
    if (folder / SENTENCEPIECE_FILE).is_file():
        return Tokenizers(SentencePieceTokenizer(folder / SENTENCEPIECE_FILE), WordPieceTokenizer(words))
    if (folder / JSON_FILE).is_file():
        return Tokenizers(JSONTokenizer(folder / JSON_FILE), WordPieceTokenizer(words))
    raise CheckpointError(f"{folder}: has no tokenizer ({SENTENCEPIECE_FILE} or {JSON_FILE}) of the language model")


def check_tokenizers(config: HawkEyeConfig, tokenizers: Tokenizers) -> None:
    """Raises CheckpointError if a tokenizer knows more tokens than the model has embeddings for."""
    for what, has, tokenizer in (
        ("language model", config.language.vocab_size, tokenizers.language),
        ("Q-Former", config.qformer.vocab_size, tokenizers.qformer),
    ):
        if tokenizer.vocab_size > has:
            raise CheckpointError(
                f"the {what} has embeddings for {has} tokens and its tokenizer knows {tokenizer.vocab_size}: "
                "they do not belong together"
            )
