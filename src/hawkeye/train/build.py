"""From the model's block of the config to a model that is ready to learn: weights, tokenizers, and what is trainable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import PRESETS, HawkEyeConfig
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.folder import CONFIG_FILE, check_tokenizers, lay_over, read_config, read_tokenizers
from hawkeye.models.hawkeye.load import load_folder
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.runtime import pick_dtype, seed_for
from hawkeye.train.config import TrainConfig
from hawkeye.train.new_tokens import extended_tokenizers, grow, knows, train_new_rows
from hawkeye.train.representations import Representation, frame_tokens


def build_model(config: TrainConfig, device: torch.device) -> tuple[HawkEye, frozenset[str]]:
    """The model in float32, and the names of parameters that must not decay.

    Raises ConfigError for an unknown start, CheckpointError for a folder that is no model.
    """
    wanted = config.model
    settings, tokenizers = settings_of(config)
    if wanted.start in PRESETS:
        model = HawkEye.fresh(settings, tokenizers, seed_for(config.seed, "weights"))
        _scale_matrices(model, wanted.weight_scale)
    else:
        # Fully trained weights have no use for adapters beside them.
        adapters = "merge" if wanted.language == "full" else "keep"
        model = load_folder(wanted.start, str(device), "float32", adapters=adapters, changes=_changes(config))
    model.set_trainable(wanted.train_vision, wanted.train_qformer, wanted.language)
    undecayed: frozenset[str] = frozenset()
    if words := new_words(config):
        if not knows(tokenizers, words):
            folder = config.output / "tokenizers"
            more = extended_tokenizers(tokenizers, words, folder, settings.qformer.vocab_size)
            grow(model, more, torch.Generator().manual_seed(seed_for(config.seed, "new tokens")))
        undecayed = train_new_rows(model, words)
    if wanted.gradient_checkpointing:
        model.set_gradient_checkpointing(True)
    if wanted.compile:
        # Part by part: the whole has steps whose shapes depend on the data.
        for part in (model.vision, model.qformer, *model.language.model.layers):
            part.compile()
    return model, undecayed


def model_shape(config: TrainConfig, scratch: Path) -> tuple[HawkEye, Tokenizers]:
    """The same model on the meta device, without weights, and the tokenizers it would have (new files in ``scratch``)."""
    settings, tokenizers = settings_of(config)
    with torch.device("meta"):
        model = HawkEye(settings, tokenizers, lora=settings.language.lora is not None)
    model.set_trainable(config.model.train_vision, config.model.train_qformer, config.model.language)
    words = new_words(config)
    if words and not knows(tokenizers, words):
        tokenizers = extended_tokenizers(tokenizers, words, scratch, settings.qformer.vocab_size)
    return model, tokenizers


def settings_of(config: TrainConfig) -> tuple[HawkEyeConfig, Tokenizers]:
    """The model's settings and tokenizers, from its folder or preset; no weights are read."""
    wanted, changes = config.model, _changes(config)
    folder = Path(wanted.start)
    if (folder / CONFIG_FILE).is_file():
        return read_config(folder, changes), read_tokenizers(folder)
    if wanted.start not in PRESETS:
        raise ConfigError(
            f"model.start: {wanted.start!r} is neither a folder that hawkeye convert or training wrote, nor one of the "
            f"presets {', '.join(PRESETS)}"
        )
    if wanted.tokenizers is None:
        raise ConfigError(f"model.tokenizers: the preset {wanted.start} needs the folder of its tokenizers' files")
    if wanted.language == "full":
        changes = lay_over(changes, {"language": {"lora": None}})
    tokenizers = read_tokenizers(wanted.tokenizers)
    preset = PRESETS[wanted.start]()
    rows = {  # a preset grows with its tokenizers
        "language": {"vocab_size": max(preset.language.vocab_size, tokenizers.language.vocab_size)},
        "qformer": {"vocab_size": max(preset.qformer.vocab_size, tokenizers.qformer.vocab_size)},
    }
    settings = HawkEyeConfig.from_dict(lay_over(lay_over(preset.model_dump(), rows), changes), "model.settings")
    check_tokenizers(settings, tokenizers)
    return settings, tokenizers


@torch.no_grad()
def _scale_matrices(model: HawkEye, scale: float) -> None:
    """Random weights are made for wide layers. Embeddings, query tokens and adapters stay as they are."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not any(part in name for part in ("embed", "query_tokens", "lora_")):
            parameter.mul_(scale)


def new_words(config: TrainConfig) -> list[str]:
    """The words that the sources' representations add to the tokenizers."""
    wanted = any(source.representation is Representation.FRAME_TOKEN for source in config.data.sources)
    return frame_tokens(config.data.num_frames) if wanted else []


def _changes(config: TrainConfig) -> dict[str, Any]:
    own = {"num_frames": config.data.num_frames, "bos_quirk": config.model.bos_quirk}
    return lay_over(own, unfold(config.model.settings))


def unfold(settings: dict[str, Any]) -> dict[str, Any]:
    """``{"language.lora.rank": 8}`` -> ``{"language": {"lora": {"rank": 8}}}``."""
    result: dict[str, Any] = {}
    for path, value in settings.items():
        nested: Any = value
        for part in reversed(path.split(".")):
            nested = {part: nested}
        result = lay_over(result, nested)
    return result


def cast_frozen(model: HawkEye, precision: str, device: torch.device) -> torch.dtype:
    """The number type of the forward pass. Frozen weights take it for good: autocast would cast them at every use."""
    dtype = pick_dtype(precision, device)
    if dtype is not torch.float32:
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(dtype)
    return dtype
