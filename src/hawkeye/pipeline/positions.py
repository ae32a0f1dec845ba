"""Which frames each stage looks at: frame numbers from a stretch of time and a frame rate. Pure integer rules.

Numbers count frames of constant length ``1 / fps`` from the start of the video; they may lie at or past the end of the
scene or of the video (quirk 35), so a reader clamps them with `clamp`.
"""

from __future__ import annotations

import math


def frame_range(start: float, end: float, fps: float) -> tuple[int, int]:
    """First frame and one past the last of a stretch in seconds."""
    return int(start * fps), int(end * fps)


def similarity_frames(start: float, end: float, fps: float, num_frames: int = 3) -> list[int]:
    """The frames that stand for a scene when scenes are compared (step: reference ``clip_sim.py:78``)."""
    first, past = frame_range(start, end, fps)
    step = (past - first) // (num_frames + 1) + 1
    return [first + step * i for i in range(1, num_frames + 1)]


def caption_frames(
    start: float,
    end: float,
    fps: float,
    num_frames: int | None = 1,
    sample_fps: float | None = None,
    max_frames: int = 5,
) -> list[int]:
    """The frames that a captioner sees: at most ``num_frames``, or ``sample_fps`` a second but at most ``max_frames``.

    A stretch too short for its step gives its middle frame, where the reference gives none or fails.
    """
    first, past = frame_range(start, end, fps)
    if sample_fps is not None:
        step = max(math.ceil(fps / sample_fps), math.ceil((past - first) / (max_frames + 1)))
    else:
        step = math.ceil((past - first) / ((num_frames or 1) + 1))
    return list(range(first + step, past, step)) if step > 0 and first + step < past else [(first + past) // 2]


def scoring_frames(start: float, end: float, fps: float, num_frames: int = 3) -> list[int]:
    """The frames that a caption is compared with when it is judged."""
    first, past = frame_range(start, end, fps)
    step = (past - first) // (num_frames + 1)
    return [first + step * i for i in range(1, num_frames + 1)]


def clamp(frames: list[int], num_frames: int) -> list[int]:
    """Frames past the video's end become its last frame."""
    return [min(max(frame, 0), num_frames - 1) for frame in frames]
