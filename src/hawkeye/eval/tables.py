"""Scores as Markdown: what the terminal, score.md and the report show. Shares are printed as percent."""

from __future__ import annotations

from collections.abc import Sequence

from hawkeye.eval.score import Score, ScoreRow, Value

EMPTY = "-"


def percent(value: Value | None, with_interval: bool = False) -> str:
    """``41.2`` or ``41.2 (39.8 to 42.6)``."""
    if value is None:
        return EMPTY
    shown = f"{100 * value.value:.1f}"
    if with_interval and value.low is not None and value.high is not None:
        shown += f" ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return shown


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with the first column to the left, the others to the right, padded so that it also reads as plain text."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        _line([c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))])
        for row in cells
    ]
    rule = _line(["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)])
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def score_table(title: str, rows: Sequence[ScoreRow], with_interval: bool = False) -> str:
    """One line a row, one column a metric (those of the first row)."""
    metrics = list(rows[0].metrics)
    body = [[row.label, str(row.count), *(percent(row.metrics.get(m), with_interval) for m in metrics)] for row in rows]
    return markdown_table([title, "examples", *metrics], body)


def score_markdown(score: Score, name: str = "this run") -> str:
    """The whole score: the headline with error bars beside the reference points, then every section, then the counts."""
    overall = score.overall
    metrics = list(overall.metrics)
    headline = [[m, percent(overall.metrics[m], with_interval=True)] for m in metrics]
    parts = [markdown_table(["metric", f"{name}, % (95 % interval)"], headline)]
    if score.references:
        shown = [m for m in metrics if any(m in row.metrics for row in score.references)]
        named = ScoreRow(name, overall.count, {m: overall.metrics[m] for m in shown})
        parts.append("Reference points\n\n" + score_table("row", [named, *score.references]))
    for section, rows in score.sections.items():
        parts.append(f"{section.capitalize()}\n\n" + score_table(_singular(section), rows))
    counts = ", ".join(
        f"{count} {what}" for what, count in score.counts.items() if count or what in ("examples", "scored")
    )
    parts.append(
        f"{counts}; predictions of format {score.format} matched by {score.matched_by}; convention {score.convention}"
    )
    return "\n\n".join(parts) + "\n"


def _singular(section: str) -> str:
    return section.removeprefix("by ").removeprefix("per ")
