"""The miniature benchmark: six short videos of drawn things, made on the spot, with spans that are exact.

It runs in seconds on a laptop through the same code as the real ones, so that a change that breaks an evaluation shows.
Its numbers say little about films: things that look like their names fill the picture, one after the other.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hawkeye.eval.drawings import DRAWINGS, SIZE
from hawkeye.eval.tasks import EvalTask
from hawkeye.records import atomic_write, write_jsonl
from hawkeye.runtime import seed_for
from hawkeye.spans import Span
from hawkeye.video.synthetic import write_video

if TYPE_CHECKING:
    from PIL.Image import Image

NUM_VIDEOS, FPS, CANVAS = 6, 8, (320, 240)
SHOTS_APART = 4  # a video begins four drawings after the last one, so that each is seen
SHORTEST, LONGEST = 1.25, 4.5  # of a shot, seconds
RECIPE = "mini-1"  # part of the seeds and kept beside the files: another recipe makes them anew
QUERIES = "queries.jsonl"

TASK = EvalTask(name="mini", dataset="jsonl", about="Six videos of drawn things, made on the spot: a check in seconds")


@dataclass(frozen=True)
class Shot:
    """One drawing for a while; the camera glides from one view to another. A view is (x, y, size) in shares of it."""

    query: str
    span: Span
    start: tuple[float, float, float]
    end: tuple[float, float, float]


def plan_video(number: int) -> list[Shot]:
    """Three to five shots; in every fourth video the first thing comes back at the end (two true spans)."""
    rng = random.Random(seed_for(0, RECIPE, number))
    first, names = SHOTS_APART * number, list(DRAWINGS)
    queries = [names[(first + i) % len(names)] for i in range(rng.randint(3, 5))]
    rng.shuffle(queries)
    if number % 4 == 0:
        queries.append(queries[0])
    shots, time = [], 0.0
    for query in queries:
        length = round(rng.uniform(SHORTEST, LONGEST) * FPS) / FPS
        shots.append(Shot(query, Span(time, time + length), _view(rng), _view(rng)))
        time += length
    return shots


def _view(rng: random.Random) -> tuple[float, float, float]:
    size = rng.uniform(0.8, 1.0)
    return rng.uniform(0, 1 - size), rng.uniform(0, 1 - size), size


def frames(shots: Sequence[Shot]) -> Iterator[np.ndarray]:
    """uint8 (H, W, 3) RGB, `FPS` a second."""
    from PIL import Image

    for shot in shots:
        drawing = _drawing(shot.query)
        count = round(shot.span.length * FPS)
        for i in range(count):
            share = i / max(1, count - 1)
            x, y, size = (a + (b - a) * share for a, b in zip(shot.start, shot.end, strict=True))
            box = (x * SIZE[0], y * SIZE[1], (x + size) * SIZE[0], (y + size) * SIZE[1])
            yield np.asarray(drawing.resize(CANVAS, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0))


@cache
def _drawing(query: str) -> Image:
    return DRAWINGS[query]()


def make_mini(folder: Path) -> EvalTask:
    """Write videos and queries into ``folder`` (unless they are there already), and return the task on them."""
    done = folder / "recipe.json"
    if not done.exists() or json.loads(done.read_text())["recipe"] != RECIPE:
        rows = []
        for number in range(NUM_VIDEOS):
            shots = plan_video(number)
            name = f"mini_{number}.mp4"
            write_video(folder / name, frames(shots), fps=FPS, g=2 * FPS)
            rows += _rows(name, shots)
        write_jsonl(folder / QUERIES, rows)
        with atomic_write(done) as file:
            json.dump({"recipe": RECIPE}, file)
    return TASK.model_copy(update={"annotations": folder / QUERIES, "videos": folder})


def _rows(video: str, shots: Sequence[Shot]) -> list[dict]:
    """One row a thing that is shown, in the generic layout."""
    spans: dict[str, list[Span]] = {}
    for shot in shots:
        spans.setdefault(shot.query, []).append(shot.span)
    duration = shots[-1].span.end
    return [
        {"id": f"{video}#{i}", "video": video, "query": query, "spans": [list(s) for s in found], "duration": duration}
        for i, (query, found) in enumerate(spans.items())
    ]
