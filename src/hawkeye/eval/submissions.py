"""Files that evaluation servers take: STAR, TVQA and QVHighlights. Records and predictions in, plain values out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkeye.datasets.reading import Reading
from hawkeye.errors import AnnotationError
from hawkeye.eval.predictions import read_predictions
from hawkeye.eval.replies import read_option
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
        return read_option(reply, example.options)
    return reply if reply is not None and 0 <= reply < len(example.options) else None


def read_replies(path: str | Path, examples: Sequence[QAExample]) -> dict[str, int | str | None]:
    """The option or the reply to each question, by id, from a run's predictions or from the reference's output file.

    The reference's rows don't name the question; they stand in the order of the questions. Raises AnnotationError.
    """
    rows = read_predictions(path).rows
    if all(row.id is None for row in rows):
        if len(rows) != len(examples):
            raise AnnotationError(
                f"{path}: holds {len(rows)} replies without ids, expected one for each of {len(examples)}"
            )
        return {example.id: row.reply for example, row in zip(examples, rows, strict=True)}
    return {str(row.id): row.reply if row.option is None else row.option for row in rows}


def read_ranked(path: str | Path) -> dict[str, list[tuple[Span, float]]]:
    """The spans of each query with their scores, by id, from a run's predictions; none where the query failed.

    Raises AnnotationError.
    """
    ranked: dict[str, list[tuple[Span, float]]] = {}
    for row in Reading().records(path):
        if row.values.get("spans"):
            found = [(Span(*one.pairs("span")[0]), one.number("score")) for one in row.rows("spans")]
        else:
            found = [(Span(*pair), 1.0) for pair in row.pairs("span")] if row.values.get("span") else []
        ranked[row.name("id")] = found
    return ranked


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
