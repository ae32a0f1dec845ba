"""Which frames are looked at: the evaluation rule for a window, and the training rules. Plain numbers, no torch.

Rounding is half to even throughout, as NumPy's and Python's, because frame numbers of the published results depend on it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hawkeye.errors import ConfigError, VideoError

if TYPE_CHECKING:
    from hawkeye.video.reader import VideoReader


def window_indices(window: tuple[float, float] | None, fps: float, last_index: int, num_frames: int) -> list[int]:
    """The middles of ``num_frames`` equal parts of ``window`` (seconds; None is the whole video), as frame numbers.

    The reference's evaluation rule (``tasks/test_recursive_grounding.py`` ``get_index``), except that a window past the
    end of the video is clamped to it (quirk 57).
    """
    first, last = 0, last_index
    if window is not None:
        first = min(max(first, round(window[0] * fps)), last_index)
        last = max(first, min(round(window[1] * fps), last_index))
    part = (last - first) / num_frames
    return [int(first + part / 2 + round(part * i)) for i in range(num_frames)]


def uniform_indices(num_frames_in_video: int, num_frames: int) -> list[int]:
    """The demo's rule for a whole video (reference ``demo.ipynb`` ``get_index``)."""
    part = (num_frames_in_video - 1) / num_frames
    return [int(part / 2) + round(part * i) for i in range(num_frames)]


def sample_window(
    reader: VideoReader, window: tuple[float, float] | None, num_frames: int
) -> tuple[list[int], list[float]]:
    """The frames that a model is shown of ``window`` (seconds; None is the whole video), by `window_indices`.

    Returns frame numbers (non-decreasing; a short window repeats frames) and their presentation times in seconds of the
    video. A window that sticks out is clamped to the video. Raises VideoError for one that ends before it starts.
    """
    info, times = reader.info, reader.times
    if num_frames < 1:
        raise ConfigError(f"num_frames is {num_frames}: expected at least 1")
    if window is not None and not window[0] <= window[1]:
        raise VideoError(f"{info.path}: window {list(window)} ends before it starts: expected [start, end] in seconds")
    indices = window_indices(window, info.fps, len(times) - 1, num_frames)
    if np.abs(times - np.arange(len(times)) / info.fps).max() > 0.5 / info.fps:  # variable rate: go by true time
        from hawkeye.video.reader import indices_at

        indices = indices_at(reader, [index / info.fps for index in indices])
    return indices, [float(times[index]) for index in indices]
