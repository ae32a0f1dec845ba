"""``hawkeye eval TASK``: run a benchmark, resume it, score it; ``hawkeye eval merge``: shards into one run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hawkeye.cli.common import DeviceOption, DtypeOption, ModelOption, WeightsOption, choose_model, say
from hawkeye.cli.score import parse_options
from hawkeye.errors import ConfigError
from hawkeye.eval.blocks import Shard
from hawkeye.eval.mini import TASK as MINI
from hawkeye.eval.mini import make_mini
from hawkeye.eval.runner import RunSettings
from hawkeye.eval.score import NOTHING_TO_SCORE
from hawkeye.eval.scoring import load_training
from hawkeye.eval.session import (
    ModelChoice,
    Session,
    evaluate,
    has_truth,
    prepare,
    read_annotations,
    score_run,
    write_score,
)
from hawkeye.eval.tables import score_markdown
from hawkeye.eval.tasks import TASKS, EvalTask, adjusted, read_task
from hawkeye.models.base import DEFAULT_MODEL


class TaskFileFirst(TyperGroup):
    """``hawkeye eval --task-file FILE ...`` means ``hawkeye eval own --task-file FILE ...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = bool(args) and args[0].partition("=")[0] == "--task-file"
        return super().parse_args(ctx, ["own", *args] if own else args)


app = typer.Typer(no_args_is_help=True, cls=TaskFileFirst)

VideosOption = Annotated[Path | None, typer.Option(help="Folder of the videos.")]
AnnotationsOption = Annotated[
    list[Path], typer.Option("--annotations", "-a", help="Official file or folder; may be repeated.")
]
ReaderOption = Annotated[
    list[str], typer.Option("--option", "-o", help="KEY=VALUE for the reader, such as split=val_1.")
]
OutOption = Annotated[Path, typer.Option(help="Folder of the run; the same one again goes on with it.")]
TrainOption = Annotated[
    Path | None, typer.Option(help="Training annotations: adds their priors to the reference points.")
]
FramesOption = Annotated[int | None, typer.Option(help="Frames a look; default: what the model was made for.")]
TurnsOption = Annotated[int | None, typer.Option(help="Looks at most for each query.")]
OrdersOption = Annotated[int | None, typer.Option(help="Option orders to average over.")]
StrategyOption = Annotated[str | None, typer.Option(help="recursive or direct; default: what suits the model.")]
DecodingOption = Annotated[str, typer.Option(help="best, or exact (the reference's greedy decoding).")]
SeedOption = Annotated[int, typer.Option(help="Seed of the order of the options, and of the bootstrap.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Only the first examples.")]
ShardOption = Annotated[str, typer.Option(help="i/n: the i-th of n parts; `hawkeye eval merge` joins them.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes that decode; 0: in this one. Default: one a core, at most 4.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Looks a model call.")]
RetryOption = Annotated[bool, typer.Option("--retry-errors", help="Do failed examples again.")]
DefaultOption = Annotated[bool, typer.Option("--with-default", help="Also run the embedded default, for comparison.")]
DrawsOption = Annotated[int, typer.Option(min=0, help="Bootstrap draws for the 95 % intervals.")]


def command(
    context: typer.Context,
    out: OutOption,
    task_file: Annotated[
        Path | None, typer.Option(help="YAML file of a task of one's own (`hawkeye eval own`).")
    ] = None,
    videos: VideosOption = None,
    annotations: AnnotationsOption = [],  # noqa: B006
    option: ReaderOption = [],  # noqa: B006
    model: ModelOption = None,
    weights: WeightsOption = None,
    limit: LimitOption = None,
    shard: ShardOption = "1/1",
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    num_frames: FramesOption = None,
    max_turns: TurnsOption = None,
    orders: OrdersOption = None,
    strategy: StrategyOption = None,
    decoding: DecodingOption = "best",
    batch_size: BatchOption = 16,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    retry_errors: RetryOption = False,
    train: TrainOption = None,
    draws: DrawsOption = 1000,
    with_default: DefaultOption = False,
) -> None:
    chosen = adjusted(
        TASKS.get(context.info_name or "") or read_task(task_file),
        annotations=annotations,
        options=parse_options(option),
        videos=videos,
        num_frames=num_frames,
        max_turns=max_turns,
        orders=orders,
        strategy=strategy,
    )
    if chosen.videos is None:
        raise ConfigError(f"task {chosen.name} needs its videos: give --videos FOLDER")
    settings = RunSettings(limit, Shard.parse(shard), workers=workers, retry_errors=retry_errors)
    asked = Asked(model, weights, device, dtype, decoding)
    _run(chosen, asked, out, settings, seed, batch_size, draws, train, with_default)


