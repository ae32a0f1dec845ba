"""From predictions and annotations to a score: recalls, mIoU, mIoP, mAP, per turn and per kind of example.

What counts as a hit and what a failure counts as is the convention's business; here everything is arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hawkeye.errors import AnnotationError
from hawkeye.eval import bins
from hawkeye.eval.bootstrap import DRAWS
from hawkeye.eval.conventions import Convention
from hawkeye.eval.matching import Matched, match
from hawkeye.eval.metrics import (
    MAP_THRESHOLDS,
    NOWHERE,
    THRESHOLDS,
    average_precision,
    best_iop,
    best_iou,
    best_of_ranked,
    pack_spans,
)
from hawkeye.eval.oracle import as_numbers, windows_after
from hawkeye.eval.predictions import Predicted, Predictions
from hawkeye.eval.references import references
from hawkeye.eval.replies import read_option
from hawkeye.eval.score import NOTHING_TO_SCORE, Columns, Score, ScoreRow, groups_of, plain_row
from hawkeye.records import GroundingExample

TOP = 5
IOP_THRESHOLDS = (0.3, 0.5)
MAX_RANKED = 10


@dataclass(frozen=True)
class Arrays:
    """One run on N examples. Rows that the convention leaves out are not here."""

    examples: list[GroundingExample]
    rows: list[Predicted | None]
    gold: np.ndarray  # (N, G, 2) seconds
    durations: np.ndarray  # (N,) seconds, NaN where nobody knows
    ranked: np.ndarray  # (N, K, 2) seconds, by falling score
    convention: Convention

    @property
    def predicted(self) -> np.ndarray:
        return self.ranked[:, 0]

    @property
    def ious(self) -> np.ndarray:
        return self.convention.rounded(best_iou(self.predicted, self.gold))

    def hits(self, ious: np.ndarray, prefix: str = "R1") -> dict[str, np.ndarray]:
        """R@k at each threshold, and mIoU with the plain prefix."""
        columns = {f"{prefix}@{t}": self.convention.hits(ious, t).astype(float) for t in THRESHOLDS}
        return columns | {"mIoU": ious} if prefix == "R1" else columns


def arrays_of(examples: Sequence[GroundingExample], matched: Matched, convention: Convention) -> Arrays:
    """Lay out what is scored. Examples without a true span can't be, and are skipped."""
    kept = [
        (example, row)
        for example, row in zip(examples, matched.rows, strict=True)
        if example.spans
        and (row is not None or convention.missing_count)
        and (row is None or row.error is None or convention.errors_count)
    ]
    rows = [row for _, row in kept]
    durations = np.array([_duration(example, row) for example, row in kept], dtype=float)
    width = min(max((len(row.spans) for row in rows if row), default=1), MAX_RANKED)
    ranked = pack_spans([row.spans if row and row.error is None else (NOWHERE,) for row in rows], max(width, 1))
    shares = np.array([bool(row and row.in_shares) for row in rows])
    ranked[shares] *= durations[shares, None, None]
    return Arrays(
        examples=[example for example, _ in kept],
        rows=rows,
        gold=pack_spans([example.spans for example, _ in kept]),
        durations=durations,
        ranked=convention.ordered(ranked),
        convention=convention,
    )


def _duration(example: GroundingExample, row: Predicted | None) -> float:
    """The run's own measurement first: its windows are parts of what it saw."""
    known = row.duration if row is not None and row.duration else example.duration
    return float("nan") if known is None else known


