"""Where the video of an example lies under a folder of videos. It looks at names only; it opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hawkeye.errors import VideoError

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".gif")


def resolve_video(example: Any, videos_dir: str | Path) -> Path:
    """The file (or folder of pictures) that ``example.video`` names, below ``videos_dir``.

    Tried in turn: the official folder of its data set (``extra["folder"]``), the name as it stands, its last part alone;
    each with its own suffix, then with every known one, then as a folder of pictures. Raises VideoError that lists them.
    """
    name = getattr(example, "video", None) or example.media
    root = Path(videos_dir)
    tried = []
    for candidate in _candidates(name, example.extra.get("folder")):
        path = root / candidate
        if path.exists():
            return path
        tried.append(candidate)
    if not root.is_dir():
        raise VideoError(f"{root}: no such folder of videos: check --videos")
    raise VideoError(
        f"{name}: no such video under {root}: tried {', '.join(tried[:3])} and {max(len(tried) - 3, 0)} more names"
    )


def _candidates(name: str, folder: str | None) -> Iterator[str]:
    path = PurePosixPath(name)
    if not path.name:
        return
    if path.is_absolute():
        yield name
        return
    places = [*([PurePosixPath(folder) / path] if folder else []), path, PurePosixPath(path.name)]
    seen = set()
    for place in places:
        stem = place.with_suffix("") if place.suffix.lower() in SUFFIXES else place
        for candidate in (place, *(stem.with_name(stem.name + suffix) for suffix in SUFFIXES), stem):
            if str(candidate) not in seen:
                seen.add(str(candidate))
                yield str(candidate)
