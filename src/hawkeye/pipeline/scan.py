"""The one pass over a video: find its scenes and, on the way, keep the few pictures of each that later stages look at.

A scene's frames are chosen when it ends, which is when its length is known. Until then at most `buffer_size` evenly spaced
frames of it are held (all of them while they fit), so memory does not depend on the length of scene or video, and a
kept picture is at most half such a spacing away from the one that the rules of `positions` name.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.detectors import make_detector
from hawkeye.pipeline.positions import caption_frames, similarity_frames
from hawkeye.pipeline.scenes import Scene, scenes_from_cuts
from hawkeye.video.stream import FrameStream, StreamFrame

BUFFER_BYTES = 192 * 2**20
MAX_PENDING = 32  # frames that wait for the detector's word before they go into the buffer


@dataclass
class ScanResult:
    """``scenes`` in seconds; ``kept``: JPEG pictures by frame number (of constant length, see `positions`)."""

    duration: float
    fps: float
    num_frames: int
    num_corrupt: int
    scenes: list[Scene]
    kept: dict[int, bytes] = field(default_factory=dict)

    def row(self, video: str) -> dict[str, Any]:
        """One row of ``scenes.jsonl``: the reference's two fields and what is worth knowing about the video."""
        return {
            "video_fname": video,
            "scenes": self.scenes,
            "duration": round(self.duration, 3),
            "fps": round(self.fps, 6),
            "num_frames": self.num_frames,
            "num_corrupt": self.num_corrupt,
        }


def find_scenes(path: str | Path, config: InternVidGConfig, threads: int = 1) -> ScanResult:
    """Decode ``path`` once for its scenes alone; no pictures are kept. Raises VideoError."""
    with FrameStream(path, threads) as stream:
        detector = make_detector(config.scenes, stream.nominal_rate, config.device)
        cuts = [cut for frame in stream for cut in detector.push(frame)]
        return _result(stream, [*cuts, *detector.finish()], config, {})


def scan(path: str | Path, config: InternVidGConfig, threads: int = 1) -> ScanResult:
    """Decode ``path`` once, for its scenes and the pictures of each. Raises VideoError."""
    with FrameStream(path, threads) as stream:
        detector = make_detector(config.scenes, stream.nominal_rate, config.device)
        keeper = _Keeper(config, stream.info.fps)
        pending: deque[StreamFrame] = deque()
        cuts: list[float] = []
        for frame in stream:
            pending.append(frame)
            for cut in detector.push(frame):
                keeper.cut(cut, pending)
                cuts.append(cut)
            if len(pending) > min(detector.lookback, MAX_PENDING):
                keeper.add(pending.popleft())
        last_cuts = detector.finish()
        for cut in last_cuts:
            keeper.cut(cut, pending)
        for frame in pending:
            keeper.add(frame)
        keeper.end(stream.info.duration)
        return _result(stream, [*cuts, *last_cuts], config, keeper.kept)


def _result(stream: FrameStream, cuts: list[float], config: InternVidGConfig, kept: dict[int, bytes]) -> ScanResult:
    info = stream.info
    num_corrupt = info.num_frames - stream.num_decoded + info.num_corrupt
    scenes = scenes_from_cuts(cuts, info.duration, config.scenes.min_secs)
    return ScanResult(info.duration, info.fps, info.num_frames, num_corrupt, scenes, kept)


class _Keeper:
    """Holds frames of the scene that is going on, and keeps the wanted ones when it ends."""

    def __init__(self, config: InternVidGConfig, fps: float) -> None:
        self.kept: dict[int, bytes] = {}
        self._config, self._fps = config, fps
        self._start = 0.0
        self._num_scenes = 0
        self._held: list[StreamFrame] = []
        self._stride = 1
        self._num_seen = 0

    def add(self, frame: StreamFrame) -> None:
        if self._num_seen % self._stride == 0:
            self._held.append(frame)
            if len(self._held) > buffer_size(frame.nbytes):
                self._held = self._held[::2]
                self._stride *= 2
        self._num_seen += 1

    def cut(self, time: float, pending: deque[StreamFrame]) -> None:
        """The scene ended before ``time``; frames from there on, held or pending, belong to the next."""
        while pending and pending[0].time < time:
            self.add(pending.popleft())
        later = [frame for frame in self._held if frame.time >= time]
        self._held = self._held[: len(self._held) - len(later)]
        self.end(time)
        self._start, self._stride, self._num_seen = time, 1, 0
        self._held = []
        for frame in later:
            self.add(frame)

    def end(self, time: float) -> None:
        """Keep the pictures of the scene that ended at ``time``."""
        config, fps = self._config, self._fps
        too_short = time - self._start < config.scenes.min_secs
        if too_short or self._num_scenes >= config.similarity.max_scenes or not self._held:
            return
        self._num_scenes += 1
        start, end = round(self._start, 3), round(time, 3)
        captions = config.captions
        wanted = {
            *similarity_frames(start, end, fps, config.similarity.frames_per_scene),
            *caption_frames(start, end, fps, captions.num_frames, captions.sample_fps, captions.max_frames),
        }
        numbers = [frame_number(frame, fps) for frame in self._held]
        for number in {nearest(numbers, frame) for frame in wanted}:
            picture = self._held[numbers.index(number)].picture(config.frames.short_side)
            self.kept[number] = to_jpeg(picture, config.frames.jpeg_quality)


def buffer_size(frame_bytes: int) -> int:
    """How many frames of a scene are held: 64 up to 1080p, fewer of larger pictures."""
    return max(8, min(64, BUFFER_BYTES // max(1, frame_bytes)))


def frame_number(frame: StreamFrame, fps: float) -> int:
    """The frame's number if all frames lasted ``1 / fps``; with a constant rate its index."""
    return round(frame.time * fps)


def nearest(numbers: Sequence[int], wanted: int) -> int:
    """The one of ``numbers`` (rising, not empty) that is nearest to ``wanted``; the earlier of two."""
    return min(numbers, key=lambda number: (abs(number - wanted), number))


def to_jpeg(picture: np.ndarray, quality: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


def from_jpeg(data: bytes) -> np.ndarray:
    """uint8 (H, W, 3) RGB"""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
