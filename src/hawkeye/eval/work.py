"""What is done with the examples of a block: grounded, answered, or both. Each example gives one row of predictions.jsonl.

A row holds what depends on the example and the model alone; seconds go to timings.jsonl, so that rows can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hawkeye.errors import ConfigError, VideoError
from hawkeye.eval.answering import Answering
from hawkeye.eval.decoding import Plan, RemoteReader
from hawkeye.eval.tasks import EvalTask
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.source import Request
from hawkeye.records import GroundingExample, QAExample

DECODE_THREADS = 4  # windows that are read at once: with decoding processes these only wait
NOT_IN_ROWS = ("video", "query", "timings", "model", "version", "curve")

Row = dict[str, Any]
Opened = tuple[Path | RemoteReader, Sequence[Any]]  # a video, open or for the engine to open, and its examples


@dataclass(frozen=True)
class Done:
    example: Any
    row: Row
    seconds: dict[str, float]


class Work(Protocol):
    """One kind of task."""

    strategy: str  # recursive, direct or choice: for the manifest

    def plan(self, examples: Sequence[Any]) -> Plan:
        """What will be read first of the video of these examples."""
        ...

    def run(self, videos: Iterable[Opened]) -> Iterator[Done]:
        """The rows of a block, as they are finished."""
        ...


def make_work(task: EvalTask, kind: str, model: Any, seed: int, batch_size: int) -> Work:
    """What ``task`` asks of ``model``. Raises ConfigError for a kind of data that is no benchmark."""
    frames = task.num_frames or model.num_frames
    if kind == "qa":
        return ChoiceWork(Answering(model, frames, batch_size))
    if kind != "grounding":
        raise ConfigError(f"data set {task.dataset} holds {kind} items: it is no benchmark")
    grounder = Grounder(
        model,
        task.strategy,
        max_turns=task.max_turns,
        num_frames=frames,
        seed=seed,
        top_k=task.top_k,
        orders=task.orders,
        batch_size=batch_size,
        decode_threads=DECODE_THREADS,
    )
    return GroundingWork(grounder, Answering(model, frames, batch_size) if task.answers else None)


class GroundingWork:
    """Find each example's query in its video. ``answering``: also choose among the options that the examples bring."""

    def __init__(self, grounder: Grounder, answering: Answering | None = None) -> None:
        self._grounder, self._answering = grounder, answering
        self.strategy = grounder.strategy

    def plan(self, examples: Sequence[GroundingExample]) -> Plan:
        return Plan(self._grounder.settings.num_frames, direct=self.strategy == "direct")

    def run(self, videos: Iterable[Opened]) -> Iterator[Done]:
        answers: dict[str, Row] = {}
        if self._answering is not None:
            videos = list(videos)
            asked = [(video, [as_question(example) for example in examples]) for video, examples in videos]
            answers = {question.id: row for question, row, _ in self._answering.answer(asked)}
        examples: dict[str, GroundingExample] = {}

        def requests() -> Iterator[Request]:
            for video, members in videos:
                for example in members:
                    examples[example.id] = example
                    yield Request(video, example.query, example.id)

        for request, result in self._grounder.ground_many(requests()):
            example = examples[request.id]
            answer = answers.get(example.id, {})
            row = {**grounding_row(example, result), **answer, "error": result.error or answer.get("error")}
            yield Done(example, row, result.timings)


class ChoiceWork:
    """Choose one of the options of each question."""

    strategy = "choice"

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def plan(self, examples: Sequence[QAExample]) -> Plan:
        return self._answering.plan(examples)

    def run(self, videos: Iterable[Opened]) -> Iterator[Done]:
        for example, answer, seconds in self._answering.answer(videos):
            asked = {"id": example.id, "video": example.video, "question": example.question, "task": example.task}
            yield Done(example, {**asked, **answer}, seconds)


def as_question(example: GroundingExample) -> QAExample:
    """The question of a grounding example that brings options (NExT-GQA), about the whole video."""
    return QAExample(example.id, example.video, example.query, tuple(example.extra["options"]), example.extra["answer"])


def grounding_row(example: GroundingExample, result: GroundingResult) -> Row:
    """The row of one grounded example."""
    found = {key: value for key, value in result.to_dict().items() if key not in NOT_IN_ROWS}
    return {"id": example.id, "video": example.video, "query": example.query, **found}


def error_row(example: Any, error: VideoError | str) -> Row:
    """The row of an example whose video can't be had at all. It counts as a miss."""
    asked = {"query": example.query} if hasattr(example, "query") else {"question": example.question}
    return {"id": example.id, "video": example.video, **asked, "span": None, "choice": None, "error": str(error)}
