"""Put a report together: summary.json, report.md and index.html in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from hawkeye.eval.report.cases import SHOWN, worst_and_best
from hawkeye.eval.report.figures import figures
from hawkeye.eval.report.page import case_grid, figure_grid, page
from hawkeye.eval.report.runs import Comparison
from hawkeye.eval.report.summary import changes_table, differences, headline, report_markdown, summary
from hawkeye.records import atomic_write

SUMMARY, MARKDOWN, PAGE = "summary.json", "report.md", "index.html"


def write_report(comparison: Comparison, out: Path, shown: int = SHOWN, draws: int = 1000, seed: int = 0) -> Path:
    """Write the three files and return the page's path. ``shown``: worst and best examples of each run."""
    changes = differences(comparison, draws, seed)
    with atomic_write(out / SUMMARY) as file:
        json.dump(summary(comparison, changes), file, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(out / MARKDOWN) as file:
        file.write(report_markdown(comparison, changes))
    tables = [("Scores, %", headline(comparison))]
    if changes:
        tables.append(("Differences", changes_table(changes, comparison.runs[0].name)))
    parts = [figure_grid(list(figures(comparison)))]
    for run in comparison.runs if shown else ():
        worst, best = worst_and_best(comparison, run, shown)
        parts += [case_grid(f"Worst, {run.name}", worst), case_grid(f"Best, {run.name}", best)]
    title = f"{comparison.name}: {', '.join(run.name for run in comparison.runs)}"
    about = (
        f"{len(comparison.examples)} examples. Intervals are 95 % bootstrap intervals over videos; what failed or is missing "
        "counts as a miss."
    )
    with atomic_write(out / PAGE) as file:
        file.write(page(title, about, tables, parts))
    return out / PAGE
