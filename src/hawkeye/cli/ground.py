"""``hawkeye ground VIDEO QUERY``: the main job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hawkeye.cli.common import DeviceOption, DtypeOption, ModelOption, WeightsOption, choose_model, list_videos, say
from hawkeye.cli.queries import Query, read_queries
from hawkeye.cli.timeline import print_results
from hawkeye.errors import ConfigError
from hawkeye.records import atomic_write


def command(
    words: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO... QUERY...", help="Video files or folders, then the sentences to find."),
    ],
    queries: Annotated[
        Path | None,
        typer.Option(help="A .txt (a sentence a line) or .jsonl file (query, optionally video) of sentences."),
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    strategy: Annotated[
        str | None, typer.Option(help="recursive or direct; default: what suits the model best.")
    ] = None,
    max_turns: Annotated[int, typer.Option(help="Looks at most, each at half of the last.")] = 4,
    num_frames: Annotated[int | None, typer.Option(help="Frames a look; default: what the model was made for.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of the options.")] = 0,
    top_k: Annotated[int, typer.Option(help="Ranked spans to keep.")] = 5,
    orders: Annotated[
        int, typer.Option(help="Option orders to average over in each turn (removes position bias).")
    ] = 1,
    decoding: Annotated[str, typer.Option(help="best, or exact (the reference's greedy decoding).")] = "best",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each video on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON objects to this file, one a line.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a filmstrip with every turn's window as PNG.")] = None,
    cut: Annotated[Path | None, typer.Option(help="Folder for the found stretches as mp4 files.")] = None,
) -> None:
    """Find when a sentence happens in a video."""
    videos, sentences = split_words(words)
    asked = [Query(sentence) for sentence in sentences] + (read_queries(queries) if queries else [])
    if not asked:
        raise ConfigError(f"no query: give a sentence after {videos[0]}, or a file with --queries")
    if picture and (len(videos) > 1 or videos[0].is_dir()):
        raise ConfigError("--picture draws one video: give a single file")
    for folder in (out and out.parent, picture and picture.parent, cut):
        if folder:
            check_writable(folder)

    from hawkeye.grounding.grounder import Grounder, check_query

    asked = [Query(check_query(query.text), query.video) for query in asked]
    files = [file for video in videos for file in list_videos(video)]
    loaded = choose_model(model, weights, device, dtype, decoding)
    grounder = Grounder(loaded, strategy, max_turns, num_frames, seed, top_k, orders)  # pyright: ignore[reportArgumentType]
    objects = []
    for file, results in ground_files(grounder, files, asked):
        objects.append(as_object(file, results, grounder))
        if as_json:
            typer.echo(json.dumps(objects[-1], ensure_ascii=False, allow_nan=False))
        else:
            print_results(Console(), file, results)
        write_extras(file, results, picture, cut)
    if out:
        with atomic_write(out) as target:
            target.writelines(json.dumps(o, ensure_ascii=False, allow_nan=False) + "\n" for o in objects)
    failed = [r["error"] for o in objects for r in o["results"] if r["error"]]
    for error in dict.fromkeys(failed):
        say(f"hawkeye: {error}")
    if failed:
        raise typer.Exit(1)


def split_words(words: list[str]) -> tuple[list[Path], list[str]]:
    """The leading words that are files or folders are videos (the first always is); the rest are sentences."""
    count = 1
    while count < len(words) and is_path(words[count]):
        count += 1
    return [Path(word) for word in words[:count]], words[count:]


def is_path(word: str) -> bool:
    """Is there such a file or folder? A sentence longer than file names can be is none, nor is the empty one."""
    try:
        return bool(word) and Path(word).exists()
    except OSError:
        return False


def check_writable(folder: Path) -> None:
    """Before any work: can we write there? Raises ConfigError."""
    from tempfile import TemporaryFile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: can't write there ({error.strerror}): choose another folder") from None


def ground_files(grounder: Any, files: list[Path], asked: list[Query]) -> Any:
    """(file, its results in the order asked) for each file; progress on stderr when somebody is looking."""
    from hawkeye.grounding.source import Request

    of_file = {file: [q.text for q in asked if q.concerns(file)] for file in files}
    total = sum(len(texts) for texts in of_file.values())
    requests = (Request(file, text) for file, texts in of_file.items() for text in texts)
    results: dict[Path, list] = {file: [] for file in files}
    pending = [file for file in files if of_file[file]]
    for done, (request, result) in enumerate(grounder.ground_many(requests), 1):
        results[request.video].append(result)
        if sys.stderr.isatty() and total > 1:
            print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)
        while pending and len(results[pending[0]]) == len(of_file[pending[0]]):
            file = pending.pop(0)
            order = {text: i for i, text in reversed(list(enumerate(of_file[file])))}
            yield file, sorted(results[file], key=lambda r: order[r.query])


def as_object(file: Path, results: list, grounder: Any) -> dict[str, Any]:
    """The JSON object of one video, as documented in the README."""
    shared = ("video", "duration", "model", "strategy", "version")
    return {
        "video": str(file),
        "duration": results[0].duration,
        "model": results[0].model,
        "strategy": grounder.strategy,
        "version": results[0].version,
        "results": [{k: v for k, v in r.to_dict().items() if k not in shared} for r in results],
    }


def write_extras(file: Path, results: list, picture: Path | None, cut: Path | None) -> None:
    """The picture and the cut clips, for the results that have a span."""
    good = [r for r in results if r.span is not None]
    if picture and good:
        from hawkeye.grounding.picture import draw_results

        with atomic_write(picture, "wb") as target:
            draw_results(file, good).save(target, format="PNG")
        say(f"wrote {picture}")
    if cut:
        from hawkeye.video.cut import cut_clip

        for i, result in enumerate(good, 1):
            target = cut / f"{file.stem}_{i:02d}_{result.span.start:.1f}-{result.span.end:.1f}.mp4"
            cut_clip(file, result.span, target)
            say(f"wrote {target}")
