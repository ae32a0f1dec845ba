"""``hawkeye report``: one or several runs as a page with tables, charts and the cases worth looking at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of `hawkeye eval`; the first is what others are compared with.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for summary.json, report.md and index.html.")],
    annotations: Annotated[
        list[Path],
        typer.Option("--annotations", "-a", help="Needed for predictions files; else where the run had them."),
    ] = [],  # noqa: B006
    dataset: Annotated[str | None, typer.Option(help="Data set of the annotations, if it can't be told.")] = None,
    option: Annotated[
        list[str], typer.Option("--option", "-o", help="KEY=VALUE for the reader, such as split=val_1.")
    ] = [],  # noqa: B006
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos, for filmstrips.")] = None,
    cases: Annotated[int, typer.Option(min=0, help="Worst and best examples to show of each run.")] = 20,
    draws: Annotated[int, typer.Option(min=1, help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Write a report on runs: side by side, with error bars, charts, and the worst and best cases."""
    from hawkeye.cli.score import parse_options
    from hawkeye.eval.report.runs import load_runs
    from hawkeye.eval.report.summary import headline
    from hawkeye.eval.report.write import write_report

    comparison = load_runs(runs, annotations, dataset, parse_options(option), videos, draws, seed)
    written = write_report(comparison, out, cases, draws, seed)
    typer.echo(headline(comparison))
    typer.echo(f"wrote {written}", err=True)
