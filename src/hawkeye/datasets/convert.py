"""Records -> the JSON layouts of the reference: test files, and training files in the layout of HawkEye-IT.

Random parts (which instruction, which question, the order of options) come from a generator per example, so that a file
depends on the seed and the examples alone. Nothing is read or written here.

Source: reference ``data_preparing/*.py``; what differs and why: docs/datasets.md.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.datasets.registry import find_dataset
from hawkeye.datasets.videos import media_name
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.prompts import GROUNDING_INSTRUCTION, QUESTION_TEMPLATE, question_with_options
from hawkeye.records import GroundingExample, QAExample
from hawkeye.runtime import seed_for

TrainingTask = Literal["choice", "grounding", "caption", "choice_caption"]
# What stands for the span until a crop is drawn: answers of "grounding", questions of "caption".
SPAN_SENTENCES = {
    "second": "From second %.1f to second %.1f.",
    "frame": "From frame %d to frame %d.",
    "frame_token": "From <frame_%d> to <frame_%d>.",
}


INSTRUCTIONS: dict[TrainingTask, str] = {
    "choice": GROUNDING_INSTRUCTION.strip(),
    "grounding": "Watch the video and tell when the described event happens.",
    "caption": "Watch the video and describe what happens in the given part of it.",
    "choice_caption": "Watch the video and describe what happens in the given part of it.",
}


@dataclass(frozen=True)
class Wording:
    """Instructions (none: the one of `INSTRUCTIONS`) and questions; one of each is drawn per example.

    A question holds ``{query}`` (or ``%s``) exactly once. Raises ConfigError.
    """

    instructions: Sequence[str] = ()
    questions: Sequence[str] = (
        QUESTION_TEMPLATE,
        "When does '{query}' happen in the video?",
        "In which part of the video can '{query}' be seen?",
        "Where in the video is '{query}' shown?",
    )

    def __post_init__(self) -> None:
        if not self.questions:
            raise ConfigError("wording: expected at least one question")
        for question in self.questions:
            if question.count("{query}") + question.count("%s") != 1:
                raise ConfigError(f"question {question!r}: expected {{query}} (or %s) in it exactly once")

    def question(self, query: str, rng: random.Random) -> str:
        before, _, after = rng.choice(self.questions).replace("%s", "{query}").partition("{query}")
        return before + query + after


def share_of_videos(examples: Sequence[Any], share: float, seed: int = 0) -> list[Any]:
    """The examples of a ``share`` (0 to 1) of the videos, drawn by ``seed``, in their old order. Raises ConfigError."""
    if not 0 < share <= 1:
        raise ConfigError(f"share is {share}: expected more than 0 and at most 1")
    if share == 1:
        return list(examples)
    videos = list(dict.fromkeys(map(media_name, examples)))
    kept = set(random.Random(seed_for(seed, "share")).sample(videos, max(1, round(share * len(videos)))))
    return [example for example in examples if media_name(example) in kept]


def evaluation_items(dataset: str, examples: Sequence[Any]) -> list[dict[str, Any]]:
    """One object an example of ``dataset``. Spans stand under ``span`` and, as the reference wrote them, under ``answer``
    (quirk 54). Raises ConfigError for instruction data."""
    entry = find_dataset(dataset)
    if entry.kind == "instruction":
        raise ConfigError(f"data set {dataset} is training data already: there is no other layout for it")
    return [_grounding_item(e, entry.several) if isinstance(e, GroundingExample) else _qa_item(e) for e in examples]


def _grounding_item(example: GroundingExample, several: bool) -> dict[str, Any]:
    item: dict[str, Any] = {"video": example.video, "question": example.query}
    if example.duration is not None:
        item["duration"] = example.duration
    if "qid" in example.extra:
        item["qid"] = example.extra["qid"]
    spans = [list(span) for span in example.spans]
    if spans:
        item["span"] = item["answer"] = spans if several or len(spans) > 1 else spans[0]
    return item


def _qa_item(example: QAExample) -> dict[str, Any]:
    item: dict[str, Any] = {"video": example.video, "question": example.question}
    if "qid" in example.extra:
        item["qid"] = example.extra["qid"]
    item["candidates"] = list(example.options)
    if example.answer is not None:
        item["answer"] = example.extra.get("answer_text", example.options[example.answer])
    if example.window:
        item["start"], item["end"] = example.window
    return item


def training_items(
    examples: Sequence[GroundingExample],
    task: TrainingTask = "choice",
    seed: int = 0,
    wording: Wording | None = None,
    span_sentence: str = SPAN_SENTENCES["second"],
) -> list[dict[str, Any]]:
    """Examples with a span -> ``{video, QA: [{i, q, a, start_sec, end_sec, neg_start_sec, neg_end_sec}]}``, one each span.

    ``choice`` asks for the part of the video, ``grounding`` for ``span_sentence``; ``caption`` and ``choice_caption`` ask the
    other way round, from the time to the sentence. The context (``neg_``) is the whole video where the data names none.
    Raises AnnotationError if an example has neither context nor duration.
    """
    said = wording or Wording()
    return [
        _training_item(example, number, task, said, span_sentence, random.Random(seed_for(seed, example.id, number)))
        for example in examples
        for number in range(len(example.spans))
    ]


def _training_item(
    example: GroundingExample, number: int, task: TrainingTask, said: Wording, span_sentence: str, rng: random.Random
) -> dict[str, Any]:
    context = example.extra.get("context") or [0.0, example.duration]
    if context[1] is None:
        raise AnnotationError(f"{example.id}: the video's duration is needed for training: give the file of durations")
    instruction = rng.choice(said.instructions or [INSTRUCTIONS[task]])
    question, answer = _question_and_answer(example.query, task, said, span_sentence, rng)
    start, end = example.spans[number]
    turn = {
        "i": instruction,
        "q": question,
        "a": answer,
        "start_sec": start,
        "end_sec": end,
        "neg_start_sec": context[0],
        "neg_end_sec": context[1],
    }
    return {"video": example.video, "duration": example.duration, "QA": [turn]}


def _question_and_answer(
    query: str, task: TrainingTask, said: Wording, span_sentence: str, rng: random.Random
) -> tuple[Any, Any]:
    match task:
        case "grounding":
            return said.question(query, rng), span_sentence
        case "caption":
            return span_sentence, query
        case "choice_caption":
            return [[str(choice), text] for choice, text in OPTION_TEXT.items()], query
        case "choice":
            order = list(Choice)
            rng.shuffle(order)
            lines = option_lines([OPTION_TEXT[choice] for choice in order])
            answers = [[str(choice), line] for choice, line in zip(order, lines, strict=True)]
            return question_with_options(said.question(query, rng), lines), answers
