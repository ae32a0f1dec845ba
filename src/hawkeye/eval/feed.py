"""Which videos are open: the ones that the model works on, and a few ahead of them in the decoding workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from hawkeye.eval.decoding import DecodeWorkers, Plan, RemoteReader


class VideoFeed:
    """Hands out ``videos`` one by one, in this order, each with the plan of what will be read of it first.

    Without workers a path is handed out as it is, for the engine to open.
    """

    def __init__(self, videos: Sequence[tuple[Path, Plan]], workers: DecodeWorkers | None, ahead: int) -> None:
        self._waiting, self._workers, self._ahead = deque(videos), workers, ahead
        self._opening: deque[tuple[Path, Future[RemoteReader]]] = deque()
        self._open: list[RemoteReader] = []
        self._top_up()

    def take(self, path: Path) -> Path | RemoteReader:
        """The next video, which must be ``path``. Raises VideoError if it can't be opened."""
        if self._workers is None:
            return path
        expected, future = self._opening.popleft()
        assert expected == path, f"{path} was asked for, {expected} is next"
        self._top_up()
        reader = future.result()
        self._open.append(reader)
        return reader

    def release(self) -> None:
        """Close all that was handed out: the model is done with it."""
        for reader in self._open:
            reader.close()
        self._open.clear()

    def _top_up(self) -> None:
        while self._workers is not None and self._waiting and len(self._opening) < self._ahead:
            path, plan = self._waiting.popleft()
            self._opening.append((path, self._workers.open(path, plan)))
