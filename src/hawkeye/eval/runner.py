"""A benchmark from examples to rows on disk: by video, decoded ahead, resumable after a kill at any moment.

It knows how to run and to store; what is done with an example is `hawkeye.eval.work`'s, how it is judged the scorer's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkeye.datasets.registry import resolve_video
from hawkeye.errors import VideoError
from hawkeye.eval.blocks import VIDEOS_A_BLOCK, Group, Shard, make_blocks
from hawkeye.eval.decoding import DecodeWorkers, RemoteReader
from hawkeye.eval.feed import VideoFeed
from hawkeye.eval.journal import Journal, open_for_rows, write_row
from hawkeye.eval.manifest import open_manifest
from hawkeye.eval.work import Done, Row, Work, error_row

PREDICTIONS, TIMINGS = "predictions.jsonl", "timings.jsonl"
AUTO_WORKERS = 4  # more than this only helps if the model is very quick
MIN_VIDEOS = 8  # fewer are decoded before a worker has started

OnRow = Callable[[int, int, Row], None]  # rows done, rows in all, the row


@dataclass(frozen=True)
class RunSettings:
    """How to run, as opposed to what. Only ``limit``, ``shard`` and ``block`` can show in the rows."""

    limit: int | None = None
    shard: Shard = field(default_factory=Shard)
    block: int = VIDEOS_A_BLOCK  # videos
    workers: int | None = None  # decoding processes; None: as many as there are cores, 0: decode in this process
    retry_errors: bool = False


@dataclass(frozen=True)
class RunSummary:
    folder: Path
    total: int  # rows of this shard
    new: int  # written by this session
    errors: int  # among the new


def run(
    work: Work,
    examples: Sequence[Any],
    videos: Path,
    out: Path,
    identity: dict[str, Any],
    settings: RunSettings = RunSettings(),
    on_row: OnRow | None = None,
    notes: dict[str, Any] | None = None,
) -> RunSummary:
    """Answer all ``examples`` and keep the rows in ``out``. What stands there already is not done again.

    ``identity`` and ``notes`` go into the manifest: what the run is, and what else to remember of this session. Raises
    ConfigError if ``out`` holds another run, VideoError if not one video is there.
    """
    blocks = make_blocks(examples, settings.limit, settings.shard, settings.block)
    places = {video: _place(members[0], videos) for block in blocks for video, members in block}
    if places and all(isinstance(place, VideoError) for place in places.values()):
        raise VideoError(f"none of the {len(places)} videos is there, the first: {next(iter(places.values()))}")
    identity = identity | {"limit": settings.limit, "block": settings.block, "shard": str(settings.shard)}
    open_manifest(out, identity, {**(notes or {}), "videos": str(videos.resolve())})
    total = sum(len(members) for block in blocks for _, members in block)
    with Journal(out / PREDICTIONS, settings.retry_errors) as journal, _timings(out / TIMINGS) as timings:
        started = len(journal.done)
        pending = [block for block in blocks if any(e.id not in journal.done for _, members in block for e in members)]
        errors = 0
        with contextlib.closing(_finished(work, pending, places, _num_workers(settings.workers, pending))) as finished:
            for done in finished:
                if done.example.id in journal.done:  # the rest of a block that was interrupted
                    continue
                journal.append(done.row)
                write_row(timings, {"id": done.example.id, **done.seconds})
                errors += done.row["error"] is not None
                if on_row:
                    on_row(len(journal.done), total, done.row)
        return RunSummary(out, total, len(journal.done) - started, errors)


@contextlib.contextmanager
def _timings(path: Path) -> Iterator[int]:
    file = open_for_rows(path)
    try:
        yield file
    finally:
        os.close(file)


def _place(example: Any, videos: Path) -> Path | VideoError:
    try:
        return resolve_video(example, videos)
    except VideoError as error:
        return error


def _num_workers(asked: int | None, blocks: Sequence[list[Group]]) -> int:
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, AUTO_WORKERS) if sum(len(block) for block in blocks) >= MIN_VIDEOS and cores > 1 else 0


def _finished(
    work: Work, blocks: Sequence[list[Group]], places: dict[str, Path | VideoError], num_workers: int
) -> Generator[Done]:
    there = [
        (place, work.plan(members))
        for block in blocks
        for video, members in block
        if isinstance(place := places[video], Path)
    ]
    with DecodeWorkers(num_workers) if num_workers else contextlib.nullcontext() as workers:
        feed = VideoFeed(there, workers, 2 * num_workers)
        for block in blocks:
            failed: list[Done] = []
            yield from work.run(_opened(block, places, feed, failed))
            yield from failed
            feed.release()


def _opened(
    block: list[Group], places: dict[str, Path | VideoError], feed: VideoFeed, failed: list[Done]
) -> Iterator[tuple[Path | RemoteReader, list[Any]]]:
    """The videos of a block that can be had; the examples of the others go to ``failed``."""
    for video, members in block:
        place = places[video]
        try:
            if isinstance(place, VideoError):
                raise place
            opened = feed.take(place)
        except VideoError as error:
            failed += [Done(example, error_row(example, error), {}) for example in members]
        else:
            yield opened, members
