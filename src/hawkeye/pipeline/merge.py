"""Join consecutive scenes that look alike into segments. Pure.

Source: HawkEye paper, section 4.1; reference ``clip_sim.py:170-230``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hawkeye.pipeline.scenes import Scene

UpdateMethod = Literal["last", "union"]


def merge_scenes(
    scenes: Sequence[Scene], similarity: np.ndarray, threshold: float = 0.85, update: UpdateMethod = "last"
) -> tuple[list[Scene], np.ndarray]:
    """Segments ``[start of the first scene, end of the last]`` and the highest similarity between their scenes.

    Scenes beyond the matrix (it covers the first 100 by default) are left out. ``update``: the next scene must be like
    the ``last`` scene of the segment, or like any of them (``union``). Equality with the threshold does not merge.
    """
    num_scenes = min(len(scenes), len(similarity))
    if not num_scenes:
        return [], np.zeros((0, 0))
    similarity = np.asarray(similarity, dtype=np.float64)[:num_scenes, :num_scenes]
    firsts = _first_scenes(similarity > threshold, update)
    lasts = [*(first - 1 for first in firsts[1:]), num_scenes - 1]
    merged = [[scenes[first][0], scenes[last][1]] for first, last in zip(firsts, lasts, strict=True)]
    by_rows = np.maximum.reduceat(similarity, firsts, axis=0)
    return merged, np.maximum.reduceat(by_rows, firsts, axis=1)


def _first_scenes(alike: np.ndarray, update: UpdateMethod) -> list[int]:
    """The number of the first scene of each segment. ``alike``: bool (n, n)."""
    if update == "last":
        return [0, *(np.flatnonzero(~np.diagonal(alike, offset=1)) + 1).tolist()]
    firsts = [0]
    for scene in range(1, len(alike)):
        if not alike[firsts[-1] : scene, scene].any():
            firsts.append(scene)
    return firsts
