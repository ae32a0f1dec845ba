"""Kinds of examples to look at one by one: by video length, by span length, by where in the video the span lies."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

SECONDS = (15, 30, 60, 120, 180)
SHARES = (0.1, 0.25, 0.5)
SPAN_SECONDS = (10, 30)  # QVHighlights' short, middle and long
POSITIONS = ("first quarter", "second quarter", "third quarter", "last quarter")


def kinds(gold: np.ndarray, durations: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """(section, label, rows) for true spans (N, G, 2) and durations (N,) seconds; an unknown duration is in no bin.

    An example with several true spans goes by its longest one.
    """
    length = gold[..., 1] - gold[..., 0]
    longest = gold[np.arange(len(gold)), np.nanargmax(length, axis=1)]
    seconds = longest[:, 1] - longest[:, 0]
    yield from _between("by video length", durations, SECONDS, "{} s")
    yield from _between("by span length", seconds, SPAN_SECONDS, "{} s")
    yield from _between("by share of the video", seconds / durations, SHARES, "{:.0%}")
    place = longest.mean(axis=1) / durations
    for i, label in enumerate(POSITIONS):
        above = place >= i / 4 if i else place > -np.inf
        below = place < (i + 1) / 4 if i < 3 else place < np.inf
        yield "by position of the span's middle", label, above & below


def _between(
    section: str, values: np.ndarray, edges: tuple[float, ...], shown: str
) -> Iterator[tuple[str, str, np.ndarray]]:
    limits = (-np.inf, *edges, np.inf)
    for low, high in pairwise(limits):
        if low == -np.inf:
            label = f"up to {shown.format(high)}"
        elif high == np.inf:
            label = f"over {shown.format(low)}"
        else:
            label = f"{shown.format(low)} to {shown.format(high)}"
        yield section, label, (values > low) & (values <= high)