for _task in TASKS.values():
    app.command(_task.name, help=_task.about)(command)
app.command("own", help="A task of your own, from --task-file.")(command)


@app.command("mini", help=MINI.about)
def mini(
    out: OutOption = Path("runs/mini"),
    model: ModelOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 0,
    num_frames: FramesOption = None,
    max_turns: TurnsOption = None,
    orders: OrdersOption = None,
    strategy: StrategyOption = None,
    decoding: DecodingOption = "best",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    draws: DrawsOption = 1000,
    with_default: DefaultOption = False,
) -> None:
    task = adjusted(
        make_mini(out / "videos"), num_frames=num_frames, max_turns=max_turns, orders=orders, strategy=strategy
    )
    asked = Asked(model, weights, device, dtype, decoding)
    _run(task, asked, out, RunSettings(workers=workers), seed, 16, draws, None, with_default)


@app.command("merge", help="Join the shards of one run, and score nothing: `hawkeye score` does.")
def merge_command(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    parts: Annotated[list[Path], typer.Argument(help="The --out folders of all shards.")],
) -> None:
    from hawkeye.eval.merge import merge

    merged = merge(out, parts)
    of = f" of {merged.expected}" if merged.expected and merged.expected != merged.rows else ""
    typer.echo(f"{merged.folder}: {merged.rows}{of} rows")


@dataclass(frozen=True)
class Asked:
    """The model as the command line names it."""

    model: str | None
    weights: str | None
    device: str
    dtype: str
    decoding: str

    def load(self) -> ModelChoice:
        loaded = choose_model(self.model, self.weights, self.device, self.dtype, self.decoding)
        return ModelChoice(loaded, self.model, self.weights, {"dtype": self.dtype, "decoding": self.decoding})


def _run(
    task: EvalTask,
    asked: Asked,
    out: Path,
    settings: RunSettings,
    seed: int,
    batch_size: int,
    draws: int,
    train: Path | None,
    with_default: bool,
) -> None:
    """Run, score and print one task. What is quick to check comes before the model is loaded."""
    assert task.videos is not None
    loaded = read_annotations(task)
    trained = load_training(train, task.dataset, task.options).examples if train else ()
    session = prepare(task, loaded, asked.load(), seed, batch_size)
    _evaluate(session, task.videos, out, settings)
    if not has_truth(loaded):
        say(f"{task.name}: the annotations hold no truth, {NOTHING_TO_SCORE}")
        return
    score = score_run(session, out, settings, train=trained, draws=draws)
    if with_default and asked.model not in (None, DEFAULT_MODEL):
        default = prepare(task, loaded, Asked(None, None, asked.device, "auto", "best").load(), seed, batch_size)
        _evaluate(default, task.videos, out / DEFAULT_MODEL, settings)
        beside = score_run(default, out / DEFAULT_MODEL, settings, draws=0).overall
        about = "the model that comes with the installation, on the same videos"
        score.references.append(replace(beside, label=f"embedded default ({DEFAULT_MODEL})", about=about))
        write_score(score, out)
    typer.echo(score_markdown(score, out.name), nl=False)


def _evaluate(session: Session, videos: Path, out: Path, settings: RunSettings) -> None:
    summary = evaluate(session, videos, out, settings, _progress())
    say(f"{out}: {summary.total} rows, {summary.new} of them new, {summary.errors} of these failed")
    if not summary.total:
        raise typer.Exit  # a shard beyond the last block


def _progress() -> Callable[[int, int, dict[str, Any]], None]:
    """A line on stderr that is written over; into a file, a line a minute."""
    watched = sys.stderr.isatty()
    began = shown = time.monotonic()
    before: int | None = None  # rows that were there already

    def show(done: int, total: int, row: dict[str, Any]) -> None:
        nonlocal before, shown
        now = time.monotonic()
        before = done - 1 if before is None else before
        line = f"{done}/{total}, {(now - began) / (done - before) * (total - done) / 60:.0f} min left"
        if watched:
            print(f"\r{line} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif now - shown > 60:
            shown = now
            say(line)

    return show
