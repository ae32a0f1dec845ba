"""Curves of similarity over time: where they are high. NumPy only; no model, no video."""

from __future__ import annotations

import numpy as np


def best_stretches(curve: np.ndarray, lengths: np.ndarray, top_k: int, peak_share: float) -> list[tuple[int, int]]:
    """Up to ``top_k`` stretches ``[first, last)`` of frames that don't touch, best first; at least one.

    ``lengths``: seconds that each frame stands for. Each stretch is the one with the largest area above a bar, which is this
    share of the way from the curve's mean to its highest point that is left.
    """
    over = curve - float(np.average(curve, weights=lengths))
    free = np.ones(len(curve), dtype=bool)
    found: list[tuple[int, int]] = []
    while len(found) < top_k and free.any() and (not found or over[free].max() > 0):
        bar = peak_share * max(over[free].max(), 0.0)
        first, last = largest_sum(np.where(free, (over - bar) * lengths, -np.inf))
        found.append((first, last))
        free[max(first - 1, 0) : last + 1] = False
    return found


def largest_sum(values: np.ndarray) -> tuple[int, int]:
    """The stretch ``[first, last)`` of at least one value whose sum is largest; of equals the longest (Kadane)."""
    best, result, total, first = -np.inf, (0, 1), -np.inf, 0
    for i, value in enumerate(values):
        if total < 0:
            total, first = 0.0, i
        total += value
        if total >= best and total > -np.inf:
            best, result = total, (first, i + 1)
    return result
