"""The metrics of temporal grounding, for all rows at once. NumPy only; it knows no files and no conventions.

N rows, K ranked spans a row, G true spans a row. Missing spans are NaN, and NaN never overlaps anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THRESHOLDS = (0.3, 0.5, 0.7)
MAP_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
MAP_SPANS = 10  # predicted spans a query that mAP looks at, as QVHighlights' own script does

NOWHERE = (float("nan"), float("nan"))


def pack_spans(rows: Sequence[Sequence[Sequence[float]]], width: int | None = None) -> np.ndarray:
    """Lists of ``[start, end, ...]`` of any length -> float64 (N, width or the longest, 2), the rest NaN."""
    width = max((len(row) for row in rows), default=0) if width is None else width
    packed = np.full((len(rows), max(width, 1), 2), np.nan)
    filled = np.arange(packed.shape[1]) < np.array([min(len(row), width) for row in rows], dtype=int)[:, None]
    packed[filled] = np.array([(span[0], span[1]) for row in rows for span in row[:width]], dtype=float).reshape(-1, 2)
    return packed


def intersections(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Seconds shared: predicted (N, 2), gold (N, G, 2) -> (N, G), 0 where one of them is NaN or reversed."""
    low = np.maximum(predicted[:, None, 0], gold[..., 0])
    high = np.minimum(predicted[:, None, 1], gold[..., 1])
    return np.fmax(high - low, 0.0)


def pairwise_iou(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Intersection over union: (N, 2), (N, G, 2) -> (N, G)."""
    shared = intersections(predicted, gold)
    union = (predicted[:, 1] - predicted[:, 0])[:, None] + (gold[..., 1] - gold[..., 0]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def best_iou(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """The highest IoU with any true span: (N, 2), (N, G, 2) -> (N,)."""
    return pairwise_iou(predicted, gold).max(axis=1)


def best_iop(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """The highest intersection over the *predicted* span, as NExT-GQA counts it: (N, 2), (N, G, 2) -> (N,)."""
    shared = intersections(predicted, gold)
    length = np.broadcast_to((predicted[:, 1] - predicted[:, 0])[:, None], shared.shape)
    return np.divide(shared, length, out=np.zeros_like(shared), where=shared > 0).max(axis=1)


def best_of_ranked(ranked: np.ndarray, gold: np.ndarray, top: int) -> np.ndarray:
    """The highest IoU among the first ``top`` spans: (N, K, 2), (N, G, 2) -> (N,)."""
    return np.max([best_iou(ranked[:, k], gold) for k in range(min(top, ranked.shape[1]))], axis=0)


def average_precision(
    ranked: np.ndarray, gold: np.ndarray, thresholds: Sequence[float] = MAP_THRESHOLDS, top: int = MAP_SPANS
) -> np.ndarray:
    """Interpolated average precision of each query at each IoU threshold: (N, K, 2), (N, G, 2) -> (N, len(thresholds)).

    ``ranked`` is by falling score. A predicted span takes the free true span that it overlaps most; a second one on the
    same true span is a false positive (the rule of ActivityNet and of QVHighlights' ``standalone_eval``).
    """
    ranked = ranked[:, :top]
    limits = np.asarray(thresholds)
    count, num_gold = len(ranked), gold.shape[1]
    rows = np.arange(count)
    taken = np.zeros((count, num_gold, len(limits)), dtype=bool)
    hits = np.zeros((count, ranked.shape[1], len(limits)), dtype=bool)
    for k in range(ranked.shape[1]):
        iou = pairwise_iou(ranked[:, k], gold)
        order = np.argsort(-iou, axis=1, kind="stable")
        for place in range(num_gold):
            candidate = order[:, place]
            free = ~taken[rows, candidate] & ~hits[:, k] & (iou[rows, candidate, None] >= limits)
            hits[:, k] |= free
            taken[rows, candidate] |= free
    present = ~np.isnan(ranked[..., 0])
    found = hits.cumsum(axis=1)
    precision = found / np.maximum(present.cumsum(axis=1), 1)[..., None]
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    num_true = (~np.isnan(gold[..., 0])).sum(axis=1)
    return (envelope * hits).sum(axis=1) / np.maximum(num_true, 1)[:, None]
