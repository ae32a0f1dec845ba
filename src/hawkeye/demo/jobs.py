"""Long work that shows how far it is and can be stopped. One job at a time for each visitor; no web framework here.

A job is stopped where the video is read: every search reads frames between two calls of the model, so a stop takes
effect after the call that is under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np

from hawkeye.errors import VideoError
from hawkeye.video.reader import Frames, VideoInfo, VideoReader

T = TypeVar("T")
POLL_SECONDS = 0.15


class Stopped(VideoError):
    """The person asked to stop."""


class Job:
    """How far one piece of work is, and whether it shall go on."""

    def __init__(self) -> None:
        self.words = "Waiting for the model"
        self.done = 0
        self.expected = 0
        self._stop = threading.Event()

    @property
    def fraction(self) -> float | None:
        """0 to 1, never quite 1 while the work goes on; None if nobody knows."""
        return min(self.done / self.expected, 0.99) if self.expected else None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def check(self) -> None:
        """Raises Stopped if the person asked for it."""
        if self._stop.is_set():
            raise Stopped("stopped")

    def phase(self, words: str, expected: int = 0) -> None:
        """Begin a new part of the work, of ``expected`` frames to read (0: unknown)."""
        self.check()
        self.words, self.done, self.expected = words, 0, expected


class Jobs:
    """The running job of each visitor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Job] = {}

    def begin(self, visitor: str) -> Job:
        """A new job; one that the same visitor still has running is stopped."""
        with self._lock:
            if visitor in self._running:
                self._running[visitor].stop()
            job = self._running[visitor] = Job()
        return job

    def end(self, visitor: str, job: Job) -> None:
        with self._lock:
            if self._running.get(visitor) is job:
                del self._running[visitor]

    def stop(self, visitor: str) -> bool:
        """Whether there was something to stop."""
        with self._lock:
            job = self._running.get(visitor)
        if job is not None:
            job.stop()
        return job is not None


def run(job: Job, work: Callable[[], T], poll_seconds: float = POLL_SECONDS) -> Generator[Job, None, T]:
    """Do ``work`` in a thread and yield the job every now and then; returns what the work returns, raises what it raises.

    Closing the generator stops the job: abandoned work ends at its next look.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="hawkeye-job")
    future = executor.submit(work)
    try:
        while not wait([future], poll_seconds).done:
            yield job
        return future.result()
    finally:
        if not future.done():
            job.stop()
        executor.shutdown(wait=False)


class WatchedReader:
    """A `VideoReader` that counts what is read for a job, and ends it with `Stopped` when it shall stop."""

    def __init__(self, reader: VideoReader, job: Job) -> None:
        self._reader, self._job = reader, job

    @property
    def info(self) -> VideoInfo:
        return self._reader.info

    @property
    def times(self) -> np.ndarray:
        return self._reader.times

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """As the reader inside. Raises Stopped, VideoError."""
        self._job.check()
        frames = self._reader.read(indices, short_side)
        self._job.done += len(indices)
        return frames

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
