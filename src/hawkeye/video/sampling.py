"""Which frames are looked at: the evaluation rule for a window, and the training rules. Plain numbers, no torch.

Rounding is half to even throughout, as NumPy's and Python's, because frame numbers of the published results depend on it.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hawkeye.errors import ConfigError, VideoError
from hawkeye.video.reader import indices_at

if TYPE_CHECKING:
    from hawkeye.video.reader import VideoReader

CLOCK = 25.0  # ticks a second for videos of variable rate, some of which are slide shows


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

    Returns frame numbers (non-decreasing; a short window repeats frames) and the second of the video at which each is
    looked at: its presentation time, or for a variable frame rate the moment at which it is the one on screen. A window
    that sticks out is clamped to the video. Raises VideoError for one that ends before it starts.
    """
    if num_frames < 1:
        raise ConfigError(f"num_frames is {num_frames}: expected at least 1")
    info, times = reader.info, reader.times
    if window is not None:
        if not window[0] <= window[1]:
            raise VideoError(f"{info.path}: window {[*window]} ends before it starts: expected [start, end] in seconds")
        window = (min(max(window[0], 0.0), info.duration), min(max(window[1], 0.0), info.duration))
    if np.abs(times * info.fps - np.arange(len(times))).max() <= 0.5:
        indices = window_indices(window, info.fps, len(times) - 1, num_frames)
        return indices, [float(times[index]) for index in indices]
    rate = max(info.fps, CLOCK)  # the same rule on an even clock, then whatever is on screen at its ticks
    ticks = window_indices(window, rate, math.ceil(info.duration * rate) - 1, num_frames)
    looked_at = [tick / rate for tick in ticks]
    return indices_at(reader, looked_at), looked_at


def clip_range(clip: tuple[float, float] | None, fps: float, num_frames_in_video: int) -> tuple[int, int]:
    """First frame and frame after the last of ``clip`` (seconds; None is the whole video). Never empty, never outside.

    Raises VideoError for a clip that ends before it starts.
    """
    if clip is None:
        return 0, num_frames_in_video
    if not clip[0] <= clip[1]:
        raise VideoError(f"clip {[*clip]} ends before it starts: expected [start, end] in seconds")
    duration = num_frames_in_video / fps
    start, end = (round(num_frames_in_video * min(max(second / duration, 0.0), 1.0)) for second in clip)
    start = min(start, num_frames_in_video - 1)  # quirk 4: a clip of no length, or after the end
    return start, max(end, start + 1)


def training_indices(
    rule: str,
    num_frames: int,
    num_frames_in_video: int,
    fps: float,
    clip: tuple[float, float] | None = None,
    generator: random.Random | None = None,
    max_num_frames: int | None = None,
) -> list[int]:
    """Frame numbers by a training rule (reference ``dataset/video_utils.py`` ``get_frame_indices``), inside ``clip``.

    ``middle``: the middles of ``num_frames`` equal slots. ``rand``: one frame of each slot, drawn with ``generator``.
    ``fixN``: frame N of each slot. A video with fewer frames repeats its last chosen one. ``fpsX``: X frames a second,
    the first after half a period, at most ``max_num_frames``. Unlike the reference all stay inside clip and slot, the
    last frame of a slot can be drawn, and ``fpsX`` honours the clip (quirks 1, 3, 4). Raises ConfigError.
    """
    start, end = clip_range(clip, fps, num_frames_in_video)
    if rule.startswith("fps"):
        return _at_rate(_number(rule, "fps"), fps, start, end)[:max_num_frames]
    edges = np.linspace(start, end, min(num_frames, num_frames_in_video) + 1).astype(int).tolist()
    slots = [(low, max(high, low + 1)) for low, high in pairwise(edges)]  # low .. high - 1
    if rule == "middle":
        indices = [max(start, (low + high - 1) // 2) for low, high in pairwise(edges)]
    elif rule == "rand":
        if generator is None:
            raise ConfigError("sampling rule 'rand' needs a generator: pass random.Random(seed)")
        indices = [generator.randrange(low, high) for low, high in slots]
    elif rule.startswith("fix"):
        offset = int(_number(rule, "fix"))
        indices = [min(low + offset, high - 1) for low, high in slots]
    else:
        raise ConfigError(
            f"sampling rule {rule!r} is unknown: expected middle, rand, fixN such as fix0, or fpsX such as fps0.5"
        )
    return indices + [indices[-1]] * (num_frames - len(indices))


def _at_rate(rate: float, fps: float, start: int, end: int) -> list[int]:
    period = fps / rate
    count = max(0, int(np.ceil((end - start) / period)))
    indices = [start + round(period * (i + 0.5)) for i in range(count)]
    return [index for index in indices if index < end] or [(start + end - 1) // 2]


def _number(rule: str, kind: str) -> float:
    try:
        number = float(rule.removeprefix(kind))
    except ValueError:
        number = -1.0
    if not (0 < number < 1000 if kind == "fps" else number >= 0 and number.is_integer()):
        raise ConfigError(f"sampling rule {rule!r}: expected a number after {kind!r}, such as {kind}{1}")
    return number
