"""Published weights -> this package's parameter names, and an account of every one of them.

The table `RENAMES` says what each name of the reference, of VideoChat2 and of a LLaMA folder becomes; an explicit None is
ignored on purpose. `fill` puts tensors into a model built on the meta device and returns a `LoadReport`, which `check`
turns into an error unless each parameter was loaded, or is allowed to start fresh, and each tensor was used or ignored.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hawkeye.errors import CheckpointError
from hawkeye.models.hawkeye.language import plain_name

RENAMES: tuple[tuple[str, str | None], ...] = (
    # vision: the block and the norm after the 23rd block are not used (quirk M3)
    (r"vision_encoder\.encoder\.blocks\.23\..*", None),
    (r"vision_encoder\.encoder\.norm\..*", None),
    (r"vision_encoder\.encoder\.(.*)", r"vision.\1"),
    (r"vision_layernorm\.(.*)", r"vision.norm.\1"),
    # Q-Former; the heads and projections of its pretraining tasks are not used
    (r"qformer\.bert\.embeddings\.position_ids", None),
    (r"qformer\.cls\..*", None),
    (r"(vision_proj|text_proj|itm_head|vtm_head)\..*", None),
    (r"temp", None),
    (r"qformer\.bert\.encoder\.layer\.(.*)", r"qformer.layers.\1"),
    (r"qformer\.bert\.(.*)", r"qformer.\1"),
    (r"((?:extra_)?query_tokens)", r"qformer.\1"),
    (r"llama_proj\.(.*)", r"projection.\1"),
    # language model, with and without peft's wrapping; rotary frequencies are computed (quirk M20)
    (r".*rotary_emb\.inv_freq", None),
    (r"llama_model\.(?:base_model\.model\.)?(.*)", r"language.\1"),
    # a folder of a LLaMA model
    (r"((?:model\.|lm_head\.).*)", r"language.\1"),
    # this package's own names
    (r"((?:vision|qformer|projection|language)\..*)", r"\1"),
)
FRESH_PARTS = {"lora": "*lora_*", "extra_query_tokens": "qformer.extra_query_tokens"}
TIED_HEAD = "language.lm_head.weight"  # the same weights as the embeddings, in a model that ties them
VOCABULARY = ("language.model.embed_tokens.weight", "language.lm_head.weight")


def rename(name: str) -> str | None:
    """Our plain name of a tensor, or None if it is ignored on purpose. Raises KeyError for a name that no rule knows."""
    for pattern, target in RENAMES:
        if (match := re.fullmatch(pattern, name)) is not None:
            return None if target is None else plain_name(match.expand(target))
    raise KeyError(name)


@dataclass
class LoadReport:
    """What became of every parameter and every tensor. Names of parameters are plain ones, of tensors those in the file."""

    loaded: dict[str, int] = field(default_factory=dict)  # parameter -> number of values
    missing: dict[str, int] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)  # allowed to be missing
    unexpected: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)  # "name: expected (..), got (..)"
    notes: list[str] = field(default_factory=list)

    def coverage(self) -> dict[str, float]:
        """Share of each part's values that were loaded, 0 to 1."""
        parts = sorted({_part(name) for name in (*self.loaded, *self.missing)})
        return {
            part: sum(n for name, n in self.loaded.items() if _part(name) == part)
            / max(1, sum(n for name, n in (*self.loaded.items(), *self.missing.items()) if _part(name) == part))
            for part in parts
        }

    def check(self, source: str) -> None:
        """Raises CheckpointError unless everything is accounted for."""
        lost = [name for name in self.missing if name not in self.fresh]
        problems = [
            _listed("parameters are missing", lost),
            _listed("tensors are unexpected", self.unexpected),
            _listed("shapes differ", self.mismatched),
        ]
        found = "; ".join(problem for problem in problems if problem)
        if found:
            parts = ", ".join(f"{part} {share:.0%}" for part, share in self.coverage().items())
            raise CheckpointError(f"{source}: {found}. Loaded: {parts or 'nothing'}. Is it for another model?")

    def __str__(self) -> str:
        lines = [f"{part}: {share:.1%} of its values loaded" for part, share in self.coverage().items()]
        lines += [
            f"{len(self.loaded)} parameters loaded, {len(self.missing)} missing ({len(self.fresh)} of them start fresh), "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} of another shape, {len(self.ignored)} ignored"
        ]
        return "\n".join(lines + self.notes)


