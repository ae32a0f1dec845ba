"""Files that evaluation servers take: STAR, TVQA and QVHighlights. Records and predictions in, plain values out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkeye.choices import option_lines, read_reply
from hawkeye.datasets.reading import Reading, Row
from hawkeye.errors import AnnotationError
from hawkeye.records import GroundingExample, QAExample
from hawkeye.runtime import seed_for
from hawkeye.spans import Span

ID_KEYS = ("id", "key", "qid", "question_id")
REPLY_KEYS = ("choice", "reply", "pred")
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


def read_replies(path: str | Path, examples: Sequence[QAExample]) -> dict[str, int | str | None]:
    """The reply to each question, by id, from the rows of a run or from the reference's output file.

    Ours name the question (``id``) and hold the number of the option (``choice``) or the ``reply``; the reference's hold
    only ``pred`` and stand in the order of the questions. Raises AnnotationError.
    """
    rows = list(Reading().records(path))
    if rows and "pred" in rows[0].values and not _id_key(rows[0]):
        if len(rows) != len(examples):
            raise AnnotationError(
                f"{path}: holds {len(rows)} predictions for {len(examples)} questions: expected as many"
            )
        return {example.id: row.text("pred") for example, row in zip(examples, rows, strict=True)}
    replies: dict[str, int | str | None] = {}
    for row in rows:
        key = _id_key(row)
        if key is None:
            raise row.error(f"expected the question's id in one of {', '.join(ID_KEYS)}")
        replies[row.text(key)] = next((row.values[k] for k in REPLY_KEYS if row.values.get(k) is not None), None)
    return replies


def read_ranked(path: str | Path) -> dict[str, list[tuple[Span, float]]]:
    """The ranked spans of each query, by id: ``spans`` as ``[{span, score}]``, or a single ``span``; none if it failed."""
    ranked: dict[str, list[tuple[Span, float]]] = {}
    for row in Reading().records(path):
        key = _id_key(row)
        if key is None:
            raise row.error(f"expected the query's id in one of {', '.join(ID_KEYS)}")
        if row.values.get("spans"):
            found = [(Span(*spans.pairs("span")[0]), spans.number("score")) for spans in row.rows("spans")]
        else:
            found = [(Span(*pair), 1.0) for pair in row.pairs("span")] if row.values.get("span") else []
        ranked[row.text(key)] = found
    return ranked


def _id_key(row: Row) -> str | None:
    return next((key for key in ID_KEYS if row.values.get(key) is not None), None)


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
