"""Where the video of an example lies under a folder of videos. It looks at names only; it opens nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hawkeye.errors import AnnotationError, ConfigError, VideoError

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".flv", ".gif")


def media_name(example: Any) -> str:
    """How the annotations name the example's video (or picture)."""
    return getattr(example, "video", None) or example.media


def resolve_video(example: Any, videos_dir: str | Path) -> Path:
    """The file (or folder of pictures) that ``example`` names, below ``videos_dir``.

    Tried in turn: the name as it stands, then without its first folders; each with its own suffix, with every known one,
    and as a folder of pictures. Raises VideoError that lists them.
    """
    name, root = media_name(example), Path(videos_dir)
    tried = []
    for candidate in _candidates(PurePosixPath(name)):
        if _is_there(root / candidate):
            return root / candidate
        tried.append(candidate)
    if not root.is_dir():
        raise VideoError(f"{root}: no such folder of videos: give the folder that holds them")
    raise VideoError(
        f"{name}: no such video under {root}: tried {', '.join(tried[:3])} and {max(len(tried) - 3, 0)} more names"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long to be one
        return False


def _candidates(path: PurePosixPath) -> Iterator[str]:
    seen = set()
    for first in range(1 if path.is_absolute() else len(path.parts)):
        place = PurePosixPath(*path.parts[first:])
        stem = place.with_suffix("") if place.suffix.lower() in SUFFIXES else place
        for candidate in (place, *(stem.with_name(stem.name + suffix) for suffix in SUFFIXES), stem):
            if str(candidate) not in seen:
                seen.add(str(candidate))
                yield str(candidate)


def webvid_name(name: str) -> str:
    """``010451_010500/1066674784.mp4`` -> ``106/1066674784``."""
    stem = bare_name(name)
    return f"{stem[:3]}/{stem}"


def bare_name(name: str) -> str:
    """``train/v_abc.mkv`` -> ``v_abc``: the last part up to its first dot."""
    return PurePosixPath(name).name.split(".")[0]


def clevrer_name(name: str) -> str:
    """``video_02238.mp4`` -> ``video_02000-03000/video_02238.mp4``."""
    found = re.fullmatch(r"video_(\d+)\..*", PurePosixPath(name).name)
    if not found:
        raise AnnotationError(f"{name}: expected a CLEVRER name such as video_02238.mp4")
    low = int(found[1]) // 1000 * 1000
    return f"video_{low:05d}-{low + 1000:05d}/{found[0]}"


def stored_name(name: str, dataset: str) -> str:
    """How the video ``name`` of a VideoChat2-IT set is stored. Raises ConfigError if no rule is known for the set."""
    if dataset not in STORED_AS:
        raise ConfigError(f"no rule of file names for {dataset!r}: expected one of {', '.join(STORED_AS)}")
    return STORED_AS[dataset](name)


# VideoChat2-IT sets whose videos are stored under other names than their annotations use
STORED_AS: dict[str, Callable[[str], str]] = {
    "caption_webvid": webvid_name,
    "caption_videochat": webvid_name,
    "conversation_videochat1": webvid_name,
    "vqa_webvid_qa": webvid_name,
    "conversation_videochatgpt": bare_name,
    "reasoning_clevrer_qa": clevrer_name,
    "reasoning_clevrer_mc": clevrer_name,
}
