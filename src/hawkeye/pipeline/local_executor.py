"""Run works on this machine: in this process, or in several. A video that brings its worker down costs nobody else's work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_end

from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.work import VideoWork
from hawkeye.pipeline.worker import Worker, single_threaded
from hawkeye.runtime import pick_device

CRASHED = "brought its worker process down (out of memory, or a fault in a decoder): try it alone, or leave it out"
_worker: Worker | None = None  # of this worker process


def run_local(works: Iterable[VideoWork], config: InternVidGConfig, num_workers: int) -> Iterator[VideoWork]:
    """Works as they get done, not in order. With a GPU the workers only decode, and this process holds the models."""
    worker = Worker(config)
    if num_workers <= 1:
        with single_threaded():
            yield from map(worker.run, works)
        return
    models_here = pick_device(config.device).type != "cpu"
    for work in _in_processes(iter(works), config, num_workers, scan_only=models_here):
        yield worker.look(work) if models_here else work


def _in_processes(
    works: Iterator[VideoWork], config: InternVidGConfig, num_workers: int, scan_only: bool
) -> Iterator[VideoWork]:
    not_ours = set(multiprocessing.active_children())
    pool = _pool(config, num_workers)
    running: dict[Future[VideoWork], VideoWork] = {}
    suspects: list[VideoWork] = []  # were under way when a worker died
    try:
        while True:
            for work in islice(works, 2 * num_workers - len(running)):
                running[pool.submit(_run, work, scan_only)] = work
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                work = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(work)
                else:
                    yield future.result()
            if suspects:
                suspects += running.values()
                running.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                for work in suspects:
                    yield _alone(work, config, scan_only)
                suspects.clear()
                pool = _pool(config, num_workers)
    finally:
        if running:  # interrupted: what is under way is made again some other time
            for process in set(multiprocessing.active_children()) - not_ours:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work: VideoWork, config: InternVidGConfig, scan_only: bool) -> VideoWork:
    with _pool(config, 1) as pool:
        try:
            return pool.submit(_run, work, scan_only).result()
        except BrokenProcessPool:
            work.failed_stage, work.error = "scenes", f"{work.path}: {CRASHED}"
            return work


def _pool(config: InternVidGConfig, num_workers: int) -> ProcessPoolExecutor:
    # A fork server starts without our threads and has the heavy imports done, so that its children start at once.
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    if has_server:
        context.set_forkserver_preload(["hawkeye.pipeline.worker"])
    return ProcessPoolExecutor(num_workers, context, initializer=_start, initargs=(config,))


def _start(config: InternVidGConfig) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    single_threaded().__enter__()  # to the end of the process
    _worker = Worker(config)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)


def _run(work: VideoWork, scan_only: bool) -> VideoWork:
    assert _worker is not None
    return _worker.scan(work) if scan_only else _worker.run(work)