def _part(name: str) -> str:
    return "lora" if "lora_" in name else name.partition(".")[0]


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""


def collect(
    sources: Iterable[tuple[str, Mapping[str, Tensor]]],
    shapes: Mapping[str, tuple[int, ...]],
    ignore: Iterable[str] = (),
) -> tuple[dict[str, Tensor], LoadReport]:
    """Tensors under plain names, those of later sources in place of earlier ones'.

    ``shapes`` are the model's; ``ignore``: patterns (``*`` matches anything) of tensor names to leave out as well.
    """
    report, found = LoadReport(), {}
    patterns = list(ignore)
    for _, tensors in sources:
        for name, tensor in tensors.items():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                report.ignored.append(name)
                continue
            try:
                target = rename(name)
            except KeyError:
                report.unexpected.append(name)
                continue
            if target is None or (target == TIED_HEAD and target not in shapes):
                report.ignored.append(name)
            elif target not in shapes:
                report.unexpected.append(name)
            else:
                found[target] = _cut_vocabulary(target, tensor, shapes[target], report)
    for name, shape in shapes.items():
        if name not in found:
            report.missing[name] = _size(shape)
        elif tuple(found[name].shape) != shape:
            report.mismatched.append(f"{name}: expected {shape}, got {tuple(found[name].shape)}")
        else:
            report.loaded[name] = _size(shape)
    return found, report


def _cut_vocabulary(name: str, tensor: Tensor, shape: tuple[int, ...], report: LoadReport) -> Tensor:
    """vicuna v0 has a row for padding after the 32000 of the tokenizer; it is cut off (quirk M8)."""
    if name in VOCABULARY and tensor.ndim == 2 and tensor.shape[0] == shape[0] + 1:
        report.notes.append(f"{name}: cut from {tensor.shape[0]} to {shape[0]} rows")
        return tensor[: shape[0]]
    return tensor


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def allow_fresh(report: LoadReport, parts: Iterable[str]) -> None:
    """Let the named `FRESH_PARTS` be missing. Raises CheckpointError for an unknown part."""
    for part in parts:
        if part not in FRESH_PARTS:
            raise CheckpointError(f"fresh part {part!r} is unknown: expected {' or '.join(FRESH_PARTS)}")
        report.fresh += [name for name in report.missing if fnmatch.fnmatchcase(name, FRESH_PARTS[part])]


def plain_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {plain_name(name): tuple(parameter.shape) for name, parameter in model.named_parameters()}


def assign(model: nn.Module, tensors: Mapping[str, Tensor], place: Callable[[str, Tensor], Tensor]) -> None:
    """Give the parameters that ``tensors`` names their values, as ``place`` puts them (device, number type), one by one."""
    for name, parameter in list(model.named_parameters()):
        plain = plain_name(name)
        if plain in tensors:
            owner, _, last = name.rpartition(".")
            value = place(plain, tensors[plain])
            setattr(model.get_submodule(owner), last, nn.Parameter(value, requires_grad=parameter.requires_grad))


@torch.no_grad()
def check_finite(model: nn.Module, source: str) -> None:
    """Raises CheckpointError naming the first parameter that holds NaN or infinity."""
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or parameter.is_meta:
            continue
        lowest, highest = parameter.aminmax()  # both are NaN if any value is
        if not (bool(torch.isfinite(lowest)) and bool(torch.isfinite(highest))):
            raise CheckpointError(f"{source}: {plain_name(name)} holds NaN or infinite values: the file is damaged")
