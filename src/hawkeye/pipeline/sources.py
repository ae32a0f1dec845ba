"""Which videos a build works on: a folder, or a list file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from hawkeye.errors import ConfigError
from hawkeye.records import read_jsonl

VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .h264 .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv".split()  # noqa: SIM905
)


class Video(NamedTuple):
    """``name`` identifies it in all rows."""

    name: str
    path: Path


def list_videos(source: str | Path, folder: str | Path | None = None) -> list[Video]:
    """The videos of a folder and the folders in it, by name; or those that a list names, in its order.

    A list is a ``.txt`` file with a path a line, or a ``.jsonl`` file with ``video_fname``; paths are relative to ``folder``,
    or to where the list is. Raises ConfigError.
    """
    source = Path(source)
    if source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
        found = [Video(path.relative_to(source).as_posix(), path) for path in paths if not path.name.startswith(".")]
    elif source.suffix == ".jsonl" and source.is_file():
        names = list(dict.fromkeys(str(row["video_fname"]) for row in read_jsonl(source) if "video_fname" in row))
        found = _named(names, Path(folder) if folder else source.parent)
    elif source.suffix == ".txt" and source.is_file():
        lines = source.read_text(encoding="utf-8").splitlines()
        found = _named([line.strip() for line in lines if line.strip()], Path(folder) if folder else source.parent)
    else:
        raise ConfigError(f"{source}: expected a folder of videos, or a list of them as .txt or .jsonl")
    if not found:
        raise ConfigError(f"{source}: holds no videos (looked for {', '.join(sorted(VIDEO_SUFFIXES))})")
    repeated = [name for name, count in Counter(video.name for video in found).items() if count > 1]
    if repeated:
        raise ConfigError(f"{source}: names {repeated[0]} more than once: name each video once")
    return found


def _named(names: list[str], folder: Path) -> list[Video]:
    return [Video(name, folder / name) for name in names]


def parse_shard(text: str) -> tuple[int, int]:
    """``"2/8"`` -> (2, 8): the third of eight. Raises ConfigError."""
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and 0 <= int(first) < int(second)):
        raise ConfigError(f"shard {text!r}: expected i/n with i from 0 to n-1, such as 0/4")
    return int(first), int(second)
