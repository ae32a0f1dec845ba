"""Shards of one run -> one run: the same rows as if it had never been cut up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hawkeye.errors import ConfigError
from hawkeye.eval.blocks import Shard
from hawkeye.eval.journal import sorted_lines
from hawkeye.eval.manifest import FILE, differences
from hawkeye.eval.runner import PREDICTIONS
from hawkeye.records import atomic_write, read_json


@dataclass(frozen=True)
class Merged:
    folder: Path
    rows: int
    expected: int | None  # rows of a complete run, where the manifest says


def merge(out: Path, parts: Sequence[Path]) -> Merged:
    """Write the rows of all ``parts`` by id into ``out``, with a manifest that names them.

    Raises ConfigError if they are not the shards of one run, or not all of them.
    """
    if not parts:
        raise ConfigError("nothing to merge: give the folders of all shards")
    if out.exists() and any(out.resolve() == part.resolve() for part in parts):
        raise ConfigError(f"{out}: is one of the shards: choose another folder for the merged run")
    manifests = [_manifest(part) for part in parts]
    runs = [dict(manifest["run"]) for manifest in manifests]
    shards = [Shard.parse(run.pop("shard")) for run in runs]
    for part, run in zip(parts[1:], runs[1:], strict=True):
        changes = list(differences(runs[0], run))
        if changes:
            raise ConfigError(f"{part} is not of the same run as {parts[0]}: {'; '.join(changes)}")
    count = shards[0].count
    wrong = next((shard for shard in shards if shard.count != count), None)
    missing = [f"{i}/{count}" for i in range(1, count + 1) if Shard(i, count) not in shards]
    if wrong:
        raise ConfigError(f"shard {wrong} among shards of {count}: merge shards of one division only")
    if missing:
        raise ConfigError(f"shards {', '.join(missing)} are missing: run them, then merge all {count}")
    lines = sorted_lines([part / PREDICTIONS for part in parts])
    with atomic_write(out / PREDICTIONS, "wb") as file:
        file.writelines(line + b"\n" for line in lines)
    sessions = [session for manifest in manifests for session in manifest["sessions"]]
    with atomic_write(out / FILE) as file:
        merged = {"run": {**runs[0], "shard": "1/1"}, "sessions": sessions, "merged": [str(part) for part in parts]}
        json.dump(merged, file, indent=1, ensure_ascii=False)
    return Merged(out, len(lines), runs[0].get("data", {}).get("examples"))


def _manifest(part: Path) -> dict:
    path = part / FILE
    if not path.exists():
        raise ConfigError(f"{part}: holds no {FILE}: give the --out folders of `hawkeye eval`")
    return read_json(path)
