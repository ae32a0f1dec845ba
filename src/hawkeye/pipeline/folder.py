"""The output folder of a build: who works in it, what its rows were made with, and which rows there are.

::

    OUT/videos.txt                  the videos, in input order
    OUT/manifest.json               settings, and for each stage its version and hash
    OUT/journal/STAGE-HASH-SHARD.jsonl   results by video, in the order in which they were made
    OUT/lock                        held by the build that is running

Rows are found by what they depend on (the hash), so after a change of settings exactly the stages that depend on it are
made again, and going back costs nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hawkeye.errors import OutputError
from hawkeye.pipeline.config import STAGE_VERSIONS, InternVidGConfig, stage_hashes
from hawkeye.pipeline.journal import Journal, full_disk
from hawkeye.records import atomic_write, read_json

STAGES = tuple(STAGE_VERSIONS)
FORMAT = 1


class StageRows:
    """All results of one stage with the present settings: this shard's journal and those of other shards."""

    def __init__(self, folder: Path, stage: str, stage_hash: str, shard: str | None) -> None:
        self.stage = stage
        own = folder / "journal" / f"{stage}-{stage_hash}-{shard}.jsonl"
        self.own = Journal(own, writable=True) if shard else None
        others = sorted(path for path in (folder / "journal").glob(f"{stage}-{stage_hash}-*.jsonl") if path != own)
        self._all = [*([self.own] if self.own else []), *(Journal(path) for path in others)]

    def get(self, video: str) -> dict[str, Any] | None:
        """``{"key", "row" or "error", "seconds"}``; a row is preferred to an error."""
        found = [entry for journal in self._all if (entry := journal.get(video))]
        return next((entry for entry in found if "row" in entry), found[0] if found else None)

    def row(self, video: str) -> dict[str, Any] | None:
        return (self.get(video) or {}).get("row")

    def videos(self) -> set[str]:
        return {key for journal in self._all for key in journal.keys()}

    def record(self, video: str, values: dict[str, Any]) -> None:
        assert self.own is not None
        self.own.append(video, values)

    def close(self) -> None:
        if self.own:
            self.own.close()


class OutputFolder:
    """``shard`` (such as ``0-of-1``) opens it for writing. Raises OutputError."""

    def __init__(self, path: str | Path, config: InternVidGConfig, shard: str | None = None) -> None:
        self.path = Path(path)
        self.config = config
        hashes = stage_hashes(config)
        self.stages = {stage: StageRows(self.path, stage, hashes[stage], shard) for stage in STAGES}

    def failure(self, video: str) -> tuple[str, str] | None:
        """Stage and reason if the video failed with the present settings."""
        for stage, rows in self.stages.items():
            entry = rows.get(video)
            if entry is None:
                return None
            if "error" in entry:
                return stage, entry["error"]
        return None

    def is_done(self, video: str) -> bool:
        """Whether nothing is left to do for it, be it that it failed."""
        return self.failure(video) is not None or all(rows.get(video) for rows in self.stages.values())

    def close(self) -> None:
        for rows in self.stages.values():
            rows.close()


def write_manifest(folder: Path, config: InternVidGConfig) -> list[str]:
    """Note the settings; returns the stages whose rows were made with others before and are made again."""
    path = folder / "manifest.json"
    before = read_manifest(folder)["stages"] if path.exists() else {}
    hashes = stage_hashes(config)
    stages = {stage: {"version": STAGE_VERSIONS[stage], "hash": hashes[stage]} for stage in STAGES}
    manifest = {"format": FORMAT, "stages": stages, "config": config.model_dump()}
    with write_whole(path) as file:
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
    """`records.atomic_write`, with a message that fits a full disk."""
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise full_disk(path, error) from None


@contextmanager
def locked(folder: Path, shard: str = "0-of-1") -> Iterator[None]:
    """Keep other builds out of ``folder``; different shards of one build may run side by side.

    The system lets go of the lock when its holder dies, however it dies, so there are no stale locks. Raises OutputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    alone = shard == "0-of-1"
    with ExitStack() as stack:
        _take(stack, folder / "lock", fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            _take(stack, folder / f"lock-{shard}", fcntl.LOCK_EX)
        yield


def _take(stack: ExitStack, path: Path, kind: int) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    stack.callback(os.close, handle)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        raise OutputError(
            f"{path.parent}: another build is at work there ({holder}): wait for it, stop it, or give another folder"
        ) from None
    except OSError as error:
        raise OutputError(f"{path}: this file system can't lock ({error.strerror}): use a local folder") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode(), 0)
