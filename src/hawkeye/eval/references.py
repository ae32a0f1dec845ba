"""Spans that need no model, to print beside every score: random, the whole video, priors, and the scheme's ceilings.

How the published rows were made is told in docs/evaluation.md; nothing here looks at a video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hawkeye.eval.metrics import THRESHOLDS, best_iou
from hawkeye.eval.oracle import best_spans, rule_spans, whole
from hawkeye.runtime import seed_for

RANDOM_DRAWS = 20  # spans a query: the mean of a few is steadier than one draw, and the row is an expectation anyway
PRIOR_GRID = 40  # borders of the fixed span are multiples of 1/40 of the video
PRIOR_ROWS = 20_000  # training spans that the fixed span is fitted on, at most


@dataclass(frozen=True)
class Reference:
    """One row: a name, and for each of the rows (N,) the IoU it gets, averaged over ``draws`` spans (N, draws)."""

    name: str
    about: str
    ious: np.ndarray  # (N, draws)

    def metrics(self, strict: bool = False) -> dict[str, float]:
        """R@1 at each threshold and mIoU, as shares."""
        hits = {f"R1@{t}": (self.ious > t if strict else self.ious >= t).mean() for t in THRESHOLDS}
        return {name: float(value) for name, value in {**hits, "mIoU": self.ious.mean()}.items()}


def references(
    gold: np.ndarray, durations: np.ndarray, turns: int, train_shares: np.ndarray | None = None, seed: int = 0
) -> Iterator[Reference]:
    """The rows for true spans (N, G, 2) in videos of ``durations`` (N,) seconds.

    ``train_shares``: spans of the training split as shares of their videos (M, 2); adds the two priors.
    """
    rng = np.random.default_rng(seed_for(seed, "references"))
    lengths = train_shares if train_shares is not None else _first_spans(gold) / durations[:, None]
    share = float(np.clip(lengths[:, 1] - lengths[:, 0], 0, 1).mean())
    source = "training" if train_shares is not None else "these"
    yield Reference(
        "random",
        f"{share:.1%} of the video (the mean of {source} spans), placed anywhere with equal chance",
        _random_windows(gold, durations, share, rng),
    )
    yield Reference("throughout", "always the whole video", best_iou(whole(durations), gold)[:, None])
    if train_shares is not None:
        fixed = best_fixed_span(train_shares)
        yield Reference(
            "train prior, fixed",
            f"always {fixed[0]:.1%} to {fixed[1]:.1%}, the span of highest mIoU on the training split",
            best_iou(durations[:, None] * fixed, gold)[:, None],
        )
        yield Reference(
            "train prior, drawn", "a span drawn from the training split", _drawn(gold, durations, train_shares, rng)
        )
    for n in range(1, turns + 1):
        ious = best_iou(rule_spans(gold, durations, n), gold)
        yield Reference(
            f"oracle, {_turns(n)}, position rule",
            "every choice right by position: what the labels teach",
            ious[:, None],
        )
    about = "the best window that can be reached: the ceiling of the scheme"
    for n, spans in enumerate(best_spans(gold, durations, turns)[1:], 1):
        yield Reference(f"oracle, {_turns(n)}, best choices", about, best_iou(spans, gold)[:, None])


def best_fixed_span(shares: np.ndarray, grid: int = PRIOR_GRID) -> np.ndarray:
    """The one span (as shares of the video) of highest mean IoU with ``shares`` (M, 2): (2,)."""
    step = max(1, len(shares) // PRIOR_ROWS)
    gold = shares[::step, None, :]
    edges = np.arange(grid + 1) / grid
    spans = edges[np.stack(np.triu_indices(grid + 1, k=1), axis=1)]
    means = [best_iou(np.broadcast_to(span, (len(gold), 2)), gold).mean() for span in spans]
    return spans[int(np.argmax(means))]


def _first_spans(gold: np.ndarray) -> np.ndarray:
    return gold[:, 0]


def _random_windows(gold: np.ndarray, durations: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    columns = []
    for _ in range(RANDOM_DRAWS):
        start = rng.random(len(durations)) * (1 - share)
        columns.append(best_iou(durations[:, None] * np.stack([start, start + share], axis=1), gold))
    return np.stack(columns, axis=1)


def _drawn(gold: np.ndarray, durations: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picks = rng.integers(0, len(shares), (RANDOM_DRAWS, len(durations)))
    return np.stack([best_iou(durations[:, None] * shares[row], gold) for row in picks], axis=1)


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count} turns"
