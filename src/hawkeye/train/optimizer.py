"""AdamW over named groups of the trainable parameters: which of them decay, and which learn at another rate.

It doesn't choose what is trainable; the model does. Source: reference ``utils/optimizer.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hawkeye.config import Config
from hawkeye.errors import ConfigError

if TYPE_CHECKING:
    import torch


class OptimizerConfig(Config):
    """AdamW. ``groups``: a regular expression on the parameter's name -> the learning rate of what it finds."""

    lr: float = Field(default=2e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)  # None: gradients are not clipped
    groups: dict[str, float] = Field(default_factory=dict)


def decays(name: str, parameter: torch.Tensor) -> bool:
    """Vectors and biases don't decay; query tokens and embeddings do (quirk T18)."""
    return parameter.ndim > 1 and not name.endswith(".bias")


def parameter_groups(
    named: Iterable[tuple[str, torch.nn.Parameter]], config: OptimizerConfig, undecayed: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Groups for the optimizer, each with the ``names`` of its parameters, in a stable order.

    ``undecayed``: names that must not decay although they could. Raises ConfigError if a group's pattern finds nothing.
    """
    patterns = []
    for pattern, lr in config.groups.items():
        try:
            patterns.append((pattern, re.compile(pattern), lr))
        except re.error as error:
            raise ConfigError(f"optimizer.groups: {pattern!r} is not a regular expression ({error})") from None
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    found = set()
    names = []
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        names.append(name)
        match = next(((text, rate) for text, compiled, rate in patterns if compiled.search(name)), None)
        lr = config.lr if match is None else match[1]
        found.add(match[0] if match else None)
        decay = config.weight_decay if decays(name, parameter) and name not in undecayed else 0.0
        group = groups.setdefault((lr, decay), {"params": [], "names": [], "lr": lr, "weight_decay": decay})
        group["params"].append(parameter)
        group["names"].append(name)
    unused = [pattern for pattern in config.groups if pattern not in found]
    if unused:
        raise ConfigError(
            f"optimizer.groups: {unused[0]!r} finds none of the {len(names)} trainable parameters, "
            f"which are called {', '.join(names[:3])}, ..."
        )
    return list(groups.values())


def build_optimizer(groups: list[dict[str, Any]], config: OptimizerConfig, fused: bool) -> torch.optim.AdamW:
    import torch

    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused or None)
