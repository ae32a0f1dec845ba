"""Accuracy of multiple choice, by task. A reply counts only if it names an option: an empty one is wrong, not right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hawkeye.choices import letter
from hawkeye.errors import AnnotationError
from hawkeye.eval.bootstrap import DRAWS
from hawkeye.eval.matching import match
from hawkeye.eval.predictions import Predicted, Predictions
from hawkeye.eval.replies import read_option
from hawkeye.eval.score import NOTHING_TO_SCORE, Columns, Score, ScoreRow, groups_of, plain_row
from hawkeye.records import QAExample


def chosen_option(row: Predicted | None, example: QAExample) -> int | None:
    """The number of the option that was predicted; None if there is no prediction or its reply names none."""
    if row is None or row.error is not None:
        return None
    if row.option is not None or row.reply is None:
        return row.option
    return read_option(row.reply, example.options)


def score_qa(examples: Sequence[QAExample], predictions: Predictions, *, draws: int = DRAWS, seed: int = 0) -> Score:
    """Score ``predictions`` on the ``examples`` that have an answer.

    "all" is the mean over questions, "mean of tasks" the mean over tasks (MVBench's headline; the same if they are equally
    big). Raises AnnotationError if no prediction belongs to an example, or no example has its answer.
    """
    matched = match(examples, predictions)
    pairs = [(e, row) for e, row in zip(examples, matched.rows, strict=True) if e.answer is not None]
    if not pairs:
        raise AnnotationError(f"the annotations hold no answers, {NOTHING_TO_SCORE}")
    chosen = [chosen_option(row, example) for example, row in pairs]
    right = np.array([float(option == e.answer) for option, (e, _) in zip(chosen, pairs, strict=True)])
    columns = Columns(groups_of(e for e, _ in pairs), draws, seed)
    columns.add("overall", "all", {"accuracy": right})
    tasks = np.array([e.task for e, _ in pairs])
    for task in dict.fromkeys(tasks):
        columns.add("by task", str(task) or "(none)", {"accuracy": right}, tasks == task)
    sections = columns.finish()
    by_task = sections["by task"]
    mean = sum(row.metrics["accuracy"].value for row in by_task) / len(by_task)
    answered = [row for row in matched.rows if row is not None]
    return Score(
        kind="qa",
        convention="ours",
        format=predictions.format,
        matched_by=matched.by,
        counts={
            "examples": len(examples),
            "scored": len(pairs),
            "without an answer": len(examples) - len(pairs),
            "missing": matched.missing,
            "errors": sum(row.error is not None for row in answered),
            "no option in the reply": sum(
                row is not None and row.error is None and option is None
                for option, (_, row) in zip(chosen, pairs, strict=True)
            ),
            "repeated predictions": matched.repeated,
            "unknown predictions": matched.unknown,
        },
        overall=sections.pop("overall")[0],
        sections={**sections, "summary": [plain_row("mean of tasks", len(by_task), {"accuracy": mean})]},
        references=reference_rows([example for example, _ in pairs]),
    )


def reference_rows(examples: Sequence[QAExample]) -> list[ScoreRow]:
    """What needs no model, for questions with answers: chance, always the first option, always the most frequent one."""
    answers = np.array([example.answer for example in examples])
    chance = np.array([1 / len(example.options) if example.options else 0.0 for example in examples])
    places, counts = np.unique(answers, return_counts=True)
    best = int(counts.argmax())
    about = f"always ({letter(int(places[best]))})"
    rows = {
        "random": (chance.mean(), "one over the number of options"),
        "first option": ((answers == 0).mean(), "always (A)"),
        "most frequent option": (counts[best] / len(answers), about),
    }
    return [plain_row(name, len(answers), {"accuracy": float(v)}, about) for name, (v, about) in rows.items()]
