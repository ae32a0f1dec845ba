"""Where one shot of a video ends and the next begins, from small pictures of it. It knows hard cuts, not slow fades.

A cut is a change between two neighbouring frames that is both large and much larger than the usual change around it, so that a
wild camera or flickering light makes no cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

THUMBNAIL = (24, 32)
NEIGHBOURS = 10  # changes on each side that tell what is usual
RATIO = 3.0  # a cut is this many times the usual change ...
FLOOR = 2.0  # ... plus this much (of 255), so that noise in a still picture is none
REACH = 2  # of changes this near only the largest is a cut


def thumbnails(pixels: Tensor) -> np.ndarray:
    """float32 (T, 3, 24, 32) of uint8 (T, 3, H, W)."""
    return F.interpolate(pixels.float(), THUMBNAIL, mode="area").numpy()


def cut_positions(pictures: np.ndarray) -> list[int]:
    """The numbers of the pictures, of (T, 3, 24, 32) in order, that begin a new shot."""
    changes = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    cuts = []
    for i, change in enumerate(changes):
        around = np.concatenate([changes[max(0, i - NEIGHBOURS) : i], changes[i + 1 : i + 1 + NEIGHBOURS]])
        usual = float(np.median(around)) if len(around) else 0.0
        if change > RATIO * (usual + FLOOR) and change >= changes[max(0, i - REACH) : i + REACH + 1].max():
            cuts.append(i + 1)
    return cuts


def cut_times(pictures: np.ndarray, indices: Sequence[int], times: np.ndarray) -> list[float]:
    """When the cuts happen, seconds. ``indices``: which frames of the video the pictures are, rising; ``times``: of all frames.

    Exact where every frame was looked at, else in the middle of those left out.
    """
    return [float(times[indices[i - 1] + 1] + times[indices[i]]) / 2 for i in cut_positions(pictures)]


def shot_numbers(times: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """Which shot each of ``times`` lies in, counted from 0."""
    return np.searchsorted(np.asarray(cuts, dtype=np.float64), times, side="right")


def split_at_cuts(edges: np.ndarray, cuts: Sequence[float]) -> np.ndarray:
    """``edges`` (N + 1, rising) with the edge between two frames of different shots moved onto the cut between them."""
    centers = (edges[:-1] + edges[1:]) / 2
    moved = edges.copy()
    for k in range(1, len(centers)):
        between = [cut for cut in cuts if centers[k - 1] < cut <= centers[k]]
        if between:
            moved[k] = float(np.mean(between))
    return moved
