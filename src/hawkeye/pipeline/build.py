"""Build InternVid-G style data from raw videos: every video through all steps once, then filter and negative spans over all.

What has been done is never done again, whatever stops the build; see `folder` for what is on disk and `publish` for the
files that come out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hawkeye.errors import ConfigError, ModelError
from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.folder import STAGES, OutputFolder, write_manifest, write_whole
from hawkeye.pipeline.lock import locked, turn_to_finish
from hawkeye.pipeline.parts import check_names
from hawkeye.pipeline.publish import Counts, publish
from hawkeye.pipeline.sources import Video
from hawkeye.pipeline.work import VideoWork

Executor = Literal["local", "ray"]
MAX_FAILURES_IN_A_ROW = 10


@dataclass
class BuildReport:
    """Where a build stands. ``num_videos`` are this shard's, ``counts`` is None until all shards are done."""

    num_videos: int
    num_done: int = 0  # before this run or in it, failures included
    num_failed: int = 0
    num_worked_on: int = 0  # in this run
    started: float = field(default_factory=time.monotonic)
    redone_stages: list[str] = field(default_factory=list)
    counts: Counts | None = None


def build(
    videos: Sequence[Video],
    out: str | Path,
    config: InternVidGConfig,
    num_workers: int = 1,
    executor: Executor = "local",
    shard: tuple[int, int] = (0, 1),
    retry_failed: bool = False,
    on_progress: Callable[[BuildReport, VideoWork | None], None] = lambda report, work: None,
) -> BuildReport:
    """Make, or go on making, the data set in the folder ``out``.

    ``shard`` (i, n): work on every n-th video from the i-th on; the run that finds all shards done writes the final files.
    Raises OutputError (folder in use, disk full), ConfigError, and ModelError if every video fails at the same model.
    """
    check_names(config)
    if executor not in ("local", "ray"):
        raise ConfigError(f"executor {executor!r} is unknown: expected local or ray")
    out, shard_name = Path(out), f"{shard[0]}-of-{shard[1]}"
    mine = videos[shard[0] :: shard[1]]
    with locked(out, shard_name):
        redone = write_manifest(out, config)
        with write_whole(out / "videos.txt") as file:
            file.writelines(f"{video.name}\n" for video in videos)
        folder = OutputFolder(out, config, shard_name)
        report = BuildReport(len(mine), redone_stages=redone)
        todo: list[Video] = []
        for video in mine:
            failed = folder.failed_stage(video.name) is not None
            if not folder.is_done(video.name) or (failed and retry_failed):
                todo.append(video)
            else:
                report.num_done += 1
                report.num_failed += failed
        on_progress(report, None)
        try:
            for work in _run(executor, _works(folder, todo), config, num_workers):
                _record(folder, work)
                report.num_done += 1
                report.num_worked_on += 1
                report.num_failed += work.failed_stage is not None
                on_progress(report, work)
        finally:
            folder.close()
    report.counts = finish(videos, out, config)
    return report


def finish(videos: Sequence[Video], out: str | Path, config: InternVidGConfig) -> Counts | None:
    """Write the final files if no video of any shard is left to do. Raises OutputError."""
    with turn_to_finish(Path(out)):
        folder = OutputFolder(out, config)
        if not all(folder.is_done(video.name) for video in videos):
            return None
        return publish([video.name for video in videos], folder, config)


def _works(folder: OutputFolder, videos: Iterable[Video]) -> Iterator[VideoWork]:
    for video in videos:
        rows = {stage: row for stage in STAGES if (row := folder.stages[stage].row(video.name)) is not None}
        yield VideoWork(video.name, video.path, rows)


def _run(
    executor: Executor, works: Iterable[VideoWork], config: InternVidGConfig, num_workers: int
) -> Iterator[VideoWork]:
    if executor == "ray":
        from hawkeye.pipeline.ray_executor import run_ray

        done = run_ray(works, config, num_workers)
    else:
        from hawkeye.pipeline.local_executor import run_local

        done = run_local(works, config, num_workers)
    in_a_row = 0
    for work in done:
        yield work
        in_a_row = in_a_row + 1 if work.failed_stage not in (None, "scenes") else 0
        if in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise ModelError(
                f"the last {in_a_row} videos all failed at {work.failed_stage}: {work.error}. Mend that, then run the same "
                "command again with --retry-failed"
            )


def _record(folder: OutputFolder, work: VideoWork) -> None:
    for stage in STAGES:
        seconds = {"seconds": round(work.seconds.get(stage, 0.0), 3)}
        if stage in work.made:
            folder.stages[stage].record(work.video, {"row": work.rows[stage]} | seconds)
        elif stage == work.failed_stage:
            folder.stages[stage].record(work.video, {"error": work.error} | seconds)
