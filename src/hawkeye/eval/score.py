"""What a score is made of: named rows of metrics with error bars, and how many examples stand behind them.

Only values and their layout: what is computed is in grounding_score and qa_score, how it is printed in tables.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hawkeye.eval.bootstrap import DRAWS, Resampler

NOTHING_TO_SCORE = "so nothing can be scored: `hawkeye prepare submit` writes the file for the server"


@dataclass(frozen=True)
class Value:
    """A share (0 to 1) and its 95 % interval, where one was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ScoreRow:
    label: str
    count: int  # examples
    metrics: dict[str, Value]
    about: str = ""


@dataclass(frozen=True)
class Score:
    """``counts``: examples, scored, missing, errors, unread, ... ``sections``: name -> rows, such as per turn."""

    kind: str  # grounding or qa
    convention: str
    format: str
    matched_by: str
    counts: dict[str, int]
    overall: ScoreRow
    sections: dict[str, list[ScoreRow]] = field(default_factory=dict)
    references: list[ScoreRow] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


class Columns:
    """Metrics waiting for their error bars: each is a column of values and the rows it is about.

    All are resampled together at the end, which costs little more than one of them.
    """

    def __init__(self, groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0) -> None:
        self._groups, self._draws, self._seed = groups, draws, seed
        self._rows: list[tuple[str, str, np.ndarray, dict[str, np.ndarray], str]] = []

    def add(
        self, section: str, label: str, metrics: dict[str, np.ndarray], rows: np.ndarray | None = None, about: str = ""
    ) -> None:
        """``metrics``: name -> values of all N examples; ``rows``: booleans (N,), those that this row is about."""
        rows = np.ones(len(self._groups), dtype=bool) if rows is None else rows
        if rows.any():
            self._rows.append((section, label, rows, metrics, about))

    def finish(self) -> dict[str, list[ScoreRow]]:
        """Section -> rows, in the order they were added."""
        masks = np.stack([rows for _, _, rows, _, _ in self._rows], axis=1)
        values = [v for _, _, _, metrics, _ in self._rows for v in metrics.values()]
        mask_of = [i for i, (_, _, _, metrics, _) in enumerate(self._rows) for _ in metrics]
        if self._draws:
            intervals = Resampler(self._groups, self._draws, self._seed).intervals(
                np.stack(values, axis=1), masks, mask_of
            )
        else:
            intervals = [None] * len(values)
        bars = iter(intervals)
        sections: dict[str, list[ScoreRow]] = {}
        for section, label, rows, metrics, about in self._rows:
            named = {}
            for name, column in metrics.items():
                bar = next(bars)
                named[name] = Value(float(column[rows].mean()), bar and bar.low, bar and bar.high)
            sections.setdefault(section, []).append(ScoreRow(label, int(rows.sum()), named, about))
        return sections


def plain_row(label: str, count: int, metrics: dict[str, float], about: str = "") -> ScoreRow:
    """A row without error bars."""
    return ScoreRow(label, count, {name: Value(value) for name, value in metrics.items()}, about)


def groups_of(examples: Iterable[Any]) -> list[str]:
    """What is resampled: the video of each example."""
    return [example.video for example in examples]
