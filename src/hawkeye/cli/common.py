"""What several verbs share: options, the model they name, the videos in a folder, and a line on stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hawkeye.errors import ConfigError, VideoError
from hawkeye.video.reader import PICTURE_SUFFIXES

VIDEO_SUFFIXES = (
    ".mp4",
    ".mkv",
    ".webm",
    ".avi",
    ".mov",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".wmv",
    ".gif",
    ".ogv",
)

ModelOption = Annotated[str | None, typer.Option(help="A name from `hawkeye models`, or a converted folder.")]
WeightsOption = Annotated[
    str | None, typer.Option(help="Folder, hub id or URL of the weights, where the model needs it.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
DtypeOption = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16")]


def say(text: str) -> None:
    """A line for the person, not for the pipe."""
    typer.echo(text, err=True)


def choose_model(
    name: str | None, weights: str | None, device: str, dtype: str, decoding: str = "best", **options: Any
) -> Any:
    """Load the model that the options name; ``decoding`` reaches the models that know more than one."""
    from hawkeye.models.base import load_model

    if decoding not in ("best", "exact"):
        raise ConfigError(f"--decoding is {decoding!r}: expected best or exact")
    if decoding != "best":
        options["decoding"] = decoding
    return load_model(name, weights=weights, device=device, dtype=dtype, **options)


def list_videos(path: Path) -> list[Path]:
    """A file or a folder of pictures is one video; any other folder is all the videos in it, by name."""
    if not path.is_dir():
        return [path]
    entries = sorted(path.iterdir())
    videos = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in VIDEO_SUFFIXES]
    if videos:
        return videos
    if any(entry.suffix.lower() in PICTURE_SUFFIXES for entry in entries):
        return [path]
    raise VideoError(f"{path}: the folder holds neither videos ({', '.join(VIDEO_SUFFIXES[:5])}, ...) nor pictures")
