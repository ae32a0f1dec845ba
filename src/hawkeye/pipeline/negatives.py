"""The negative span of a segment: the stretch around it that holds no other segment like it. Pure, NumPy.

Source: HawkEye paper, section 4.1; reference ``ground_data_construction.py:110-180`` without quirks 40, 41 and 42.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hawkeye.pipeline.scenes import Scene


class NegativeSpan(NamedTuple):
    """Seconds, and the scenes that border them; a negative scene is None where the span reaches the video's border."""

    start: float
    end: float
    neg_start: float
    neg_end: float
    start_scene: int
    end_scene: int
    neg_start_scene: int | None
    neg_end_scene: int | None


def negative_spans(
    scenes: Sequence[Scene],
    similarity: np.ndarray,
    duration: float,
    clips: Sequence[tuple[float, float]],
    boundary_shift: float = 0.25,
    same_threshold: float = 0.8,
    min_secs: float = 0.5,
    max_secs: float = 10.0,
    max_scenes: int = 100,
) -> list[NegativeSpan | None]:
    """For each clip (seconds), which may sit on scene borders only roughly, its segment and negative span, or None.

    The clip's scenes are those that start no more than ``boundary_shift`` before it and end no more than that after it.
    They grow over neighbours more alike than ``same_threshold`` to the border scene; then the span is as far as no scene
    on that side is at least so alike to any scene of the clip. None: no such scenes, a length outside
    ``min_secs..max_secs`` (before or after growing), or no context at all.
    """
    num_scenes = min(len(scenes), len(similarity), max_scenes)
    if not num_scenes or not len(clips):
        return [None] * len(clips)
    borders = np.asarray(scenes[:num_scenes], dtype=np.float64)
    similarity = np.asarray(similarity, dtype=np.float64)[:num_scenes, :num_scenes]
    asked = np.asarray(clips, dtype=np.float64)
    first = np.searchsorted(borders[:, 0], asked[:, 0] - boundary_shift, side="left")
    last = np.searchsorted(borders[:, 1], asked[:, 1] + boundary_shift, side="right") - 1
    lengths = asked[:, 1] - asked[:, 0]
    usable = (first < num_scenes) & (last >= first) & (lengths >= min_secs) & (lengths <= max_secs)
    leftmost, rightmost = _growth(similarity > same_threshold)
    unlike = similarity < same_threshold
    found: list[NegativeSpan | None] = [None] * len(clips)
    for clip in np.flatnonzero(usable).tolist():
        start_scene, end_scene = int(leftmost[first[clip]]), int(rightmost[last[clip]])
        start = clips[clip][0] if start_scene == first[clip] else scenes[start_scene][0]
        end = clips[clip][1] if end_scene == last[clip] else scenes[end_scene][1]
        context = np.logical_and.reduce(unlike[start_scene : end_scene + 1], axis=0)
        before = _nearest_like(context[:start_scene][::-1])
        after = _nearest_like(context[end_scene + 1 :])
        neg_start, neg_start_scene = _border(before, start_scene - 1, -1, start, 0.0, scenes)
        neg_end, neg_end_scene = _border(after, end_scene + 1, 1, end, duration, scenes)
        if end - start <= max_secs and (neg_start, neg_end) != (start, end):
            found[clip] = NegativeSpan(
                start, end, neg_start, neg_end, start_scene, end_scene, neg_start_scene, neg_end_scene
            )
    return found


def _growth(alike: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each scene the outermost scene, left and right, reachable over neighbours that are all alike to it."""
    numbers = np.arange(len(alike))
    other, scene = numbers[:, None], numbers[None, :]
    stops_left = np.where(~alike & (other < scene), other, -1).max(axis=0)
    stops_right = np.where(~alike & (other > scene), other, len(alike)).min(axis=0)
    return stops_left + 1, stops_right - 1


def _nearest_like(unlike: np.ndarray) -> int | None:
    """``unlike``: bool, from the segment outwards. How many unlike scenes come before the first like the segment;
    None if all are unlike it, -1 if all are like it."""
    if unlike.all():
        return None
    return int(np.argmin(unlike)) if unlike.any() else -1


def _border(
    side: int | None, neighbour: int, step: int, own: float, edge: float, scenes: Sequence[Scene]
) -> tuple[float, int | None]:
    """Where the negative span ends on one side, in seconds, and the scene there that is like the segment."""
    if side is None:
        return edge, None
    if side < 0:
        return own, None
    scene = neighbour + step * side
    return scenes[scene][1 if step < 0 else 0], scene


def grounding_row(video: str, duration: float, span: NegativeSpan, caption: str) -> dict[str, Any]:
    """One row of the final file, with the reference's fields."""
    return {
        "video": video,
        "duration": duration,
        "start_sec": span.start,
        "end_sec": span.end,
        "neg_start_sec": span.neg_start,
        "neg_end_sec": span.neg_end,
        "caption": caption,
        "start_scene": span.start_scene,
        "end_scene": span.end_scene,
        "neg_start_scene": span.neg_start_scene,
        "neg_end_scene": span.neg_end_scene,
    }
