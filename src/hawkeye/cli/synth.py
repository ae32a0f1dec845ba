"""``hawkeye synth``: videos made from captioned pictures, with exact spans, to train and to test on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hawkeye.errors import ConfigError


def command(
    pictures: Annotated[Path, typer.Argument(help="Folder of captioned pictures (see docs/mini.md for its layouts).")],
    out: Annotated[Path, typer.Argument(help="Folder to write to; a second run with the same settings goes on.")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many videos.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed and pictures: same bytes.")] = 0,
    held_out: Annotated[int, typer.Option(help="How many subjects are kept back from training.")] = 0,
    part: Annotated[Literal["train", "held-out"], typer.Option(help="Which subjects to use.")] = "train",
    files: Annotated[bool, typer.Option("--files/--no-files", help="Write the videos, or only the records.")] = True,
    fps: Annotated[float, typer.Option(help="Frames per second of the files.")] = 12.0,
) -> None:
    """Compose videos from captioned pictures: shots, camera moves, guests; with sentences, spans and negative spans."""
    from rich.console import Console
    from rich.progress import Progress

    from hawkeye.synth.pictures import read_pictures, split_classes
    from hawkeye.synth.plan import Style
    from hawkeye.synth.write import Made, write_dataset

    for name, value, good in (
        ("count", count, count >= 1), ("held-out", held_out, held_out >= 0), ("fps", fps, 1 <= fps <= 60),
    ):  # fmt: skip
        if not good:
            raise ConfigError(f"--{name} is {value}: out of range")
    if part == "held-out" and held_out == 0:
        raise ConfigError("--part held-out: says which subjects are held out with --held-out N")
    train, kept_back = split_classes(read_pictures(pictures), held_out)
    chosen = train if part == "train" else kept_back
    with Progress(console=Console(stderr=True), disable=not files) as bar:
        task = bar.add_task("videos", total=count)
        counts = write_dataset(
            chosen, out, Made(seed, count, fps, files, Style()), lambda done, total: bar.update(task, completed=done)
        )
    typer.echo(f"{out}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
