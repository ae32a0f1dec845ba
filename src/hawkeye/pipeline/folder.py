"""The output folder of a build: what its rows were made with, and which rows there are.

::

    OUT/videos.txt                       the videos, in input order
    OUT/manifest.json                    settings, and for each stage its version and hash
    OUT/journal/STAGE-HASH-SHARD.jsonl   results by video, in the order in which they were made

Rows are found by what they depend on (the hash), so after a change of settings exactly the stages that depend on it are
made again, and going back costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hawkeye.errors import OutputError
from hawkeye.pipeline.config import STAGE_VERSIONS, InternVidGConfig, stage_hashes
from hawkeye.pipeline.journal import Journal, write_error
from hawkeye.records import atomic_write, read_json

STAGES = tuple(STAGE_VERSIONS)
FORMAT = 1


class StageRows:
    """All results of one stage with the present settings: this shard's journal and those of other shards."""

    def __init__(self, folder: Path, stage: str, stage_hash: str, shard: str | None) -> None:
        own = folder / "journal" / f"{stage}-{stage_hash}-{shard}.jsonl"
        self._own = Journal(own, writable=True) if shard else None
        others = sorted(path for path in (folder / "journal").glob(f"{stage}-{stage_hash}-*.jsonl") if path != own)
        self._all = [*([self._own] if self._own else []), *(Journal(path) for path in others)]

    def __contains__(self, video: str) -> bool:
        return any(video in journal for journal in self._all)

    def has_failed(self, video: str) -> bool:
        """Whether there is an error for it and no row."""
        holders = [journal for journal in self._all if video in journal]
        return bool(holders) and all(journal.has_failed(video) for journal in holders)

    def get(self, video: str) -> dict[str, Any] | None:
        """``{"key", "row" or "error", "seconds"}``; a row is preferred to an error."""
        holders = [journal for journal in self._all if video in journal]
        holders.sort(key=lambda journal: journal.has_failed(video))
        return holders[0].get(video) if holders else None

    def row(self, video: str) -> dict[str, Any] | None:
        return None if self.has_failed(video) else (self.get(video) or {}).get("row")

    def record(self, video: str, values: dict[str, Any]) -> None:
        assert self._own is not None
        self._own.append(video, values)

    def close(self) -> None:
        if self._own:
            self._own.close()


class OutputFolder:
    """``shard`` (such as ``0-of-1``) opens it for writing. Raises OutputError."""

    def __init__(self, path: str | Path, config: InternVidGConfig, shard: str | None = None) -> None:
        self.path = Path(path)
        hashes = stage_hashes(config)
        self.stages = {stage: StageRows(self.path, stage, hashes[stage], shard) for stage in STAGES}

    def failed_stage(self, video: str) -> str | None:
        """The stage at which the video failed with the present settings."""
        return next((stage for stage, rows in self.stages.items() if rows.has_failed(video)), None)

    def is_done(self, video: str) -> bool:
        """Whether nothing is left to do for it, be it that it failed."""
        return self.failed_stage(video) is not None or all(video in rows for rows in self.stages.values())

    def close(self) -> None:
        for rows in self.stages.values():
            rows.close()


def write_manifest(folder: Path, config: InternVidGConfig) -> list[str]:
    """Note the settings; returns the stages whose rows are made again because theirs have changed."""
    before = read_manifest(folder)["stages"] if (folder / "manifest.json").exists() else {}
    hashes = stage_hashes(config)
    stages = {stage: {"version": STAGE_VERSIONS[stage], "hash": hashes[stage]} for stage in STAGES}
    with write_whole(folder / "manifest.json") as file:
        manifest = {"format": FORMAT, "stages": stages, "config": config.model_dump()}
        file.write(json.dumps(manifest, indent=1) + "\n")
    return [stage for stage in STAGES if stage in before and before[stage] != stages[stage]]


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Raises OutputError if the folder is no build's."""
    path = Path(folder) / "manifest.json"
    if not path.exists():
        raise OutputError(
            f"{folder}: holds no build (no manifest.json): give the OUT folder of hawkeye internvid build"
        )
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise OutputError(f"{path}: has format {manifest.get('format')}, expected {FORMAT}: use a new output folder")
    return manifest


@contextmanager
def write_whole(path: Path) -> Iterator[Any]:
    """`records.atomic_write`, with a message of its own for a full disk."""
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise write_error(path, error) from None