def score_grounding(
    examples: Sequence[GroundingExample],
    predictions: Predictions,
    convention: Convention,
    *,
    max_turns: int | None = None,
    train: Sequence[GroundingExample] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> Score:
    """Score ``predictions`` on ``examples``. ``train``: examples of the training split, for the priors.

    Raises AnnotationError if no prediction belongs to an example.
    """
    if not any(example.spans for example in examples):
        raise AnnotationError(f"the annotations hold no true spans, {NOTHING_TO_SCORE}")
    matched = match(examples, predictions)
    arrays = arrays_of(examples, matched, convention)
    if not arrays.examples:
        raise AnnotationError(f"convention {convention.name} leaves out all {len(examples)} examples: every one failed")
    columns = Columns(groups_of(arrays.examples), draws, seed)
    ious = arrays.ious
    columns.add("overall", "all", _overall(arrays, ious))
    turns = _turns(arrays, max_turns)
    for turn, after in enumerate(turn_ious(arrays, turns), 1):
        columns.add("per turn", f"{turn}", arrays.hits(after))
    for section, label, rows in bins.kinds(arrays.gold, arrays.durations):
        columns.add(section, label, arrays.hits(ious), rows)
    sections = columns.finish()
    return Score(
        kind="grounding",
        convention=convention.name,
        format=predictions.format,
        matched_by=matched.by,
        counts=_counts(examples, matched, arrays),
        overall=sections.pop("overall")[0],
        sections=sections,
        references=_references(arrays, turns or max_turns or 4, train, seed),
    )


def _overall(arrays: Arrays, ious: np.ndarray) -> dict[str, np.ndarray]:
    columns = arrays.hits(ious)
    if arrays.ranked.shape[1] > 1:
        columns |= arrays.hits(arrays.convention.rounded(best_of_ranked(arrays.ranked, arrays.gold, TOP)), f"R{TOP}")
    if arrays.gold.shape[1] > 1 and "options" not in arrays.examples[0].extra:
        precision = average_precision(arrays.ranked, arrays.gold)
        columns["mAP"] = precision.mean(axis=1)
        columns |= {f"mAP@{t}": precision[:, MAP_THRESHOLDS.index(t)] for t in (0.5, 0.75)}
    if "options" in arrays.examples[0].extra:
        iop = best_iop(arrays.predicted, arrays.gold)
        columns |= {f"IoP@{t}": arrays.convention.hits(iop, t).astype(float) for t in IOP_THRESHOLDS}
        columns["mIoP"] = iop
        columns |= _answers(arrays, iop)
    return columns


def _answers(arrays: Arrays, iop: np.ndarray) -> dict[str, np.ndarray]:
    """Acc@QA and Acc@GQA (right, and the span lies half or more within a true one), where questions were answered."""
    chosen = [None if row is None else _option(row, e) for row, e in zip(arrays.rows, arrays.examples, strict=True)]
    if all(option is None for option in chosen):
        return {}
    right = np.array([option == e.extra["answer"] for option, e in zip(chosen, arrays.examples, strict=True)])
    return {"Acc@QA": right.astype(float), "Acc@GQA": (right & arrays.convention.hits(iop, 0.5)).astype(float)}


def _option(row: Predicted, example: GroundingExample) -> int | None:
    if row.option is not None or row.reply is None:
        return row.option
    return read_option(row.reply, example.extra["options"])


def _turns(arrays: Arrays, max_turns: int | None) -> int:
    found = max((len(row.choices) for row in arrays.rows if row and row.choices), default=0)
    return max(found, max_turns or 0) if found else 0


def turn_ious(arrays: Arrays, turns: int) -> list[np.ndarray]:
    """IoU after each turn, from the choices alone: whoever stopped early stays where it is (the reference's notebook)."""
    if not turns:
        return []
    answered = np.array([bool(row and row.choices and row.error is None) for row in arrays.rows])
    choices = as_numbers([(row.choices if row else None) or () for row in arrays.rows], turns)
    windows = windows_after(choices, arrays.durations)
    return [arrays.convention.rounded(np.where(answered, best_iou(w, arrays.gold), 0.0)) for w in windows]


def _counts(examples: Sequence[GroundingExample], matched: Matched, arrays: Arrays) -> dict[str, int]:
    rows = [row for row in matched.rows if row is not None]
    status = Counter("errors" if row.error is not None else "unread" if not row.spans else "read" for row in rows)
    reversed_spans = sum(bool(row.spans) and row.spans[0][0] >= row.spans[0][1] for row in rows)
    return {
        "examples": len(examples),
        "scored": len(arrays.examples),
        "without a true span": sum(not example.spans for example in examples),
        "missing": matched.missing,
        "errors": status["errors"],
        "no span in the reply": status["unread"],
        "turns without a readable reply": sum(row.unread_turns for row in rows),
        "reversed or empty spans": reversed_spans,
        "repeated predictions": matched.repeated,
        "unknown predictions": matched.unknown,
    }


def _references(arrays: Arrays, turns: int, train: Sequence[GroundingExample], seed: int) -> list[ScoreRow]:
    return reference_rows(arrays.gold, arrays.durations, turns, train, seed, arrays.convention.strict)


def reference_rows(
    gold: np.ndarray,
    durations: np.ndarray,
    turns: int,
    train: Sequence[GroundingExample] = (),
    seed: int = 0,
    strict: bool = False,
) -> list[ScoreRow]:
    """The reference points for true spans (N, G, 2) seconds; rows of unknown duration (NaN) are left out."""
    known = ~np.isnan(durations)
    if not known.any():
        return []
    shares = [(s.start / e.duration, s.end / e.duration) for e in train if e.duration for s in e.spans]
    rows = references(gold[known], durations[known], turns, np.array(shares) if shares else None, seed)
    return [plain_row(row.name, int(known.sum()), row.metrics(strict), row.about) for row in rows]
