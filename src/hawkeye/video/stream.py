"""A whole video in order, decoded once: each picture turns into pixels only if and in the size that somebody asks for.

For work that must see every frame (scene detection, measuring). For a few frames at known times use `open_video`, which
seeks. Memory does not depend on the video's length; a `StreamFrame` that is held on to holds one decoded picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from hawkeye.errors import VideoError
from hawkeye.video.packets import PacketTable, decoded, open_container, packet_table, pick_stream, video_info
from hawkeye.video.reader import VideoInfo, scaled_size


class StreamFrame:
    """One picture of a stream. ``index`` counts from 0, ``time`` is in seconds from the first frame."""

    __slots__ = ("_frame", "_stream", "index", "time")

    def __init__(self, index: int, time: float, frame: VideoFrame, stream: FrameStream) -> None:
        self.index, self.time, self._frame, self._stream = index, time, frame, stream

    @property
    def nbytes(self) -> int:
        """What holding on to this frame costs, in bytes."""
        return self._frame.width * self._frame.height * 3 // 2

    def picture(self, short_side: int | None = None) -> np.ndarray:
        """uint8 (H, W, 3) RGB, upright, scaled as the readers of `open_video` scale."""
        width, height = scaled_size(self._stream.info.width, self._stream.info.height, short_side)
        return self._stream.paint(self._frame, width, height, "rgb24", "BICUBIC")

    def resized(self, width: int, height: int) -> np.ndarray:
        """uint8 (height, width, 3) RGB, upright, of any size."""
        return self._stream.paint(self._frame, width, height, "rgb24", "BICUBIC")

    def bgr(self) -> np.ndarray:
        """uint8 (H, W, 3) BGR, upright, full size: bit for bit what OpenCV's VideoCapture gives."""
        return self._stream.paint(self._frame, self._stream.info.width, self._stream.info.height, "bgr24", "BICUBIC")


class FrameStream:
    """Iterate over it once, inside ``with``. ``threads``: decoder threads (1 where several videos are read side by side).

    Raises VideoError if the file can't be opened, or if none of its pictures decode.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.path = Path(path)
        self._table: PacketTable = packet_table(self.path)
        self.info: VideoInfo = video_info(self.path, "pyav", self._table)
        self.num_decoded = 0
        self._scalers: dict[tuple[int, int, str], VideoReformatter] = {}
        self._container = open_container(self.path)
        self._track = pick_stream(self._container, self.path)
        self._track.thread_type = "AUTO"
        self._track.codec_context.thread_count = threads
        #: The frame rate that the file claims; `info.fps` is what it comes to (less where the rate varies).
        self.nominal_rate = Fraction(self._track.average_rate or self._track.guessed_rate or self.info.fps)

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[StreamFrame]:
        times = self._table.seconds()
        for frame in decoded(self._container, self._track):
            index = self.num_decoded if self._table.counted else self._table.index_of(frame.pts)
            if index is None or index >= len(times):
                continue  # a picture that the container cuts off or does not announce
            self.num_decoded += 1
            yield StreamFrame(index, float(times[index]), frame, self)
        if not self.num_decoded:
            raise VideoError(
                f"{self.path}: none of its {self.info.num_frames} frames can be decoded: download it again"
            )

    def paint(self, frame: VideoFrame, width: int, height: int, pixel_format: str, method: str) -> np.ndarray:
        """uint8 (height, width, 3), upright."""
        turns = self._table.quarter_turns
        size = (height, width) if turns % 2 else (width, height)
        # A scaler keeps its tables from picture to picture, but only for one size.
        scaler = self._scalers.setdefault((*size, pixel_format), VideoReformatter())
        picture = scaler.reformat(frame, *size, pixel_format, interpolation=method, threads=1).to_ndarray()
        if self._table.mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns or self._table.mirrored else picture
