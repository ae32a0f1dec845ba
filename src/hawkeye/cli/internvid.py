"""``hawkeye internvid``: build grounding data from raw videos, watch a build, run single stages, look at the result."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hawkeye.cli.common import say
from hawkeye.errors import ConfigError

if TYPE_CHECKING:
    from hawkeye.pipeline.build import BuildReport
    from hawkeye.pipeline.publish import Counts
    from hawkeye.pipeline.work import VideoWork

app = typer.Typer(no_args_is_help=True)
MAX_LISTED = 20

ConfigOption = Annotated[Path | None, typer.Option(help="Settings, such as configs/pipeline/internvid_g.yaml.")]
PresetOption = Annotated[str | None, typer.Option(help="paper or ours (the default).")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE laid over them; may be repeated.")]
VideosOption = Annotated[Path | None, typer.Option(help="Folder of the videos, where the stage opens them.")]


@app.command("build")
def build_command(
    videos: Annotated[Path, typer.Argument(help="A folder of videos, or a list of them as .txt or .jsonl.")],
    out: Annotated[Path, typer.Argument(help="Folder for the data set; an unfinished build in it goes on.")],
    config: ConfigOption = None,
    preset: PresetOption = None,
    overrides: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Videos at a time; all CPU cores if not given.")] = None,
    executor: Annotated[str, typer.Option(help="local, or ray for a cluster.")] = "local",
    shard: Annotated[str, typer.Option(help="i/n: only every n-th video, from the i-th (0 to n-1) on.")] = "0/1",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    video_folder: Annotated[Path | None, typer.Option(help="Where the videos of a list are.")] = None,
) -> None:
    """Cut, compare, merge, caption, filter, and find negative spans: OUT/final_dataset.jsonl."""
    from hawkeye.pipeline.build import build
    from hawkeye.pipeline.config import load_config
    from hawkeye.pipeline.sources import list_videos, parse_shard

    settings = load_config(config, preset, overrides)
    found = list_videos(videos, video_folder)
    if executor not in ("local", "ray"):
        raise ConfigError(f"--executor {executor}: expected local or ray")
    report = build(
        found, out, settings, workers or _num_cores(), executor, parse_shard(shard), retry_failed, _tell_progress
    )
    if report.counts is None:
        say(f"this shard is done ({report.num_done} videos); {out} is not: run the other shards")
    else:
        _print_counts(report.counts, out)


@app.command("status")
def status_command(
    out: Annotated[Path, typer.Argument(help="Folder of a build, running or not.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell how far a build has come, how fast, and what failed."""
    from dataclasses import asdict

    from hawkeye.pipeline.status import build_status

    status = build_status(out)
    if as_json:
        typer.echo(json.dumps(asdict(status), indent=1))
        return
    typer.echo(f"{status.num_done} of {status.num_videos} videos done, {status.num_failed} of them failed")
    for stage in status.stages:
        speed = f"{stage.speed:.1f} x real time" if stage.speed else "-"
        typer.echo(
            f"  {stage.stage:<11} {stage.num_done:>7} done {stage.num_failed:>5} failed   {speed} for one worker"
        )
    if status.work_left:
        typer.echo(f"about {timedelta(seconds=round(status.work_left))} of work left for one worker")
    for video, stage, reason in status.failures[:MAX_LISTED]:
        typer.echo(f"failed at {stage}: {video}: {reason}")
    if len(status.failures) > MAX_LISTED:
        typer.echo(f"and {len(status.failures) - MAX_LISTED} more (--json lists all)")


