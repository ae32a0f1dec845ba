"""Small videos kept decoded in memory, for runs that meet each of them many times. One cache a worker process.

Videos that would take more than a sixteenth of it are read from the file each time, and once it is full nothing is added:
what is met often is in it early.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hawkeye.video.reader import Frames, VideoInfo, VideoReader, scaled_size

LARGEST_SHARE = 1 / 16


@dataclass(frozen=True, eq=False)
class CachedVideo:
    """A `VideoReader` over frames in memory. ``pixels`` uint8 (num_frames, 3, H, W)."""

    info: VideoInfo
    times: np.ndarray
    pixels: torch.Tensor

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """``short_side`` was given when the frames were taken."""
        chosen = list(indices)
        return Frames(self.pixels[chosen], tuple(float(self.times[index]) for index in chosen))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> CachedVideo:
        return self

    def __exit__(self, *exc: object) -> None: ...


class FrameCache:
    """``limit``: bytes of pixels, at most. ``short_side``: as `VideoReader.read` takes it."""

    def __init__(self, limit: float, short_side: int) -> None:
        self.limit, self.short_side, self.used = limit, short_side, 0
        self._videos: dict[Hashable, CachedVideo] = {}

    def get(self, key: Hashable) -> CachedVideo | None:
        return self._videos.get(key)

    def keep(self, key: Hashable, reader: VideoReader) -> VideoReader:
        """Decode the whole video and keep it, if there is room; else it is returned as it is. Raises VideoError."""
        info = reader.info
        width, height = scaled_size(info.width, info.height, self.short_side)
        size = info.num_frames * width * height * 3
        if size > self.limit * LARGEST_SHARE or self.used + size > self.limit:
            return reader
        frames = reader.read(range(info.num_frames), self.short_side)
        self._videos[key] = CachedVideo(reader.info, reader.times, frames.pixels)
        self.used += size
        return self._videos[key]
