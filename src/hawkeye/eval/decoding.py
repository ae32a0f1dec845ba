"""Videos decoded in other processes, ahead of the model. A file that crashes the decoder costs one worker, not the run.

Each worker serves one pipe: "open this", "read these frames". `RemoteReader` is a `VideoReader` whose frames come from
there, so the engine does not know the difference. What will be read first is known beforehand (the whole video's frames,
or all frames of the direct strategy) and is decoded as soon as the video is opened, while the model is still busy with
others. Pixels travel through the pipe: nothing is left behind when a process is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.errors import ConfigError, VideoError
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, ReaderBase, VideoInfo, VideoReader, open_video

Read = tuple[list[int], int | None]  # frame numbers and short side, as `VideoReader.read` takes them
GOODBYE = 5.0  # seconds that a process has to end by itself when its pipe is closed
AHEAD_FRAMES = 128  # decoded frames that may wait for the model, for each video


@dataclass(frozen=True)
class Plan:
    """What will be read of a video first. ``windows``: in this order, None is the whole video; ``direct``: everything that
    the direct strategy reads. ``fps``: the rate of a folder of pictures, where the annotations tell it."""

    num_frames: int = 12
    windows: tuple[Span | None, ...] = (None,)
    direct: bool = False
    fps: float | None = None

    def reads(self, reader: VideoReader) -> list[Read]:
        """In order. A window that the video doesn't have is left out: whoever asks for it gets the error then."""
        if self.direct:
            from hawkeye.grounding.direct import direct_reads

            return [*direct_reads(reader)]
        from hawkeye.video.sampling import sample_window

        planned: list[Read] = []
        for window in self.windows:
            with contextlib.suppress(VideoError):
                planned.append((sample_window(reader, window, self.num_frames)[0], None))
        return planned


class DecodeWorkers:
    """``count`` processes that decode. Use it as a context; every video is served by one of them."""

    def __init__(self, count: int) -> None:
        self._workers = [_Worker() for _ in range(count)]

    def open(self, path: Path, plan: Plan) -> Future[RemoteReader]:
        """Open ``path`` in the worker that has least to do, and begin with what ``plan`` says will be read."""
        worker = min(self._workers, key=lambda w: w.pending)
        return worker.submit(worker.open, (path, plan.fps), plan)

    @property
    def busy(self) -> float:
        """Seconds that all workers together have been at work."""
        return sum(worker.busy for worker in self._workers)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def __enter__(self) -> DecodeWorkers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RemoteReader(ReaderBase):
    """One video in a worker. Reads raise VideoError as a local reader's do, and also if the worker died of it."""

    def __init__(self, worker: _Worker, video: _Video, info: VideoInfo, times: np.ndarray, planned: list[Read]) -> None:
        self._worker, self._video, self._info, self._times = worker, video, info, times
        self._planned, self._ahead = deque(planned), deque[tuple[Read, Future[Frames]]]()
        self._read_ahead()

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        wanted = (list(indices), short_side)
        if self._ahead and self._ahead[0][0] == wanted:
            frames = self._ahead.popleft()[1]
            self._read_ahead()
            return frames.result()
        return self._submit(wanted).result()

    def _read_ahead(self) -> None:
        waiting = sum(len(read[0]) for read, _ in self._ahead)
        while self._planned and waiting <= AHEAD_FRAMES:
            read = self._planned.popleft()
            self._ahead.append((read, self._submit(read)))
            waiting += len(read[0])

    def _submit(self, read: Read) -> Future[Frames]:
        return self._worker.submit(self._worker.read, self._video, *read)

    def close(self) -> None:
        for _, future in self._ahead:
            future.cancel()
        self._ahead.clear()
        self._planned.clear()
        self._worker.submit(self._worker.forget, self._video)


_Video = tuple[Path, float | None]  # a path, and the rate of a folder of pictures: what a worker opens


class _Worker:
    """The near end of one process. Its thread sends one order at a time and waits for the answer."""

    _names = itertools.count(1)

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"hawkeye-worker-{next(self._names)}")
        self._lock = threading.Lock()
        self.pending = 0
        self.busy = 0.0  # seconds with an order at work, for benchmarks
        self._start()

    def _start(self) -> None:
        self._ready = False
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far,), daemon=True)
        self._process.start()
        far.close()

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        self._count(1)
        future = self._thread.submit(self._timed, function, *arguments)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _timed(self, function: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.busy += time.perf_counter() - began

    def _count(self, change: int) -> None:
        with self._lock:
            self.pending += change

    def open(self, video: _Video, plan: Plan) -> RemoteReader:
        info, times, planned = self._ask("open", video, plan)
        return RemoteReader(self, video, info, times, planned)

    def read(self, video: _Video, indices: list[int], short_side: int | None) -> Frames:
        import torch

        pixels, times = self._ask("read", video, indices, short_side)
        return Frames(torch.from_numpy(pixels).permute(0, 3, 1, 2), times)

    def forget(self, video: _Video) -> None:
        self._ask("close", video)

    def _ask(self, order: str, video: _Video, *arguments: Any) -> Any:
        """The answer to an order. A process that dies of it is replaced and asked once more: it may have been somebody else's
        fault. Raises VideoError: the process's own, or one that says that it died twice; ConfigError if none can start.
        """
        for last in (False, True):
            try:
                return self._exchange((order, video, *arguments))
            except (EOFError, OSError):
                self._process.join()
                code = self._process.exitcode
                self._pipe.close()
                self._start()
                if last:
                    raise VideoError(
                        f"{video[0]}: the process that decodes it dies of it (exit code {code}): the file may be broken"
                    ) from None

    def _exchange(self, order: tuple[Any, ...]) -> Any:
        if not self._ready:
            self._await_start()
        self._pipe.send(order)
        kind, answer = self._pipe.recv()
        if kind == "error":
            raise VideoError(answer)
        if kind == "pixels":
            shape, times = answer
            pixels = np.empty(shape, dtype=np.uint8)
            self._pipe.recv_bytes_into(pixels.reshape(-1))  # flat: it counts the first axis only
            return pixels, times
        return answer

    def _await_start(self) -> None:
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            raise ConfigError(
                "a decoding process could not start: if this runs from a script of your own, put its code behind "
                "`if __name__ == '__main__':`, or decode in this process with workers=0"
            ) from None
        self._ready = True

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._pipe.close()
        if self._ready:
            self._process.join(timeout=GOODBYE)
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection) -> None:
    """The far end: answer orders until the pipe is closed. A video it doesn't know (after a crash) is opened again."""
    import signal

    import torch

    from hawkeye.video.sweep import set_decoder_threads

    torch.set_num_threads(1)
    set_decoder_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; it closes the pipe
    pipe.send("ready")
    readers: dict[_Video, VideoReader] = {}
    for order, video, *arguments in _orders(pipe):
        pixels, answer = None, None
        try:
            if order == "close":
                if video in readers:
                    readers.pop(video).close()
            else:
                if video not in readers:
                    readers[video] = open_video(video[0], fps=video[1])
                reader = readers[video]
                if order == "open":
                    answer = (reader.info, reader.times, arguments[0].reads(reader))
                else:
                    frames = reader.read(*arguments)
                    pixels = frames.pixels.permute(0, 2, 3, 1).contiguous().numpy()  # readers hold them so: no copy
                    answer = (pixels.shape, frames.times)
        except VideoError as error:
            pipe.send(("error", str(error)))
        else:
            pipe.send(("answer" if pixels is None else "pixels", answer))
            if pixels is not None:
                pipe.send_bytes(pixels.data.cast("B"))


def _orders(pipe: Connection) -> Iterator[Any]:
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return
