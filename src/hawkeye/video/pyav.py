"""The default reader: seek to the key frame before a wanted frame, decode from there, keep only what was asked.

Damage: packets that the container reports as broken are no frames (a time inside such a gap shows the frame before it).
A frame that turns out not to decode is replaced by the last one before it that does (at the start of a video by the first
one that does); it comes back with the time of the picture that is really shown, and `info.num_corrupt` counts it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from hawkeye.errors import VideoError
from hawkeye.video.packets import PacketTable, packet_table, video_info
from hawkeye.video.reader import Frames, ReaderBase, VideoInfo, check_indices, scaled_size, stack_pictures
from hawkeye.video.sweep import CARRY_ON, Sweep

PATIENCE = 16  # later frames after which one that did not appear is given up (the longest reordering of H.264)
Shown = tuple[int, np.ndarray]  # the number of the frame that is really shown, and its pixels, uint8 (H, W, 3)


class PyAVReader(ReaderBase):
    """One video file through FFmpeg. Several readers of one file may run in parallel; calls on one reader take turns.

    Raises VideoError if the file can't be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._table = table = packet_table(self.path)
        self._times = table.seconds()
        self._times.flags.writeable = False
        self._broken: set[int] = set()
        self._sweep: Sweep | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._info = video_info(self.path, "pyav", table)

    @property
    def info(self) -> VideoInfo:
        return replace(self._info, num_corrupt=self._info.num_corrupt + len(self._broken))

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """See `VideoReader.read`."""
        wanted = check_indices(indices, self._info)
        paint = _Painter(self.path, self._table, short_side)
        shown: dict[int, Shown] = {}
        with self._lock:
            if self._closed:
                raise VideoError(f"{self.path}: the reader is closed: open the video again")
            for run in self._runs(sorted(set(wanted))):
                shown |= self._decode(run, paint)
        pixels = stack_pictures([shown[i][1] for i in wanted], paint.height, paint.width)
        return Frames(pixels, tuple(float(self._times[shown[i][0]]) for i in wanted))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._sweep:
                self._sweep.close()
                self._sweep = None

    def _runs(self, wanted: list[int]) -> Iterator[list[int]]:
        """Stretches of wanted frames, split where seeking is quicker than decoding on."""
        run: list[int] = []
        for index in wanted:
            if run and self._table.key[index] > run[-1] + CARRY_ON:
                yield run
                run = []
            run.append(index)
        if run:
            yield run

    def _decode(self, run: list[int], paint: _Painter) -> dict[int, Shown]:
        if self._sweep is None:
            self._sweep = Sweep(self.path, self._table)
        missing = set(run)
        shown: dict[int, Shown] = {}
        for index, frame in self._sweep.frames(run[0], missing):
            if index in missing:
                missing.discard(index)
                shown[index] = (index, paint(frame))
            if not missing or index > run[-1] + PATIENCE:
                break
        if missing:
            instead = self._substitutes(self._sweep, sorted(missing), paint)
            self._broken |= {index for index, (number, _) in instead.items() if number != index}
            shown |= instead
        return shown

    def _substitutes(self, sweep: Sweep, missing: list[int], paint: _Painter) -> dict[int, Shown]:
        """For each frame that does not decode the last one before it that does."""
        start = int(self._table.key[missing[0]])
        latest = self._last_before(sweep, start)
        waiting = list(missing)
        shown: dict[int, Shown] = {}
        for index, frame in sweep.frames(start):
            while waiting and latest and index > waiting[0]:
                shown[waiting.pop(0)] = (latest[0], paint(latest[1]))
            if not waiting:
                break
            latest = (index, frame)
        if latest is None:
            raise VideoError(f"{self.path}: no frame near number {missing[0]} can be decoded: download the file again")
        return shown | {index: (latest[0], paint(latest[1])) for index in waiting}

    def _last_before(self, sweep: Sweep, start: int) -> tuple[int, VideoFrame] | None:
        """The last frame before key frame ``start`` that decodes."""
        latest: tuple[int, VideoFrame] | None = None
        while start > 0 and latest is None:
            key = int(self._table.key[start - 1])
            for index, frame in sweep.frames(key):
                if index >= start:
                    break
                latest = (index, frame)
            start = key
        return latest


def describe_ffmpeg() -> str:
    """Which decoder this is, in a line: PyAV's version and those of the FFmpeg libraries inside it."""
    parts = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libavformat"))
    return f"PyAV {av.__version__} with FFmpeg's {', '.join(parts)}"


class _Painter:
    """Turns decoded pictures into upright RGB arrays of the wanted size."""

    def __init__(self, path: Path, table: PacketTable, short_side: int | None) -> None:
        self._path = path
        self.width, self.height = scaled_size(table.width, table.height, short_side)
        self._turns, self._mirrored = table.quarter_turns, table.mirrored
        lying = self._turns % 2 == 1
        self._stored_size = (self.height, self.width) if lying else (self.width, self.height)
        self._scaler = VideoReformatter()  # keeps its tables from picture to picture

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """uint8 (height, width, 3)"""
        try:
            picture = self._to_rgb(frame)
        except av.FFmpegError:  # the file names a colour space that does not exist: take television's
            try:
                picture = self._to_rgb(frame, Colorspace.ITU601)
            except av.FFmpegError as error:
                kind = f"{frame.format.name} pictures can't be turned into RGB ({error.strerror})"
                raise VideoError(f"{self._path}: its {kind}: convert it to H.264 in mp4") from None
        if self._mirrored:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(np.rot90(picture, self._turns))

    def _to_rgb(self, frame: VideoFrame, space: Colorspace | None = None) -> np.ndarray:
        method = Interpolation.BICUBIC  # antialiased, as swscale always is when it makes pictures smaller
        if (frame.width, frame.height) != self._stored_size:
            method |= Interpolation.FULL_CHR_H_INT  # else two neighbours share their colour
        picture = self._scaler.reformat(frame, *self._stored_size, "rgb24", space, space, method, threads=1)
        return picture.to_ndarray()
