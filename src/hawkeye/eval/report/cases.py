"""The worst and the best examples of a run, to look at: what was asked, the truth, each turn, and a filmstrip."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.choices import option_lines
from hawkeye.datasets.registry import resolve_video
from hawkeye.errors import VideoError
from hawkeye.eval.oracle import as_numbers, windows_after
from hawkeye.eval.predictions import Predicted
from hawkeye.eval.qa_score import chosen_option
from hawkeye.eval.report import svg
from hawkeye.eval.report.runs import Comparison, Run
from hawkeye.video.reader import VideoReader, open_video, read_at

SHOWN = 20
PICTURES, PICTURE_HEIGHT, QUALITY = 10, 72, 70
THREADS = 4
TRUTH, FOUND, TURN = "#2b8a3e", "#d9480f", "#2f7fd6"


@dataclass(frozen=True)
class Case:
    """One example with its answer, ready for a page. ``picture``: HTML, empty if there is nothing to see."""

    title: str
    value: str
    detail: str
    picture: str


def worst_and_best(comparison: Comparison, run: Run, shown: int = SHOWN) -> tuple[list[Case], list[Case]]:
    """``shown`` of each, or half of all if there are fewer. Equal ones are taken in the order of the data."""
    order = np.argsort(run.values, kind="stable")
    count = min(shown, len(order) // 2 or 1)
    picks = [*order[:count], *order[::-1][:count]]
    with ThreadPoolExecutor(THREADS) as pool:
        cases = list(pool.map(lambda i: _case(comparison, run, int(i)), picks))
    return cases[:count], cases[count:]


def _case(comparison: Comparison, run: Run, i: int) -> Case:
    example, row = comparison.examples[i], run.rows[i]
    window = getattr(example, "window", None)
    duration, film = _filmstrip(example, comparison.videos, window)
    if comparison.kind == "qa":
        return _question(example, row, run.values[i], film)
    known = (row.duration if row else None) or example.duration or duration or example.spans[0].end
    return Case(
        title=example.query,
        value=f"IoU {run.values[i]:.2f}",
        detail=_detail(example, row),
        picture=svg.timeline(known, _bands(example, row, known), film, example.query),
    )


def _detail(example: Any, row: Predicted | None) -> str:
    if row is None:
        return f"{example.video}: no prediction"
    if row.error is not None:
        return f"{example.video}: failed: {row.error}"
    return str(example.video)


def _bands(example: Any, row: Predicted | None, duration: float) -> list[tuple[str, Sequence[Sequence[float]], str]]:
    bands: list[tuple[str, Sequence[Sequence[float]], str]] = [("truth", example.spans, TRUTH)]
    if row is None or row.error is not None:
        return bands
    scale = duration if row.in_shares else 1.0
    bands.append(("found", [[t * scale for t in span] for span in row.spans[:1]], FOUND))
    choices = row.choices or ()
    after = windows_after(as_numbers([choices], len(choices)), np.array([duration]))
    bands += [(f"{turn} {choice}", [after[turn - 1, 0]], TURN) for turn, choice in enumerate(choices, 1)]
    return bands


def _question(example: Any, row: Predicted | None, right: float, film: str) -> Case:
    lines = option_lines(example.options)
    chosen = chosen_option(row, example)
    said = lines[chosen] if chosen is not None and chosen < len(lines) else "no option"
    if row is not None and row.error is not None:
        said = f"failed: {row.error}"
    detail = f"{example.video}: answered {said}; right is {lines[example.answer]}"
    picture = f'<img src="{film}" alt="Frames of the video, evenly spaced">' if film else ""
    return Case(example.question, "right" if right else "wrong", detail, picture)


def _filmstrip(example: Any, videos: Path | None, window: Any) -> tuple[float | None, str]:
    """The video's duration, and evenly spaced pictures of it (or of ``window``) side by side as a data URI."""
    if videos is None:
        return None, ""
    try:
        with open_video(resolve_video(example, videos), fps=example.extra.get("fps")) as reader:
            return reader.info.duration, _strip(reader, window or (0.0, reader.info.duration))
    except VideoError:
        return None, ""  # the example's own row says what is wrong with it


def _strip(reader: VideoReader, window: Sequence[float]) -> str:
    from PIL import Image

    step = (window[1] - window[0]) / PICTURES
    frames = read_at(reader, [window[0] + (i + 0.5) * step for i in range(PICTURES)], short_side=PICTURE_HEIGHT)
    height, width = frames.pixels.shape[2:]
    pixels = frames.pixels.permute(2, 0, 3, 1).reshape(height, PICTURES * width, 3).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if height != PICTURE_HEIGHT:
        picture = picture.resize((max(1, picture.width * PICTURE_HEIGHT // height), PICTURE_HEIGHT))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
