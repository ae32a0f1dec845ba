"""``hawkeye train CONFIG [key=value ...]``: run a training configuration, look at one before it runs, or pack its data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hawkeye.cli.common import say
from hawkeye.errors import VideoError

if TYPE_CHECKING:
    from hawkeye.train.dry_run import DryRun
    from hawkeye.train.loop import Result
    from hawkeye.train.meters import Progress

MAX_LISTED = 10


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file, such as configs/train/tiny.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings laid over it, such as optimizer.lr=3e-5.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show everything, train nothing.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="For --dry-run: as many as torchrun will start.")] = 1,
    pack: Annotated[
        Path | None, typer.Option(help="Write the videos and texts of the config as shards here, and end.")
    ] = None,
) -> None:
    """Train on one process. For several: torchrun --nproc-per-node N -m hawkeye.train CONFIG [key=value ...]."""
    from hawkeye.train.config import TrainConfig

    settings = TrainConfig.from_yaml(config, overrides)
    if pack is not None:
        from hawkeye.train.packing import pack_sources

        for name, shards in pack_sources(settings, pack):
            typer.echo(f"{name}: {shards} shards in {pack / name}")
        return
    if dry_run:
        from hawkeye.train.dry_run import dry_run as look

        report = look(settings, settings.output / "dry_run", processes)
        _print_dry_run(report)
        if report.problems:
            raise VideoError(f"{len(report.problems)} videos are missing or unreadable (see above)")
        return
    from hawkeye.train.evaluation import grounding_evaluation
    from hawkeye.train.loop import train

    evaluate = grounding_evaluation(settings.evaluation, settings.seed) if settings.evaluation else None
    with _progress_bar() as listen:
        result = train(settings, listen, evaluate)
    _print_result(result)
    if result.stopped:
        raise KeyboardInterrupt


@contextmanager
def _progress_bar() -> Iterator[Any]:
    """A bar on stderr with what is worth watching; off a terminal, a line at each logged step."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        BarColumn(None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading annotations", total=None)

        def listen(progress: Progress) -> None:
            last = progress.last
            text = (
                f"loss {last.loss:.3f}  {last.samples / last.seconds:.1f} samples/s  {last.tokens / last.seconds:.0f} tokens/s"
                f"  waiting {last.waited / last.seconds:.0%}  {progress.memory:.1f} GiB"
            )
            bar.update(task, completed=progress.step, total=progress.total_steps, description=text)
            if progress.values and not console.is_terminal:
                say(f"step {progress.step}/{progress.total_steps}  epoch {progress.epoch:.2f}  {text}")
            scores = {k.removeprefix("eval/"): v for k, v in progress.values.items() if k.startswith("eval/")}
            if scores:
                console.print(
                    f"step {progress.step}: " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()), highlight=False
                )

        yield listen


def _print_result(result: Result) -> None:
    for problem, count in list(result.unreadable.items())[:MAX_LISTED]:
        say(f"unreadable, replaced {count} times: {problem}")
    if result.unreadable:
        say(f"{sum(result.unreadable.values())} items were replaced because {len(result.unreadable)} could not be read")
    if result.skipped:
        say(f"{result.skipped} steps were left out because their loss was not finite")
    if result.best:
        place = result.output / "checkpoints" / result.best["checkpoint"]
        say(f"best {result.best['metric']} {result.best['value']:.3f}: {place}")
    if result.stopped:
        say(f"stopped after step {result.step} of {result.total_steps}: the same command goes on from there")
    else:
        typer.echo(result.exported)


def _print_dry_run(report: DryRun) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    table = Table(
        "source", "examples", "an epoch", "dropped", "missing", "opened", "unreadable", box=None, pad_edge=False
    )
    for source in report.sources:
        dropped = ", ".join(f"{count} {reason}" for reason, count in source.dropped.items()) or "0"
        counts = (len(source.missing), source.opened, len(source.unreadable))
        table.add_row(source.name, str(source.examples), f"{source.met:.0f}", dropped, *map(str, counts))
    console.print(table)
    for problem in report.problems[:MAX_LISTED]:
        console.print(Text(f"  {problem}", style="red"))
    if len(report.problems) > MAX_LISTED:
        console.print(f"  and {len(report.problems) - MAX_LISTED} more")
    memory = report.memory
    console.print(
        f"steps: {report.total_steps} ({report.steps_per_epoch} an epoch, {report.warmup_steps:.0f} of warm-up)\n"
        f"parameters: {memory.trained:,} of {memory.parameters:,} are trained\n"
        f"memory a device, estimated: {memory.total:.2f} GiB (weights {memory.weights:.2f}, gradients {memory.gradients:.2f}, "
        f"optimizer {memory.optimizer:.2f}, activations about {memory.activations:.2f})"
    )
    for item in report.items:
        window = "all of it" if item.window is None else f"{item.window[0]:.1f} to {item.window[1]:.1f} s"
        console.print(Text(f"\n{item.source}: {item.id}, {window}, frames in {item.picture}", style="bold"))
        # Brackets as well as colour: what is learned must show in a file too.
        text = Text()
        for piece, learned in item.pieces:
            text.append(f"[{piece}]" if learned else piece, style="green" if learned else "")
        console.print(text)
        console.print(Text(f"Q-Former reads: {item.instruction or '(nothing)'}", style="dim"))
