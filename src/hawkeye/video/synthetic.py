"""Made-up videos whose frames carry their own number: for tests, benchmarks and examples. Not part of any model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from hawkeye.errors import VideoError
from hawkeye.video.reader import Frames
from hawkeye.video.writer import TICK, add_audio_track, add_video_track, output_container, write_picture, write_sound

COLUMNS, ROWS = 5, 4  # blocks of a numbered frame: 16 bits of number, 4 bits of check
SOUND_RATE = 48_000


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float = 25.0,
    codec: str = "libx264",
    times: Sequence[float] | None = None,
    tone: float | None = None,
    rotation: int = 0,
    **options: str | int,
) -> Path:
    """Encode ``frames``, uint8 (H, W, 3) RGB, and return ``path``; the suffix tells the container.

    ``times``: presentation time of each frame in seconds (variable rate, a late start), instead of ``fps``.
    ``tone``: add a sine of this many hertz. ``rotation``: degrees counter-clockwise that a player is told to turn the
    pictures. ``options``: the codec's own, such as ``g=50`` or ``bf=2``. Raises VideoError.
    """
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise VideoError(f"{path}: there are no frames to write")
    height, width = first.shape[:2]
    with output_container(path) as container:
        stream = add_video_track(
            container,
            width,
            height,
            codec,
            None if times else fps,
            {name: str(value) for name, value in options.items()},
        )
        if rotation:
            stream.set_display_rotation(rotation)
        sound = add_audio_track(container, SOUND_RATE, "mono") if tone else None
        count = 0
        for count, picture in enumerate(chain([first], pictures), 1):
            pts = round(times[count - 1] / TICK) if times else count - 1
            write_picture(container, stream, picture, pts)
        container.mux(stream.encode(None))
        if sound is not None and tone:
            seconds = times[-1] + 1 / fps if times else count / fps
            write_sound(container, sound, _sine(tone, seconds), SOUND_RATE)
    return Path(path)


def _sine(hertz: float, seconds: float) -> Iterator[np.ndarray]:
    total = round(seconds * SOUND_RATE)
    for start in range(0, total, SOUND_RATE):
        samples = np.arange(start, min(start + SOUND_RATE, total))
        yield (0.3 * np.sin(2 * np.pi * hertz / SOUND_RATE * samples)).astype(np.float32)[None]


def numbered_frame(number: int, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3): the number 0 .. 65535 in black and white blocks that survive compression."""
    bits = [(number >> i) & 1 for i in range(16)]
    blocks = np.array([*bits, *_check(bits)], dtype=np.uint8).reshape(ROWS, COLUMNS) * 255
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def read_number(pixels: np.ndarray) -> int | None:
    """The number shown by a picture (H, W, 3), or None if it shows none or is damaged."""
    grey = np.asarray(pixels, dtype=np.float64).mean(axis=2)
    height, width = grey.shape
    bits: list[int] = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            top, left = height * (row + 0.25) / ROWS, width * (column + 0.25) / COLUMNS
            bottom, right = height * (row + 0.75) / ROWS, width * (column + 0.75) / COLUMNS
            level = grey[int(top) : int(bottom) + 1, int(left) : int(right) + 1].mean()
            if 80 < level < 175:
                return None
            bits.append(int(level >= 175))
    return sum(bit << i for i, bit in enumerate(bits[:16])) if bits[16:] == _check(bits[:16]) else None


def read_numbers(frames: Frames) -> list[int | None]:
    """`read_number` of each of these frames."""
    return [read_number(picture.permute(1, 2, 0).numpy()) for picture in frames.pixels]


def _check(bits: list[int]) -> list[int]:
    """Four bits that tell any single wrong bit, and a plain black or white picture, from a numbered one."""
    total = sum((i % 15 + 1) * bit for i, bit in enumerate(bits)) + 5
    return [(total >> i) & 1 for i in range(4)]


def pattern_frame(number: int, width: int = 48, height: int = 36) -> np.ndarray:
    """uint8 (height, width, 3): the picture that the recorded model outputs were made from.

    ``pixel[y, x, c] = (37 * number + 5 * y + 3 * x + 61 * c + x * y // 7) mod 256``
    """
    y, x, c = np.ogrid[:height, :width, :3]
    return ((37 * number + 5 * y + 3 * x + 61 * c + x * y // 7) % 256).astype(np.uint8)
