"""Before a long run: is every video of a data set there, can it be opened, and is it as long as its annotations say?

Videos are opened in worker processes, so that a file that crashes the decoder costs one worker and is named. Durations
are kept on disk by path, size and time of change; a second check of the same folder opens nothing. No model is involved.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkeye.datasets.videos import media_name, resolve_video
from hawkeye.errors import AnnotationError, VideoError
from hawkeye.records import atomic_write, read_json

CACHE_VERSION = 1
CHUNK = 64  # videos handed out at once: so many are opened again, one by one, after a crash


@dataclass(frozen=True)
class Problem:
    kind: str  # missing, unreadable or short
    video: str  # as the annotations name it
    detail: str
    num_examples: int


@dataclass(frozen=True)
class Preflight:
    """What a check found. ``durations``: seconds of every video that could be opened, by the annotations' name."""

    num_videos: int
    problems: tuple[Problem, ...]
    durations: dict[str, float] = field(default_factory=dict)
    num_opened: int = 0  # the others came from the cache

    def count(self, kind: str) -> int:
        return sum(problem.kind == kind for problem in self.problems)


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/hawkeye/durations.json``, by default under ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hawkeye" / "durations.json"


def check_videos(
    examples: Iterable[Any],
    videos_dir: str | Path,
    workers: int = 2,
    cache: str | Path | None = None,
    decode: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Preflight:
    """Look for the video of every example. ``cache``: a JSON file of durations (None: none).

    ``decode`` also decodes the first, middle and last frame of each, whatever the cache knows.
    Short: more than a second and 2 % shorter than annotated, or a span or window starts after the end.
    ``on_progress(done, total)`` counts the videos that must be opened. As processes are started, a script that calls this
    needs the usual ``if __name__ == "__main__":``.
    """
    groups: dict[str, list[Any]] = {}
    for example in examples:
        groups.setdefault(media_name(example), []).append(example)
    problems: list[Problem] = []
    paths: dict[str, Path] = {}
    for name, group in groups.items():
        try:
            paths[name] = resolve_video(group[0], videos_dir)
        except VideoError as error:
            problems.append(Problem("missing", name, str(error), len(group)))
    known = _read_cache(cache)
    keys = {name: _key(path) for name, path in paths.items()}
    unknown = {name: path for name, path in paths.items() if decode or keys[name] not in known}
    durations = {name: known[keys[name]] for name in paths if name not in unknown}
    try:
        for done, (name, found) in enumerate(_open_all(unknown, workers, decode), 1):
            if isinstance(found, str):
                problems.append(Problem("unreadable", name, found, len(groups[name])))
            else:
                durations[name] = known[keys[name]] = found
            if on_progress:
                on_progress(done, len(unknown))
    finally:  # an interrupted check goes on where it was
        if cache is not None and unknown:
            _write_cache(cache, known)
    problems.extend(p for name, duration in durations.items() for p in _too_short(name, groups[name], duration))
    order = {name: place for place, name in enumerate(groups)}
    problems.sort(key=lambda problem: (problem.kind, order[problem.video]))
    return Preflight(len(groups), tuple(problems), {n: durations[n] for n in groups if n in durations}, len(unknown))


def _too_short(name: str, group: Sequence[Any], duration: float) -> list[Problem]:
    annotated = max((getattr(example, "duration", None) or 0.0 for example in group), default=0.0)
    late = [start for start in map(_latest_start, group) if start >= duration]
    if annotated - duration > max(1.0, 0.02 * annotated):
        return [Problem("short", name, f"is {duration:.2f} s long, annotated are {annotated:.2f} s", len(group))]
    if late:
        return [Problem("short", name, f"is {duration:.2f} s long, a span starts at {max(late):.2f} s", len(late))]
    return []


def _latest_start(example: Any) -> float:
    spans = [*getattr(example, "spans", ()), getattr(example, "window", None), getattr(example, "span", None)]
    return max((span[0] for span in spans if span), default=-1.0)


def _key(path: Path) -> str:
    """A folder of pictures counts by its own time of change, which moves when pictures come or go."""
    facts = path.stat()
    return f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"


def _read_cache(cache: str | Path | None) -> dict[str, float]:
    """Empty if there is none or it is not ours: it only saves time."""
    if cache is None or not Path(cache).is_file():
        return {}
    try:
        values = read_json(cache)
    except AnnotationError:
        return {}
    if not isinstance(values, dict) or values.get("version") != CACHE_VERSION:
        return {}
    durations = values.get("durations")
    if not isinstance(durations, dict):
        return {}
    return {key: value for key, value in durations.items() if isinstance(value, float)}


def _write_cache(cache: str | Path, durations: dict[str, float]) -> None:
    with atomic_write(cache) as file:
        json.dump({"version": CACHE_VERSION, "durations": durations}, file, indent=0)


def _duration(path: str, decode: bool) -> float | str:
    """In a worker: seconds, or what is wrong."""
    from hawkeye.video.reader import open_video

    try:
        with open_video(path) as reader:
            if decode:
                last = reader.info.num_frames - 1
                reader.read([0, last // 2, last], short_side=32)
                if reader.info.num_corrupt:
                    return f"{path}: {reader.info.num_corrupt} of its pictures are broken: convert or download it again"
            return float(reader.info.duration)
    except VideoError as error:
        return str(error)


def _open_all(paths: dict[str, Path], workers: int, decode: bool) -> Iterator[tuple[str, float | str]]:
    """``(name, seconds or what is wrong)`` as they come. After a crash the rest of its chunk is opened in turn."""
    items = list(paths.items())
    if not items:
        return
    pool = _pool(min(workers, len(items)))
    try:
        for start in range(0, len(items), CHUNK):
            left = dict(items[start : start + CHUNK])
            try:
                futures = {pool.submit(_duration, str(path), decode): name for name, path in left.items()}
                for future in as_completed(futures):
                    found = future.result()
                    del left[futures[future]]
                    yield futures[future], found
            except BrokenProcessPool:
                pool.shutdown()
                pool = _pool(min(workers, len(items)))
                yield from _open_in_turn(left, decode)
    finally:
        pool.shutdown(cancel_futures=True)


def _open_in_turn(paths: dict[str, Path], decode: bool) -> Iterator[tuple[str, float | str]]:
    """One worker, one video at a time: when it dies, the video in its hands is to blame."""
    left = list(paths.items())
    while left:
        with _pool(1) as pool:
            try:
                while left:
                    found = pool.submit(_duration, str(left[0][1]), decode).result()
                    yield left.pop(0)[0], found
            except BrokenProcessPool:
                name, path = left.pop(0)
                yield name, f"{path}: the decoder crashed on it"


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max(1, workers), mp_context=multiprocessing.get_context("spawn"))
