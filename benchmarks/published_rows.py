"""The random and ceiling rows of the HawkEye paper, by every simple reading of how they may have been made.

    python benchmarks/published_rows.py ANNOTATIONS

ANNOTATIONS holds charades_sta/ and activitynet_captions/ with the official files. Prints Markdown tables; the last column is
the largest difference from the paper in points. docs/evaluation.md says what follows from them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hawkeye.datasets.registry import load_dataset
from hawkeye.eval.metrics import THRESHOLDS, best_iou, pack_spans
from hawkeye.eval.oracle import THROUGHOUT, best_spans, choose, rule_spans, whole
from hawkeye.eval.tables import markdown_table

DRAWS = 20
PUBLISHED = {
    "charades-sta": ([30.0, 18.8, 6.2, 20.1], [100.0, 97.0, 69.2, 74.8]),
    "activitynet-captions": ([29.0, 15.1, 6.1, 23.0], [91.5, 84.6, 68.4, 71.9]),
}
Rows = Iterator[tuple[str, np.ndarray]]


def windows(
    gold: np.ndarray, durations: np.ndarray, lengths: np.ndarray
) -> Callable[[np.random.Generator], np.ndarray]:
    """Spans of these lengths (N,) at a uniformly drawn start inside the video."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        cut = np.minimum(lengths, durations)
        start = rng.random(len(durations)) * (durations - cut)
        return best_iou(np.stack([start, start + cut], axis=1), gold)

    return draw


def two_points(gold: np.ndarray, durations: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: best_iou(np.sort(rng.random((len(durations), 2)), axis=1) * durations[:, None], gold)


def random_choices(gold: np.ndarray, durations: np.ndarray, turns: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Any of the four choices with equal chance at each turn, until "throughout"."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        window, stopped = whole(durations), np.zeros(len(durations), dtype=bool)
        for _ in range(turns):
            choices = np.where(stopped, THROUGHOUT, rng.integers(0, 4, len(durations)))
            window, stopped = choose(window, choices), stopped | (choices == THROUGHOUT)
        return best_iou(window, gold)

    return draw


def random_rows(gold: np.ndarray, durations: np.ndarray) -> Rows:
    lengths = np.minimum(gold[:, 0, 1] - gold[:, 0, 0], durations)
    ways = {
        "two uniform points": two_points(gold, durations),
        "mean share of the video, uniform start": windows(gold, durations, durations * (lengths / durations).mean()),
        "mean seconds, uniform start": windows(gold, durations, np.full(len(durations), lengths.mean())),
        "true length, uniform start": windows(gold, durations, lengths),
        **{f"random choices, {n} turns": random_choices(gold, durations, n) for n in (1, 2, 3, 4)},
    }
    for name, draw in ways.items():
        rng = np.random.default_rng(0)
        yield name, np.concatenate([draw(rng) for _ in range(DRAWS)])


def ceiling_rows(gold: np.ndarray, durations: np.ndarray) -> Rows:
    cut = np.minimum(gold, durations[:, None, None])
    stretched = np.maximum(durations, gold[:, 0, 1])
    for turns in (2, 3, 4):
        yield f"best choices, {turns} turns", best_iou(best_spans(gold, durations, turns)[-1], gold)
        yield f"best choices, {turns} turns, spans cut at the end", best_iou(best_spans(cut, durations, turns)[-1], cut)
        longer = best_iou(best_spans(gold, stretched, turns)[-1], gold)
        yield f"best choices, {turns} turns, videos as long as their spans say", longer
        yield f"position rule, {turns} turns", best_iou(rule_spans(gold, durations, turns), gold)


def table(title: str, published: list[float], rows: Rows) -> str:
    lines = [[f"published {title}", *(f"{value:.1f}" for value in published), ""]]
    for name, ious in rows:
        values = [*(100 * (ious >= threshold).mean() for threshold in THRESHOLDS), 100 * ious.mean()]
        worst = max(abs(value - wanted) for value, wanted in zip(values, published, strict=True))
        lines.append([name, *(f"{value:.1f}" for value in values), f"{worst:.1f}"])
    return markdown_table([title, *(f"R1@{threshold}" for threshold in THRESHOLDS), "mIoU", "off by"], lines)


def main(annotations: Path) -> None:
    for name, files in (("charades-sta", "charades_sta"), ("activitynet-captions", "activitynet_captions/val_1.json")):
        examples = load_dataset(name, annotations / files).examples
        gold = pack_spans([example.spans for example in examples])
        durations = np.array([example.duration for example in examples])
        random_row, ceiling_row = PUBLISHED[name]
        print(f"\n## {name} ({files}): {len(examples)} sentences\n")
        print(table("random", random_row, random_rows(gold, durations)))
        print()
        print(table("ceiling", ceiling_row, ceiling_rows(gold, durations)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
