"""From files to a model that answers: published weights, or a folder in this package's own format (`folder`).

`load_7b` and `load_folder` are what the registry of models names. Weights are memory-mapped and put in place one by one, so
that loading needs little more memory than the model itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.hawkeye import published
from hawkeye.models.hawkeye.checkpoint import (
    LoadReport,
    allow_fresh,
    assign,
    check_finite,
    collect,
    plain_shapes,
)
from hawkeye.models.hawkeye.config import HawkEyeConfig, hawkeye_7b
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.folder import (
    CONFIG_FILE,
    check_tokenizers,
    lay_over,
    read_config,
    read_tokenizers,
    save_folder,
)
from hawkeye.models.hawkeye.language import merge_lora, quantize, settle
from hawkeye.models.hawkeye.model import Decoding, HawkEye, initial_value
from hawkeye.models.hawkeye.placement import check_memory, offload_language
from hawkeye.models.hawkeye.published import describe_weights
from hawkeye.models.hawkeye.tensors import read_tensors
from hawkeye.runtime import pick_device, pick_dtype

__all__ = ["Options", "describe_weights", "load_7b", "load_folder", "put_together", "save_folder"]

Sources = Sequence[tuple[str, Mapping[str, Tensor]]]  # (where from, tensors by name); later ones win


@dataclass(frozen=True)
class Options:
    """How to load.

    ``adapters``: "merge" them into the language model for answering, or "keep" them apart for training (fresh ones if there
    are none). ``vision_device``: another device for the vision tower. ``offload``: the language model stays in the CPU's
    memory and visits the device layer by layer. ``changes``: settings laid over the model's own, such as
    ``{"language": {"lora": {"rank": 8}}}``. ``dtype`` may also be "stored": as it is in the files.
    """

    device: str = "auto"
    dtype: str = "auto"
    decoding: Decoding = "best"
    quantize: Literal["8bit", "4bit"] | None = None
    vision_device: str | None = None
    offload: bool = False
    adapters: Literal["merge", "keep"] = "merge"
    changes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, known in (("decoding", ("best", "exact")), ("adapters", ("merge", "keep"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: expected {' or '.join(known)}")
        if self.quantize not in (None, "8bit", "4bit"):
            raise ConfigError(f"quantize is {self.quantize!r}: expected 8bit or 4bit")
        if self.quantize and (self.offload or self.adapters == "keep"):
            raise ConfigError("quantize goes neither with offload nor with adapters='keep': choose one")


def load_folder(weights: str | Path | None, device: str = "auto", dtype: str = "auto", **options: Any) -> HawkEye:
    """A model that `folder.save_folder` or ``hawkeye convert`` wrote, in evaluation mode. ``options``: those of `Options`.

    Raises CheckpointError, ConfigError, MissingDependency.
    """
    if not weights:
        raise ConfigError("give the folder of a converted model with --weights, or as the model's name")
    chosen = _options(device, dtype, options)
    folder = Path(weights)
    config = read_config(folder, chosen.changes)
    return _load(config, read_tokenizers(folder), [(str(folder), read_tensors(folder))], str(folder), chosen)


def load_7b(weights: str | Path | None = None, device: str = "auto", dtype: str = "auto", **options: Any) -> HawkEye:
    """The paper's model from the published files, or from the folder that ``hawkeye convert`` made of them.

    Raises CheckpointError that lists the files to fetch, from where, if any is missing.
    """
    if not weights:
        raise CheckpointError(published.how_to_get(None))
    folder = Path(weights)
    if (folder / CONFIG_FILE).is_file() and not (folder / published.ADAPTER_FILE).exists():
        return load_folder(folder, device, dtype, **options)
    chosen = _options(device, dtype, options)
    sources = published.find_sources(folder)
    for warning in published.base_warnings(sources[0]):
        warnings.warn(warning, stacklevel=2)
    config = HawkEyeConfig.from_dict(lay_over(hawkeye_7b().model_dump(), chosen.changes or {}), source="changes")
    tensors = [(str(source), read_tensors(source)) for source in sources]
    return _load(config, published.read_tokenizers(folder), tensors, str(folder), chosen)


def _options(device: str, dtype: str, options: Mapping[str, Any]) -> Options:
    unknown = sorted(set(options) - {f.name for f in fields(Options)})
    if unknown:
        raise ConfigError(f"a HawkEye model has no option {', '.join(unknown)}")
    return Options(device, dtype, **options)


def _load(config: HawkEyeConfig, tokenizers: Tokenizers, sources: Sources, source: str, options: Options) -> HawkEye:
    has_adapters = any("lora_" in name for _, tensors in sources for name in tensors)
    model, report = put_together(
        config,
        tokenizers,
        sources,
        options,
        lora=config.language.lora is not None and (has_adapters or options.adapters == "keep"),
        fresh=() if has_adapters else ("lora",),
    )
    report.check(source)
    check_finite(model, source)
    model.decoding = options.decoding
    if options.adapters == "merge":
        merge_lora(model.language)
        model.requires_grad_(False)
    if options.quantize:
        quantize(model.language, options.quantize)
        model.language.to(model.device)
        settle(model.language, model.device)
    if options.offload:
        offload_language(model)
    return model.eval()


def put_together(
    config: HawkEyeConfig,
    tokenizers: Tokenizers | None,
    sources: Sources,
    options: Options | None = None,
    lora: bool = True,
    fresh: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> tuple[HawkEye, LoadReport]:
    """A model from named tensors, each put on its device in its number type as it comes; and what became of each.

    ``fresh``: parts that may be missing (`checkpoint.FRESH_PARTS`). ``ignore``: patterns of tensors to leave out. The caller
    checks the report; where it is bad, parameters stay on the meta device. Raises CheckpointError if memory is too small.
    """
    options = options or Options()
    main = pick_device(options.device)
    dtype = None if options.dtype == "stored" else pick_dtype(options.dtype, main)
    with torch.device("meta"):
        model = HawkEye(config, tokenizers, lora)
    if tokenizers is not None:
        check_tokenizers(config, tokenizers)
    if dtype is not None and not options.offload and not options.quantize:
        check_memory(model, main, dtype)
    tensors, report = collect(sources, plain_shapes(model), ignore)
    allow_fresh(report, fresh)
    if report.mismatched:
        return model, report
    places = {
        "vision": pick_device(options.vision_device) if options.vision_device else main,
        "language": torch.device("cpu") if options.offload or options.quantize else main,
    }

    def place(name: str, tensor: Tensor) -> Tensor:
        return tensor.to(places.get(name.partition(".")[0], main), dtype)

    generator = torch.Generator().manual_seed(0)
    shapes = plain_shapes(model)
    assign(model, tensors, place)
    assign(model, {name: initial_value(name, shapes[name], generator) for name in report.fresh}, place)
    settle(model.language, places["language"])
    return model, report
