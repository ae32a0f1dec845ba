"""From runs to charts: each figure is a heading, a sentence on how to read it, and SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hawkeye.choices import letter
from hawkeye.eval.oracle import CHOICES, THROUGHOUT, as_numbers, choose, right_choices, whole
from hawkeye.eval.predictions import Predicted
from hawkeye.eval.qa_score import chosen_option
from hawkeye.eval.report import svg
from hawkeye.eval.report.runs import Comparison, Run

IOU_BINS = 20
NO_OPTION = "none"


@dataclass(frozen=True)
class Figure:
    title: str
    about: str
    svg: str


def figures(comparison: Comparison) -> Iterator[Figure]:
    """All figures that the runs have the data for."""
    if comparison.kind == "grounding":
        yield _iou_histogram(comparison.runs)
        yield from _per_turn(comparison.runs)
        yield from _choices(comparison.runs)
        yield from _sections(comparison.runs, "mIoU")
    else:
        yield from _sections(comparison.runs, "accuracy")
        yield from _options(comparison)


def _iou_histogram(runs: Sequence[Run]) -> Figure:
    edges = np.linspace(0, 1, IOU_BINS + 1)
    labels = [f"{edge:.2f}".rstrip("0").rstrip(".") for edge in edges[:-1]]
    series = [(run.name, _shares(run.values, edges)) for run in runs]
    about = "Share of the examples by IoU; a bar stands for 0.05. Misses and failures are at 0."
    return Figure("IoU", about, svg.bars(labels, series, label="Histogram of IoU"))


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(values, edges)
    return [100 * float(c) / max(1, len(values)) for c in counts]


def _per_turn(runs: Sequence[Run]) -> Iterator[Figure]:
    found = {run.name: run.score.sections.get("per turn", []) for run in runs}
    turns = max((len(rows) for rows in found.values()), default=0)
    for metric in ("mIoU", "R1@0.5") if turns else ():
        series = [(name, [100 * r.metrics[metric].value for r in rows]) for name, rows in found.items() if rows]
        labels = [f"turn {i + 1}" for i in range(turns)]
        about = "If the search had stopped after this many looks. A falling line: the model narrows too far."
        yield Figure(f"{metric} after each turn", about, svg.lines(labels, series, label=f"{metric} after each turn"))


def _choices(runs: Sequence[Run]) -> Iterator[Figure]:
    for run in runs:
        counts = choice_counts(run)
        if counts is not None:
            names = [str(choice) for choice in CHOICES]
            about = (
                "Every look that was taken: the choice that is right by position for the window shown (rows), and the one "
                "made (columns). Windows that no longer touch a true span are left out."
            )
            yield Figure(f"Choices, {run.name}", about, svg.shades(names, names, counts, "Right and made choices"))


def choice_counts(run: Run) -> list[list[int]] | None:
    """Right choice (rows) by made choice (columns) over all looks; None if the run took no turns."""
    arrays = run.arrays
    if arrays is None:
        return None
    taken = [_turns(row) for row in run.rows]
    longest = max(map(len, taken), default=0)
    if not longest:
        return None
    made = as_numbers(taken, longest)
    lengths = np.array([len(turns) for turns in taken])
    counts = np.zeros((len(CHOICES), len(CHOICES)), dtype=int)
    window = whole(arrays.durations)
    for turn in range(longest):
        right = right_choices(arrays.gold, window)
        touching = np.fmin(window[:, None, 1], arrays.gold[..., 1]) > np.fmax(window[:, None, 0], arrays.gold[..., 0])
        looked = (turn < lengths) & touching.any(axis=1)
        np.add.at(counts, (right[looked], made[looked, turn]), 1)
        window = choose(window, np.where(turn < lengths, made[:, turn], THROUGHOUT))
    return counts.tolist()


def _turns(row: Predicted | None) -> tuple[str | None, ...]:
    return row.choices if row is not None and row.choices and row.error is None else ()


def _sections(runs: Sequence[Run], metric: str) -> Iterator[Figure]:
    for section in [name for name in runs[0].score.sections if name.startswith("by ")]:
        labels = [row.label for row in runs[0].score.sections[section]]
        if len(labels) < 2:
            continue
        series = []
        for run in runs:
            values = {row.label: row.metrics[metric].value for row in run.score.sections.get(section, [])}
            series.append((run.name, [100 * values.get(label, 0.0) for label in labels]))
        counts = ", ".join(f"{row.label}: {row.count}" for row in runs[0].score.sections[section])
        title = f"{metric} {section}"
        yield Figure(title, f"Examples: {counts}.", svg.bars(labels, series, label=title))


def _options(comparison: Comparison) -> Iterator[Figure]:
    """A model that likes one letter shows here."""
    width = max((len(example.options) for example in comparison.examples), default=0)
    names = [letter(i) for i in range(width)]
    for run in comparison.runs:
        counts = np.zeros((width, width + 1), dtype=int)
        for example, row in zip(comparison.examples, run.rows, strict=True):
            chosen = chosen_option(row, example)
            counts[example.answer, width if chosen is None or chosen >= width else chosen] += 1
        about = "Letter of the right option (rows) and of the chosen one (columns)."
        chart = svg.shades(names, [*names, NO_OPTION], counts.tolist(), "Right and chosen options")
        yield Figure(f"Options, {run.name}", about, chart)
