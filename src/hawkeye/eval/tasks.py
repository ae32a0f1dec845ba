"""The benchmarks by name: which data set, asked how. One's own come from a YAML file of the same fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hawkeye.config import Config
from hawkeye.errors import ConfigError


class EvalTask(Config):
    """A benchmark. Paths in a task file are relative to where the command runs."""

    name: str
    dataset: str  # a name from `hawkeye prepare list`
    about: str = ""
    annotations: Path | list[Path] | None = None
    videos: Path | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # for the data set's reader, such as split: val_1
    num_frames: int | None = None  # None: what the model was made for
    max_turns: int = 4
    strategy: Literal["recursive", "direct"] | None = None  # None: what suits the model
    orders: int = 1
    top_k: int = 5
    answers: bool = False  # the queries are questions with options: answer them as well (Acc@GQA)


TASKS: dict[str, EvalTask] = {
    task.name: task
    for task in (
        EvalTask(name="charades-sta", dataset="charades-sta", about="Charades-STA test: 3,720 sentences, 30 s videos"),
        EvalTask(
            name="activitynet-captions",
            dataset="activitynet-captions",
            about="ActivityNet-Captions val_1 and val_2: 34,536 sentences, 2 min videos",
        ),
        EvalTask(
            name="nextgqa",
            dataset="nextgqa",
            about="NExT-GQA test: 5,553 questions with options, and where the answer is seen",
            answers=True,
        ),
        EvalTask(
            name="qvhighlights",
            dataset="qvhighlights",
            about="QVHighlights val: 1,550 queries with several true spans",
            top_k=10,
        ),
        EvalTask(name="mvbench", dataset="mvbench", about="MVBench: 4,000 questions of 20 tasks"),
        EvalTask(name="nextqa", dataset="nextqa", about="NExT-QA test: 8,564 questions with five options"),
        EvalTask(name="tvqa", dataset="tvqa", about="TVQA with time stamps: questions with five options"),
        EvalTask(name="star", dataset="star", about="STAR: situated questions with four options"),
    )
}


def read_task(path: Path | None) -> EvalTask:
    """A task file. Raises ConfigError."""
    if path is None:
        raise ConfigError(
            "no task: give --task-file FILE (configs/eval/own.yaml shows one), or the name of a benchmark"
        )
    return EvalTask.from_yaml(path)


def adjusted(task: EvalTask, **changes: Any) -> EvalTask:
    """``task`` with the ``changes`` that are not None or empty; reader options are laid over the task's."""
    given = {key: value for key, value in changes.items() if value not in (None, [], {})}
    given["options"] = task.options | given.get("options", {})
    if isinstance(given.get("annotations"), list) and len(given["annotations"]) == 1:
        given["annotations"] = given["annotations"][0]
    return EvalTask.from_dict(task.model_dump() | given, source=f"task {task.name}")
