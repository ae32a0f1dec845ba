"""Where the frames of a search come from: one open video, its windows decoded in threads and shared between queries."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from hawkeye.errors import VideoError
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, VideoReader, open_video
from hawkeye.video.sampling import sample_window


@dataclass(frozen=True)
class Request:
    """One query about one video. ``id`` is the caller's own key and comes back untouched."""

    video: Path | str | VideoReader
    query: str
    id: str = ""

    @property
    def name(self) -> str:
        """The video's path as text."""
        return str(self.video.info.path) if isinstance(self.video, VideoReader) else str(self.video)

    @property
    def key(self) -> str:
        """What the random option order depends on: the id, or the video's file name (not its folder)."""
        return self.id or Path(self.name).name


class Decoded(NamedTuple):
    """The frames of one window, or the text of the error in their place."""

    frames: Frames | str
    looked_at: tuple[float, ...]  # seconds; may be later than ``frames.times`` where a slide stays on screen
    seconds: float  # that decoding took


class Source:
    """One video while queries look at it. Failures are kept as text, for every query that they concern.

    A reader given by the caller is used and left open; one that is opened here is closed after the last query.
    """

    def __init__(self, video: Path | str | VideoReader) -> None:
        self.error: str | None = None
        self.reader: VideoReader | None = None
        self._own = not isinstance(video, VideoReader)
        self._lock = threading.Lock()
        # Weak: a window's frames live as long as a query still waits to look at them, not as long as the video.
        self._windows: WeakValueDictionary[tuple[Span, int], Future[Decoded]] = WeakValueDictionary()
        self._users = 0
        try:
            self.reader = video if isinstance(video, VideoReader) else open_video(video)
        except VideoError as error:
            self.error = str(error)
        self.key = str(self.reader.info.path) if self.reader else str(video)
        self.duration = self.reader.info.duration if self.reader else 0.0

    def claim(self, users: int) -> None:
        self._users += users

    def release(self) -> None:
        """One query is done with it."""
        self._users -= 1
        if self._users == 0:
            self.close()

    def close(self) -> None:
        if self._own and self.reader is not None:
            with self._lock:
                self.reader.close()

    def decode(self, window: Span, num_frames: int, executor: Executor) -> Future[Decoded]:
        """A future of `Decoded`; the same one for all who ask for the same window."""
        key = (window, num_frames)
        future = self._windows.get(key)
        if future is None:
            future = self._windows[key] = executor.submit(self._decode, window, num_frames)
        return future

    def _decode(self, window: Span, num_frames: int) -> Decoded:
        assert self.reader is not None
        began = time.perf_counter()
        with self._lock:
            try:
                indices, looked_at = sample_window(self.reader, window, num_frames)
                return Decoded(self.reader.read(indices), tuple(looked_at), time.perf_counter() - began)
            except VideoError as error:
                return Decoded(str(error), (), time.perf_counter() - began)


@dataclass(frozen=True)
class VideoGroup:
    source: Source
    requests: tuple[Request, ...]


def group_by_video(requests: Iterable[Request]) -> Iterator[VideoGroup]:
    """Neighbouring requests about one video, with the video opened when its turn comes."""
    for _, group in groupby(requests, key=lambda r: r.name):
        members = tuple(group)
        yield VideoGroup(Source(members[0].video), members)
