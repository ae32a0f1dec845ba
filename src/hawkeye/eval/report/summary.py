"""What a report says in numbers: each run's score, and how it differs from the first run's, with a paired bootstrap."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from hawkeye.eval.bootstrap import Difference, paired_difference
from hawkeye.eval.report.runs import OURS, Comparison, Run
from hawkeye.eval.score import ScoreRow
from hawkeye.eval.tables import markdown_table, score_markdown, score_table


def differences(comparison: Comparison, draws: int = 1000, seed: int = 0) -> dict[str, dict[str, Difference]]:
    """Name of each further run -> metric -> its difference from the first run, on the same examples."""
    first = comparison.runs[0]
    names, base = _columns(first)
    return {
        run.name: dict(
            zip(names, paired_difference(base, _columns(run)[1], comparison.groups, draws, seed), strict=True)
        )
        for run in comparison.runs[1:]
    }


def _columns(run: Run) -> tuple[list[str], np.ndarray]:
    if run.arrays is None:
        return ["accuracy"], run.values[:, None]
    columns = run.arrays.hits(run.values)
    return list(columns), np.stack(list(columns.values()), axis=1)


def summary(comparison: Comparison, changes: dict[str, dict[str, Difference]]) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    return {
        "task": comparison.name,
        "dataset": comparison.dataset,
        "kind": comparison.kind,
        "convention": OURS.name,
        "examples": len(comparison.examples),
        "runs": {run.name: {"model": run.model, **run.score.to_dict()} for run in comparison.runs},
        "differences": {
            name: {metric: asdict(change) for metric, change in found.items()} for name, found in changes.items()
        },
    }


def headline(comparison: Comparison) -> str:
    """All runs and the reference points in one Markdown table."""
    runs = [ScoreRow(f"{r.name} ({r.model})", r.score.overall.count, r.score.overall.metrics) for r in comparison.runs]
    return score_table("run", [*runs, *comparison.runs[0].score.references])


def changes_table(changes: dict[str, dict[str, Difference]], first: str) -> str:
    """Differences in points, with their 95 % intervals and p-values."""
    rows = []
    for name, found in changes.items():
        for metric, d in found.items():
            interval = f"{100 * d.interval.low:+.1f} to {100 * d.interval.high:+.1f}"
            rows.append([f"{name}, {metric}", f"{100 * d.value:+.1f}", interval, f"{d.p_value:.3f}"])
    return markdown_table([f"compared with {first}", "points", "95 % interval", "p"], rows)


def report_markdown(comparison: Comparison, changes: dict[str, dict[str, Difference]]) -> str:
    parts = [f"# {comparison.name}: {', '.join(run.name for run in comparison.runs)}", headline(comparison)]
    if changes:
        parts.append("## Differences\n\n" + changes_table(changes, comparison.runs[0].name))
    parts += [f"## {run.name}\n\n{score_markdown(run.score, run.name)}" for run in comparison.runs]
    return "\n\n".join(parts)
