"""A page with some random rows of a data set to look at: pictures, caption, span and negative span on a timeline.

One HTML file that needs nothing else: pictures are inside, there is no script.
"""

from __future__ import annotations

import base64
import html
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hawkeye.errors import VideoError
from hawkeye.pipeline.folder import write_whole
from hawkeye.pipeline.scan import to_jpeg
from hawkeye.records import read_jsonl
from hawkeye.video.reader import open_video, read_at

PICTURES = 4
PICTURE_SIDE = 108
STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #1b1f24; background: #fff; }
article { border-top: 1px solid #d0d7de; padding: 1rem 0; }
h2 { font-size: 1.05rem; margin: 0 0 .3rem; } p { margin: .2rem 0; color: #57606a; }
.strip img { height: 108px; margin-right: 4px; } svg { width: 100%; height: 34px; }
"""


def write_sample(dataset: str | Path, videos: str | Path, page: str | Path, num_rows: int = 50, seed: int = 0) -> int:
    """Write ``page`` with ``num_rows`` random rows of ``dataset``; ``videos`` is the folder of videos.

    Returns how many rows there are on it. Raises AnnotationError, OutputError.
    """
    rows = list(read_jsonl(dataset))
    order = sorted(random.Random(seed).sample(range(len(rows)), min(num_rows, len(rows))))
    chosen = [rows[i] for i in order]
    parts = [_article(i, row, Path(videos) / row["video"]) for i, row in zip(order, chosen, strict=True)]
    with write_whole(Path(page)) as file:
        file.write(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(str(dataset))}</title>'
            f"<style>{STYLE}</style><h1>{len(chosen)} of {len(rows)} rows</h1>"
            "<p>Dark: the segment. Light: its negative span, which holds nothing else like it. Line: the video.</p>"
            + "".join(parts)
        )
    return len(chosen)


def _article(number: int, row: dict[str, Any], path: Path) -> str:
    span = f"{row['start_sec']:.2f} to {row['end_sec']:.2f} s"
    negative = f"{row['neg_start_sec']:.2f} to {row['neg_end_sec']:.2f} s"
    where = f"row {number + 1}, {row['video']}, {row['duration']:.1f} s"
    return (
        f"<article><h2>{html.escape(row['caption'])}</h2>"
        f'<div class="strip">{_strip(path, row["start_sec"], row["end_sec"])}</div>'
        f"{timeline(row)}<p>{html.escape(where)}: segment {span}, negative span {negative}</p></article>"
    )


def _strip(path: Path, start: float, end: float) -> str:
    """Pictures from the segment, evenly spaced."""
    times = [start + (end - start) * (i + 0.5) / PICTURES for i in range(PICTURES)]
    try:
        with open_video(path) as reader:
            pixels = read_at(reader, times, PICTURE_SIDE).pixels.permute(0, 2, 3, 1).contiguous().numpy()
    except VideoError as error:
        return f"<p>{html.escape(str(error))}</p>"
    return "".join(_image(to_jpeg(picture, 80), time) for picture, time in zip(pixels, times, strict=True))


def _image(jpeg: bytes, time: float) -> str:
    return f'<img alt="at {time:.2f} s" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'


def timeline(row: dict[str, Any], width: int = 1000) -> str:
    """An SVG bar of the video with the negative span (light) and the span (dark)."""
    duration = max(row["duration"], 1e-9)

    def bar(start: float, end: float, colour: str, top: int, height: int) -> str:
        left, right = width * start / duration, width * end / duration
        return f'<rect x="{left:.1f}" y="{top}" width="{max(right - left, 1):.1f}" height="{height}" fill="{colour}"/>'

    bars: Sequence[str] = (
        bar(0, duration, "#8c959f", 13, 2),
        bar(row["neg_start_sec"], row["neg_end_sec"], "#b6d4f5", 6, 16),
        bar(row["start_sec"], row["end_sec"], "#0a58ca", 4, 20),
    )
    title = f"<title>segment {row['start_sec']:.2f} to {row['end_sec']:.2f} s of {row['duration']:.1f} s</title>"
    return f'<svg viewBox="0 0 {width} 28" preserveAspectRatio="none" role="img">{title}{"".join(bars)}</svg>'
