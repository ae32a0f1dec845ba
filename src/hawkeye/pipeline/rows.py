"""Rows as other people write them, and what must hold of a row before it is written. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from hawkeye.errors import AnnotationError

_TIMESTAMP = re.compile(r"(\d+):(\d{1,2}):(\d{1,2})(\.\d+)?")


def parse_timestamp(text: str) -> float:
    """``"00:01:02.5"`` -> 62.5 seconds, three decimals. The reference takes any fraction for milliseconds (quirk 39).

    Raises AnnotationError.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if not match:
        raise AnnotationError(f"timestamp {text!r}: expected hours:minutes:seconds such as 00:01:02.500")
    hours, minutes, seconds, fraction = match.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(fraction or 0), 3)


def video_id(row: dict[str, Any]) -> str:
    """What identifies a row's video: its ``YoutubeID``, or its file's name without the suffix. Raises AnnotationError."""
    if row.get("YoutubeID"):
        return str(row["YoutubeID"])
    if row.get("video_fname"):
        return PurePosixPath(row["video_fname"]).with_suffix("").as_posix()
    raise AnnotationError(f"caption row {row!r}: has neither YoutubeID nor video_fname: add one")


def caption_row(row: dict[str, Any]) -> dict[str, Any]:
    """A caption row with ``start_sec``, ``end_sec`` and ``captions``, from that or from an original InternVid row.

    Raises AnnotationError naming what is missing.
    """
    result = {k: v for k, v in row.items() if k not in ("Start_timestamp", "End_timestamp", "Caption")}
    if "Start_timestamp" in row:
        result["start_sec"] = parse_timestamp(row["Start_timestamp"])
    if "End_timestamp" in row:
        result["end_sec"] = parse_timestamp(row["End_timestamp"])
    if "Caption" in row:
        result["captions"] = [row["Caption"]]
    missing = [name for name in ("start_sec", "end_sec", "captions") if name not in result]
    if missing:
        raise AnnotationError(f"caption row {row!r}: lacks {', '.join(missing)}")
    return result


def captions_by_video(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Caption rows in one shape, by `video_id`, in input order."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(video_id(row), []).append(caption_row(row))
    return grouped


def what_is_wrong(row: dict[str, Any]) -> str | None:
    """None if ``0 <= neg_start <= start < end <= neg_end <= duration`` and there is a caption; else one line."""
    names = ("neg_start_sec", "start_sec", "end_sec", "neg_end_sec", "duration")
    values = [row[name] for name in names]
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        return f"a time is no number: {dict(zip(names, values, strict=True))}"
    neg_start, start, end, neg_end, duration = values
    if not 0 <= neg_start <= start < end <= neg_end <= duration:
        return f"times out of order: expected 0 <= {neg_start} <= {start} < {end} <= {neg_end} <= {duration}"
    return None if isinstance(row["caption"], str) and row["caption"].strip() else "the caption is empty"
