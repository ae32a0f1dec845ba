"""``hawkeye prepare``: official annotation files into JSON, a check of the videos before a run, files for servers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from hawkeye.datasets.registry import REGISTRY, LoadedDataset, load_dataset
from hawkeye.errors import ConfigError


class WriteByDefault(TyperGroup):
    """``hawkeye prepare DATASET ...`` means ``hawkeye prepare write DATASET ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        first = args[0] if args else ""
        return super().resolve_command(
            ctx, args if first in self.commands or first.startswith("-") else ["write", *args]
        )


app = typer.Typer(no_args_is_help=True, cls=WriteByDefault)

DatasetArgument = Annotated[str, typer.Argument(help="A name from `hawkeye prepare list`.")]
AnnotationsOption = Annotated[
    list[Path], typer.Option("--annotations", "-a", help="Official file, or a folder that holds it; may be repeated.")
]
ReaderOption = Annotated[
    list[str], typer.Option("--option", "-o", help="KEY=VALUE for the reader, such as split=train or lengths=FILE.")
]


@app.command("list")
def list_datasets() -> None:
    """Name every data set and the files it wants."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "kind", "what it is", "files"):
        table.add_column(title, overflow="fold")
    for entry in REGISTRY.values():
        table.add_row(entry.name, entry.kind, entry.about, entry.wants)
    Console().print(table)


@app.command("write")
def write(
    dataset: DatasetArgument,
    annotations: AnnotationsOption,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    purpose: Annotated[
        Literal["evaluation", "training"], typer.Option("--for", help="Which of the reference's two layouts.")
    ] = "evaluation",
    task: Annotated[
        Literal["choice", "grounding", "caption", "choice_caption"], typer.Option(help="What training items ask for.")
    ] = "choice",
    time: Annotated[
        Literal["second", "frame", "frame_token"], typer.Option(help="How times are told, if not as a choice.")
    ] = "second",
    instructions: Annotated[
        Path | None, typer.Option(help="Text file, one instruction a line; or a JSON list.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="The same for questions; each holds {query} (or %s) once.")
    ] = None,
    share: Annotated[float, typer.Option(help="Take this share of the videos, drawn by --seed.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed and files: same bytes.")] = 0,
    option: ReaderOption = [],  # noqa: B006
) -> None:
    """Write a data set in the reference's JSON layout, and say what was dropped and why."""
    from hawkeye.datasets import convert
    from hawkeye.records import GroundingExample

    loaded = _load(dataset, annotations, option)
    examples = convert.share_of_videos(loaded.examples, share, seed)
    if purpose == "evaluation":
        items = convert.evaluation_items(loaded.name, examples)
    else:
        if not all(isinstance(example, GroundingExample) for example in examples):
            raise ConfigError(f"data set {loaded.name} has no spans to train grounding on: leave --for training out")
        wording = convert.Wording(**_given(instructions=_lines(instructions), questions=_lines(questions)))
        items = convert.training_items(examples, task, seed, wording, convert.SPAN_SENTENCES[time])
    if not items:
        raise ConfigError(f"{annotations[0]}: no example has a span, which training needs")
    _write_list(out, items)
    typer.echo(f"{out}: {len(items)} items of {len({item['video'] for item in items})} videos")
    _say_counts(loaded)


@app.command("check")
def check(
    dataset: DatasetArgument,
    annotations: AnnotationsOption,
    videos: Annotated[Path, typer.Option(help="Folder of the videos.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that open videos.")] = 2,
    decode: Annotated[bool, typer.Option("--decode", help="Also decode three frames of each video.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where durations are kept (default: the user's cache).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write every problem here, as JSON lines.")] = None,
    show: Annotated[int, typer.Option(min=0, help="How many problems of each kind to print.")] = 10,
    option: ReaderOption = [],  # noqa: B006
) -> None:
    """List the videos that are missing, can't be read or are too short. Exit code 1 if there are any."""
    from rich.console import Console
    from rich.progress import Progress

    from hawkeye.eval.preflight import check_videos, default_cache
    from hawkeye.records import write_jsonl

    loaded = _load(dataset, annotations, option)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        job = bar.add_task("opening videos", total=None)
        found = check_videos(
            loaded.examples,
            videos,
            workers,
            cache or default_cache(),
            decode=decode,
            on_progress=lambda done, total: bar.update(job, completed=done, total=total),
        )
    for kind in ("missing", "unreadable", "short"):
        problems = [problem for problem in found.problems if problem.kind == kind]
        for problem in problems[:show]:
            typer.echo(f"{kind}\t{problem.video}\t{problem.num_examples} examples\t{problem.detail}")
        if len(problems) > show:
            typer.echo(f"{kind}\t... and {len(problems) - show} more")
    if out:
        write_jsonl(out, found.problems)
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in ("missing", "unreadable", "short"))
    typer.echo(f"{loaded.name}: {found.num_videos} videos, {counts}; {found.num_opened} opened, the others known")
    if found.problems:
        raise typer.Exit(1)


