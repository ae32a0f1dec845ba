"""What is done with the examples of a block: grounded, or answered. Each example gives one row of predictions.jsonl.

A row holds what depends on the example and the model alone; seconds go to timings.jsonl, so that rows can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hawkeye.errors import ConfigError, VideoError
from hawkeye.eval.decoding import Plan, RemoteReader
from hawkeye.eval.tasks import EvalTask
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.source import Request
from hawkeye.records import GroundingExample

DECODE_THREADS = 4  # windows that are read at once: with decoding processes these only wait
NOT_IN_ROWS = ("video", "query", "timings", "model", "version", "curve")

Row = dict[str, Any]
Open = list[tuple[Path | RemoteReader, list[Any]]]  # a video that is open (or to be opened), and its examples


@dataclass(frozen=True)
class Done:
    example: Any
    row: Row
    seconds: dict[str, float]


class Work(Protocol):
    """One kind of task."""

    plan: Plan | None  # what is read first of each video
    strategy: str  # recursive, direct or choice: for the manifest

    def run(self, videos: Iterator[tuple[Path | RemoteReader, list[Any]]]) -> Iterator[Done]:
        """The rows of a block, as they are finished."""
        ...


class GroundingWork:
    """Find each example's query in its video."""

    def __init__(self, grounder: Grounder) -> None:
        self.grounder = grounder
        self.strategy = grounder.strategy
        direct = grounder.strategy == "direct"
        self.plan: Plan | None = ("direct", 0) if direct else ("window", grounder.settings.num_frames)

    def run(self, videos: Iterator[tuple[Path | RemoteReader, list[Any]]]) -> Iterator[Done]:
        asked: dict[str, GroundingExample] = {}

        def requests() -> Iterator[Request]:
            for video, examples in videos:
                for example in examples:
                    asked[example.id] = example
                    yield Request(video, example.query, example.id)

        for request, result in self.grounder.ground_many(requests()):
            example = asked[request.id]
            yield Done(example, grounding_row(example, result), result.timings)


def make_work(task: EvalTask, kind: str, model: Any, seed: int, batch_size: int) -> Work:
    """What ``task`` asks of ``model``. Raises ConfigError for a kind of data that is no benchmark."""
    if kind == "grounding":
        return GroundingWork(
            Grounder(
                model,
                task.strategy,
                max_turns=task.max_turns,
                num_frames=task.num_frames,
                seed=seed,
                top_k=task.top_k,
                orders=task.orders,
                batch_size=batch_size,
                decode_threads=DECODE_THREADS,
            )
        )
    raise ConfigError(f"data set {task.dataset} holds {kind} items: it is no benchmark")


def grounding_row(example: GroundingExample, result: GroundingResult) -> Row:
    """The row of one grounded example."""
    found = {key: value for key, value in result.to_dict().items() if key not in NOT_IN_ROWS}
    return {"id": example.id, "video": example.video, "query": example.query, **found}


def error_row(example: Any, error: VideoError | str) -> Row:
    """The row of an example whose video can't be had at all. It counts as a miss."""
    asked = {"query": example.query} if hasattr(example, "query") else {"question": example.question}
    return {"id": example.id, "video": example.video, **asked, "span": None, "choice": None, "error": str(error)}