@app.command("run")
def run_command(
    stage: Annotated[str, typer.Argument(help="scenes, similarity, merge, captions, scores, filter or negatives.")],
    folder: Annotated[Path, typer.Argument(help="Where the stages' files are read and written.")],
    videos: VideosOption = None,
    config: ConfigOption = None,
    preset: PresetOption = None,
    overrides: SetOption = None,
    files: Annotated[
        list[str] | None, typer.Option("--file", help="NAME=PATH: a file that is not FOLDER/NAME; may be repeated.")
    ] = None,
) -> None:
    """Run a single stage from file to file, with the layout of the reference."""
    from hawkeye.pipeline.config import load_config
    from hawkeye.pipeline.stage_files import Files, run_stage

    pairs = [text.partition("=") for text in files or []]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        raise ConfigError(f"--file {wrong[0]}: expected NAME=PATH, such as scenes.jsonl=temp/scenes.jsonl")
    placed = Files(folder, {name: path for name, _, path in pairs})
    typer.echo(f"{run_stage(stage, placed, videos, load_config(config, preset, overrides), say)} rows written")


@app.command("stats")
def stats_command(dataset: Annotated[Path, typer.Argument(help="final_dataset.jsonl, or a build's folder.")]) -> None:
    """Print counts and quantiles of a finished data set as JSON."""
    from hawkeye.pipeline.publish import COUNTS, FINAL
    from hawkeye.pipeline.stats import dataset_stats
    from hawkeye.records import read_json

    built = dataset.is_dir()
    stats = dataset_stats(dataset / FINAL if built else dataset)
    stages = {"stages": read_json(dataset / COUNTS)} if built and (dataset / COUNTS).exists() else {}
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in (stages | stats).items())
    typer.echo("{\n " + ",\n ".join(lines) + "\n}")


@app.command("sample")
def sample_command(
    dataset: Annotated[Path, typer.Argument(help="final_dataset.jsonl, or a build's folder.")],
    videos: Annotated[Path, typer.Argument(help="Folder of the videos.")],
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("sample.html"),
    rows: Annotated[int, typer.Option(min=1)] = 50,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write a page with random rows to look at: pictures, caption, span and negative span."""
    from hawkeye.pipeline.publish import FINAL
    from hawkeye.pipeline.sample import write_sample

    count = write_sample(dataset / FINAL if dataset.is_dir() else dataset, videos, page, rows, seed)
    say(f"{count} rows")
    typer.echo(page)


@app.command("download")
def download_command(
    listed: Annotated[Path, typer.Argument(metavar="LIST", help="Ids or addresses: .txt, .jsonl or .json.")],
    folder: Annotated[Path, typer.Argument(help="Where the videos go.")],
    also_look_in: Annotated[
        list[Path] | None, typer.Option(help="Folders that may hold some; may be repeated.")
    ] = None,
    height: Annotated[int, typer.Option(min=1, help="Take the resolution nearest to it.")] = 720,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
) -> None:
    """Fetch the videos of a list that are not there yet (needs the extra named data)."""
    from hawkeye.pipeline.download import download, read_ids

    def tell(name: str, error: str | None) -> None:
        say(f"{name}: {error or 'fetched'}")

    report = download(read_ids(listed), folder, also_look_in or [], height, retry_failed, tell)
    typer.echo(
        f"{report.num_listed} listed, {report.num_there} were there, {report.num_fetched} fetched, {len(report.failed)} failed"
    )


def _num_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell_progress(report: BuildReport, work: VideoWork | None) -> None:
    if work is None:
        if report.redone_stages:
            say(f"settings have changed: made again: {', '.join(report.redone_stages)}")
        say(f"{report.num_videos} videos, {report.num_done} of them done before")
        return
    elapsed = time.monotonic() - report.started
    left = elapsed / report.num_worked_on * (report.num_videos - report.num_done)
    failed = f"failed at {work.failed_stage}: {work.error}" if work.failed_stage else "done"
    say(f"{report.num_done}/{report.num_videos}  {timedelta(seconds=round(left))} left  {work.video}: {failed}")


def _print_counts(counts: Counts, out: Path) -> None:
    from hawkeye.pipeline.publish import FINAL

    say(
        f"{counts.videos} videos ({counts.failed_videos} failed), {counts.scenes} scenes, {counts.segments} segments, "
        f"{counts.captions} captions, {counts.kept_captions} kept by the filter"
    )
    for reason, count in counts.dropped.items():
        say(f"{count} captions gave no row: {reason}")
    say(f"{counts.rows} rows")
    typer.echo(out / FINAL)