@app.command("submit")
def submit(
    server: Annotated[Literal["star", "tvqa", "qvhighlights"], typer.Argument(help="Whose server it is for.")],
    annotations: Annotated[Path, typer.Option("--annotations", "-a", help="The questions that were asked.")],
    predictions: Annotated[Path, typer.Option(help="predictions.jsonl of a run, or the reference's output file.")],
    out: Annotated[Path, typer.Option(help="File to write (tvqa: folder).")],
    val_annotations: Annotated[Path | None, typer.Option(help="tvqa: the validation questions.")] = None,
    val_predictions: Annotated[
        Path | None, typer.Option(help="tvqa: their predictions; drawn at random if left out.")
    ] = None,
    model: Annotated[str, typer.Option(help="tvqa: the model's name in meta.json.")] = "hawkeye",
    seed: Annotated[int, typer.Option(help="For answers that must be drawn.")] = 0,
) -> None:
    """Write what an evaluation server takes. Replies that name no option are drawn at random, and counted."""
    from hawkeye.eval import submissions
    from hawkeye.records import write_jsonl

    if server == "tvqa" and val_annotations is None:
        raise ConfigError("tvqa: the server wants validation answers as well: give --val-annotations")
    if server == "qvhighlights":
        examples = load_dataset("qvhighlights", annotations).examples
        rows = submissions.qvhighlights_submission(examples, submissions.read_ranked(predictions))
        typer.echo(f"{out}: {write_jsonl(out, rows)} queries")
        return
    examples = load_dataset(server, annotations).examples
    chosen = submissions.choose(examples, submissions.read_replies(predictions, examples), seed)
    _say_guesses(chosen, len(examples), predictions)
    if server == "star":
        _write_json(out, submissions.star_submission(chosen.options))
        return
    assert val_annotations is not None
    val_examples = load_dataset("tvqa", val_annotations).examples
    replies: dict[str, Any] = {example.id: None for example in val_examples}
    if val_predictions:
        replies = submissions.read_replies(val_predictions, val_examples)
    val_chosen = submissions.choose(val_examples, replies, seed)
    _say_guesses(val_chosen, len(val_examples), val_annotations)
    for name, content in submissions.tvqa_submission(chosen.options, val_chosen.options, model).items():
        _write_json(out / name, content)


def _load(dataset: str, annotations: list[Path], options: list[str]) -> LoadedDataset:
    from hawkeye.config import apply_overrides

    return load_dataset(dataset, annotations, **apply_overrides({}, options))


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _lines(path: Path | None) -> list[str] | None:
    """The texts of a .json list, or of any other file one a line."""
    if path is None:
        return None
    if path.suffix == ".json":
        from hawkeye.records import read_json

        values = read_json(path)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ConfigError(f"{path}: expected a JSON list of texts")
        return values
    from hawkeye.datasets.reading import Reading

    return [line.strip() for _, line in Reading().lines(path)]


def _write_list(path: Path, items: Iterable[dict[str, Any]]) -> None:
    """A JSON list with one item a line."""
    from hawkeye.records import atomic_write, to_json

    with atomic_write(path) as file:
        file.write("[\n" + ",\n".join(map(to_json, items)) + "\n]\n")


def _write_json(path: Path, content: Any) -> None:
    from hawkeye.records import atomic_write

    with atomic_write(path) as file:
        json.dump(content, file, indent=1)
    typer.echo(f"{path}: written")


def _say_counts(loaded: LoadedDataset) -> None:
    for what, counts in (("dropped", loaded.dropped), ("odd but kept", loaded.noted)):
        if counts:
            typer.echo(f"{what}: " + ", ".join(f"{count} x {reason}" for reason, count in counts.items()))


def _say_guesses(chosen: Any, total: int, source: Path) -> None:
    if chosen.guessed:
        typer.echo(
            f"{source}: {len(chosen.guessed)} of {total} answers were drawn at random, for want of a reply that names an option"
        )
