"""Where the numbers of a run go: always one JSON object a line, and TensorBoard, trackio or Weights & Biases when asked.

Only rank 0 has trackers. They never compute anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from hawkeye.records import atomic_write, read_jsonl
from hawkeye.runtime import require

TrackerName = Literal["tensorboard", "trackio", "wandb"]


class Tracker(Protocol):
    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonlTracker:
    """``log.jsonl``: one line a logged step, flushed at once.

    Lines of ``start_step`` and later are taken out first: they are steps that a killed run took after its last checkpoint,
    and that will be taken again.
    """

    def __init__(self, path: Path, start_step: int = 0) -> None:
        if path.is_file():
            kept = [row for row in read_jsonl(path, partial_tail=True) if row.get("step", 0) <= start_step]
            with atomic_write(path) as file:
                file.writelines(json.dumps(row) + "\n" for row in kept)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoardTracker:
    def __init__(self, folder: Path) -> None:
        require("tensorboard", "train")
        self._writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class RunTracker:
    """trackio and Weights & Biases, which share their three calls."""

    def __init__(self, package: Literal["trackio", "wandb"], project: str, name: str, config: dict[str, Any]) -> None:
        self._package = require(package)
        self._package.init(project=project, name=name, config=config)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._package.log(dict(values), step=step)

    def close(self) -> None:
        self._package.finish()


def open_trackers(
    output: Path, names: Sequence[TrackerName], project: str, config: dict[str, Any], start_step: int = 0
) -> list[Tracker]:
    """The JSONL log and the named trackers. Raises MissingDependency with the pip command of one that isn't there."""
    trackers: list[Tracker] = [JsonlTracker(output / "log.jsonl", start_step)]
    for name in names:
        if name == "tensorboard":
            trackers.append(TensorBoardTracker(output / "tensorboard"))
        else:
            trackers.append(RunTracker(name, project, output.name, config))
    return trackers
