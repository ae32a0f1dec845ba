"""Files that evaluation servers take: STAR, TVQA and QVHighlights. Records and predictions in, plain values out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hawkeye.choices import option_lines, read_reply
from hawkeye.errors import AnnotationError
from hawkeye.records import GroundingExample, QAExample
from hawkeye.runtime import seed_for
from hawkeye.spans import Span

STAR_TASKS = ("Interaction", "Sequence", "Prediction", "Feasibility")


@dataclass(frozen=True)
class Chosen:
    """The option of each question, by id. ``guessed``: ids whose reply named none, so that one was drawn."""

    options: dict[str, int]
    guessed: tuple[str, ...]


def choose(examples: Sequence[QAExample], replies: Mapping[str, int | str | None], seed: int = 0) -> Chosen:
    """A reply is the number of an option, or text that names one; servers want an answer to every question.

    The draw depends on the seed and the question alone (quirk 51). Raises AnnotationError if a question has no reply.
    """
    missing = [example.id for example in examples if example.id not in replies]
    if missing:
        raise AnnotationError(
            f"{len(missing)} of {len(examples)} questions have no prediction, the first is {missing[0]}"
        )
    options: dict[str, int] = {}
    guessed = []
    for example in examples:
        found = _named_option(example, replies[example.id])
        if found is None:
            guessed.append(example.id)
            found = random.Random(seed_for(seed, "guess", example.id)).randrange(len(example.options))
        options[example.id] = found
    return Chosen(options, tuple(guessed))


def _named_option(example: QAExample, reply: int | str | None) -> int | None:
    if isinstance(reply, str):
        return read_reply(reply, [line.rstrip() for line in option_lines(example.options)], lenient=True)
    return reply if reply is not None and 0 <= reply < len(example.options) else None


def star_submission(options: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
    """``{task: [{question_id, answer}]}``; an answer is the number of the choice."""
    tasks: dict[str, list[dict[str, Any]]] = {task: [] for task in STAR_TASKS}
    for qid, option in options.items():
        task = qid.split("_")[0]
        if task not in tasks:
            raise AnnotationError(f"question id {qid!r}: expected it to begin with one of {', '.join(STAR_TASKS)}")
        tasks[task].append({"question_id": qid, "answer": option})
    return tasks


def tvqa_submission(
    test: Mapping[str, int], validation: Mapping[str, int], model: str, **details: str | bool
) -> dict[str, dict[str, Any]]:
    """File name -> content of the folder to hand in. ``details``: author, institution, description, paper_link, code_link,
    is_ensemble, with_ts, show_on_leaderboard."""
    meta: dict[str, Any] = {
        "model_name": model,
        "is_ensemble": False,
        "with_ts": True,
        "show_on_leaderboard": False,
        "author": "null",
        "institution": "null",
        "description": "null",
        "paper_link": "null",
        "code_link": "null",
    }
    unknown = sorted(set(details) - set(meta))
    if unknown:
        raise AnnotationError(f"meta.json has no field {unknown[0]!r}: expected {', '.join(meta)}")
    return {
        "meta.json": meta | details,
        "prediction_test_public.json": dict(test),
        "prediction_val.json": dict(validation),
    }


def qvhighlights_submission(
    examples: Sequence[GroundingExample], ranked: Mapping[str, Sequence[tuple[Span, float]]]
) -> list[dict[str, Any]]:
    """One row a query, for ``hl_val_submission.jsonl`` or ``hl_test_submission.jsonl``: its spans by falling score.

    Raises AnnotationError if a query has no prediction.
    """
    missing = [example.id for example in examples if example.id not in ranked]
    if missing:
        raise AnnotationError(
            f"{len(missing)} of {len(examples)} queries have no prediction, the first is {missing[0]}"
        )
    return [
        {
            "qid": example.extra["qid"],
            "query": example.query,
            "vid": example.extra["vid"],
            "pred_relevant_windows": [
                [span.start, span.end, score] for span, score in sorted(ranked[example.id], key=lambda item: -item[1])
            ],
        }
        for example in examples
    ]
