"""Error bars by resampling videos: 95 % intervals of any mean, and of the difference of two runs.

Queries about one video are not independent, so whole videos are drawn with replacement (a cluster bootstrap), and every
metric is the ratio of two sums over the drawn videos. All metrics see the same draws, which makes differences paired.

Drawing V videos from V is a row of counts that add up to V. The counts of a block of draws form a small matrix, and
multiplying it with the per-video sums gives every metric of every draw at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hawkeye.runtime import seed_for

DRAWS = 1000
LEVEL = 0.95
CELLS = 1_500_000  # counts held at once: the block stays within the processor's cache


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


class Resampler:
    """``groups``: the video of each row. The same videos, draws and seed give the same resamples."""

    def __init__(self, groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0) -> None:
        numbers: dict[Hashable, int] = {}
        self._group = np.array([numbers.setdefault(g, len(numbers)) for g in groups], dtype=np.int64)
        self.num_groups = len(numbers)
        self._draws = draws
        self._seed = seed_for(seed, "bootstrap")

    def means(self, values: np.ndarray, masks: np.ndarray | None = None, mask_of: Sequence[int] = ()) -> np.ndarray:
        """Resampled means of each column of ``values`` (N, M) -> (draws, M).

        ``masks`` (N, B) of booleans and ``mask_of`` (M numbers below B) restrict a column to some rows; without them every
        row counts. NaN where a draw holds none of a column's rows.
        """
        if masks is None:
            masks, mask_of = np.ones((len(values), 1), dtype=bool), [0] * values.shape[1]
        counted = np.where(masks[:, list(mask_of)], values, 0)
        totals = self._resample(self._by_group(np.concatenate([counted, masks], axis=1, dtype=np.float32)))
        above, below = totals[:, : values.shape[1]], totals[:, values.shape[1] :][:, list(mask_of)]
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

    def intervals(
        self, values: np.ndarray, masks: np.ndarray | None = None, mask_of: Sequence[int] = ()
    ) -> list[Interval | None]:
        """The interval of each column's mean, as in `means`; None where there is nothing to resample."""
        if self.num_groups == 0:
            return [None] * values.shape[1]
        return [percentile_interval(column) for column in self.means(values, masks, mask_of).T]

    def _by_group(self, columns: np.ndarray) -> np.ndarray:
        if self.num_groups == len(self._group):
            return columns  # a video a row, already in order
        order = np.argsort(self._group, kind="stable")
        starts = np.searchsorted(self._group[order], np.arange(self.num_groups))
        return np.add.reduceat(columns[order], starts, axis=0)

    def _resample(self, sums: np.ndarray) -> np.ndarray:
        size = self.num_groups
        rng = np.random.Generator(np.random.SFC64(self._seed))
        block = max(1, CELLS // size)
        totals = []
        for start in range(0, self._draws, block):
            drawn = rng.integers(0, size, (min(block, self._draws - start), size), dtype=np.int32)
            counts = np.empty(drawn.shape, dtype=np.float32)
            for i, row in enumerate(drawn):
                counts[i] = np.bincount(row, minlength=size)
            totals.append(counts @ sums)
        return np.concatenate(totals).astype(np.float64)


def percentile_interval(draws: np.ndarray, level: float = LEVEL) -> Interval | None:
    """The middle ``level`` of the draws; None if all are NaN."""
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Difference:
    """Second run minus first. ``p_value``: two-sided, from the share of draws on the other side of zero."""

    value: float
    interval: Interval
    p_value: float


def paired_difference(
    first: np.ndarray, second: np.ndarray, groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0
) -> list[Difference]:
    """Compare two runs on the same rows: (N, M), (N, M) -> a `Difference` for each of the M metrics."""
    change = second - first
    resampled = Resampler(groups, draws, seed).means(change)
    found = []
    for value, column in zip(change.mean(axis=0), resampled.T, strict=True):
        interval = percentile_interval(column)
        assert interval is not None
        # One is added so that no finite number of draws can claim certainty.
        below, above = ((column <= 0).sum() + 1) / (draws + 1), ((column >= 0).sum() + 1) / (draws + 1)
        found.append(Difference(float(value), interval, float(min(1.0, 2 * min(below, above)))))
    return found
