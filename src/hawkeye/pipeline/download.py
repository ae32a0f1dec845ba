"""Fetch the videos of a list with yt-dlp: only those that are missing, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkeye.errors import AnnotationError
from hawkeye.pipeline.rows import video_id
from hawkeye.records import read_json, read_jsonl
from hawkeye.runtime import require

YOUTUBE_ID_LENGTH = 11
FAILED_FILE = "failed_downloads.jsonl"


@dataclass
class DownloadReport:
    num_listed: int
    num_there: int
    num_fetched: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # id -> reason


def read_ids(path: str | Path) -> list[str]:
    """Video ids, or whole addresses, in list order without repeats.

    ``.txt``: one a line. ``.jsonl``: rows with ``YoutubeID`` or ``video_fname`` (InternVid, and this pipeline's files).
    ``.json``: a list of rows with ``video``, whose first 11 letters are the id. Raises AnnotationError.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        ids = [video_id(row) for row in read_jsonl(path)]
    elif path.suffix == ".json":
        ids = [str(row["video"])[:YOUTUBE_ID_LENGTH] for row in read_json(path)]
    elif path.suffix == ".txt":
        try:
            ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except OSError as error:
            raise AnnotationError(f"{path}: can't be read ({error.strerror})") from None
    else:
        raise AnnotationError(f"{path}: expected a list as .txt, .jsonl or .json")
    return list(dict.fromkeys(name for name in ids if name))


def download(
    ids: Sequence[str],
    folder: str | Path,
    also_look_in: Sequence[str | Path] = (),
    height: int = 720,
    retry_failed: bool = False,
    on_done: Callable[[str, str | None], None] = lambda name, error: None,
) -> DownloadReport:
    """Fetch into ``folder`` as ``ID.SUFFIX`` what neither it nor ``also_look_in`` holds.

    ``height``: the resolution nearest to this is taken. What failed before is left alone unless ``retry_failed``; reasons
    are kept in ``failed_downloads.jsonl``. Raises MissingDependency.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.stem for place in (folder, *map(Path, also_look_in)) if place.is_dir() for path in place.iterdir()}
    notes = folder / FAILED_FILE
    failed_before = {row["id"]: row["reason"] for row in read_jsonl(notes, partial_tail=True)} if notes.exists() else {}
    missing = [name for name in ids if file_stem(name) not in there]
    todo = missing if retry_failed else [name for name in missing if name not in failed_before]
    report = DownloadReport(len(ids), len(ids) - len(missing))
    if not retry_failed:
        report.failed = {name: failed_before[name] for name in missing if name in failed_before}
    for name in todo:
        reason = _fetch(name, folder, height)
        if reason is None:
            report.num_fetched += 1
        else:
            report.failed[name] = reason
            with notes.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"id": name, "reason": reason}) + "\n")
        on_done(name, reason)
    return report


def file_stem(name: str) -> str:
    """The file name of an id or address, without suffix."""
    return name.rstrip("/").rsplit("/", 1)[-1].partition("?")[0].rsplit(".", 1)[0] if "://" in name else name


def _fetch(name: str, folder: Path, height: int) -> str | None:
    """None, or why it failed. yt-dlp writes to a ``.part`` file, goes on with one that is there, and renames it at the end."""
    yt_dlp = require("yt_dlp", "data")
    address = name if "://" in name else f"https://www.youtube.com/watch?v={name}"
    settings: dict[str, Any] = {
        "outtmpl": {"default": str(folder / f"{file_stem(name)}.%(ext)s")},
        "format_sort": [f"res~{height}", "fps"],
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silent(),
    }
    try:
        with yt_dlp.YoutubeDL(settings) as loader:
            loader.download([address])
    except (yt_dlp.utils.YoutubeDLError, OSError) as error:
        return " ".join(str(error).split())[:300]
    return None


class _Silent:
    """yt-dlp's own output would go to stderr line by line."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...
