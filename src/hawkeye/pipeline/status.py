"""How far a build has come, from what is on disk; it may be running meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.folder import OutputFolder, read_manifest


@dataclass(frozen=True)
class StageStatus:
    """``seconds``: work time of all videos done; ``speed``: seconds of video per second of work."""

    stage: str
    num_done: int
    num_failed: int
    seconds: float
    speed: float | None


@dataclass(frozen=True)
class Status:
    """``work_left``: estimated seconds of work for the videos that are left, for one worker; None before any is done."""

    num_videos: int
    num_done: int
    num_failed: int
    stages: list[StageStatus]
    failures: list[tuple[str, str, str]]  # video, stage, reason
    work_left: float | None


def build_status(out: str | Path) -> Status:
    """Raises OutputError if ``out`` is not a build's folder."""
    config = InternVidGConfig.from_dict(read_manifest(out)["config"], f"{out}/manifest.json")
    folder = OutputFolder(out, config)
    videos = (Path(out) / "videos.txt").read_text(encoding="utf-8").splitlines()
    durations = {video: row["duration"] for video in videos if (row := folder.stages["scenes"].row(video))}
    stages = [_stage(folder, stage, videos, durations) for stage in folder.stages]
    num_done = sum(folder.is_done(video) for video in videos)
    seconds = sum(stage.seconds for stage in stages)
    return Status(
        num_videos=len(videos),
        num_done=num_done,
        num_failed=sum(folder.failed_stage(video) is not None for video in videos),
        stages=stages,
        failures=list(_failures(folder, videos)),
        work_left=seconds / num_done * (len(videos) - num_done) if num_done else None,
    )


def _stage(folder: OutputFolder, stage: str, videos: list[str], durations: dict[str, float]) -> StageStatus:
    rows = folder.stages[stage]
    done = [video for video in videos if video in rows and not rows.has_failed(video)]
    seconds = sum((rows.get(video) or {}).get("seconds", 0.0) for video in done)
    footage = sum(durations.get(video, 0.0) for video in done)
    num_failed = sum(rows.has_failed(video) for video in videos)
    return StageStatus(stage, len(done), num_failed, seconds, footage / seconds if seconds else None)


def _failures(folder: OutputFolder, videos: list[str]) -> Iterator[tuple[str, str, str]]:
    for video in videos:
        stage = folder.failed_stage(video)
        if stage is not None:
            yield video, stage, (folder.stages[stage].get(video) or {}).get("error", "")
