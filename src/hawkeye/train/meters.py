"""What a run tells about itself: losses by source, and how fast it goes. Sums of numbers; no files, no clock of its own."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from hawkeye.models.hawkeye.conversation import IGNORED
from hawkeye.models.hawkeye.model import LossOutput
from hawkeye.train.loader import Loaded

LOSS, LEARNED, ITEMS, TOKENS = range(4)  # columns of `Losses.sums`


class Losses:
    """Sums over the items seen: loss, learned tokens, items, text and visual tokens; one row a source."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names = list(names)
        self.sums = torch.zeros(len(self.names), 4, dtype=torch.float64, device=device)

    def add(self, loaded: Loaded, output: LossOutput, batch: Any) -> None:
        rows = torch.stack(
            [
                -output.token_log_probs.sum(dim=1).double(),
                (batch.labels[:, 1:] != IGNORED).sum(dim=1).double(),
                torch.ones(len(loaded.ids), dtype=torch.float64, device=self.sums.device),
                batch.attention_mask.sum(dim=1).double(),
            ],
            dim=1,
        )
        self.sums.index_add_(0, loaded.sources.to(self.sums.device), rows)

    @staticmethod
    def values(names: Sequence[str], sums: torch.Tensor) -> dict[str, float]:
        """Mean loss a learned token, over all and by source; sources that were not met are left out."""
        total = sums.sum(dim=0)
        values = {"loss": float(total[LOSS] / total[LEARNED].clamp_min(1))}
        for name, row in zip(names, sums, strict=True):
            if row[LEARNED] > 0:
                values[f"loss/{name}"] = float(row[LOSS] / row[LEARNED])
        return values


@dataclass(frozen=True)
class Step:
    """What one step did. Sums are over all processes."""

    loss: float  # mean a learned token
    lr: float
    samples: int
    tokens: int
    grad_norm: float
    seconds: float
    waited: float  # seconds of them, for data
    stop: bool  # some rank was asked to stop
    skipped: bool  # the loss was not finite, and nothing was learned


@dataclass
class Clock:
    """Sums over the steps since the last logged one."""

    seconds: float = 0.0
    waited: float = 0.0
    samples: int = 0
    tokens: int = 0

    def add(self, step: Step) -> None:
        self.seconds += step.seconds
        self.waited += step.waited
        self.samples += step.samples
        self.tokens += step.tokens


@dataclass(frozen=True)
class Progress:
    """Told after each step to whoever listens. ``values``: what was logged at this step, if anything."""

    step: int  # steps done
    total_steps: int
    epoch: float
    last: Step
    memory: float  # GiB at the highest
    values: dict[str, float] = field(default_factory=dict)


def peak_memory(device: torch.device) -> float:
    """GiB at the highest: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
