"""The miniature benchmark: six short videos of drawn things, made on the spot, with spans that are exact.

It runs in seconds on a laptop through the same code as the real ones, so that a change that breaks an evaluation shows.
Three drawings follow each other, by cuts or dissolves, some with a jump of the camera inside; a fourth lies in a corner for
a while, across the others. Its numbers say little about films: things look like their names.
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

NUM_VIDEOS, THINGS_EACH, FPS, CANVAS = 6, 4, 8, (320, 240)
SHORTEST, LONGEST = 1.5, 5.0  # of a shot, seconds
DISSOLVE = 1.0  # seconds, half on each side of the border
RECIPE = "mini-2"  # part of the seeds and kept beside the files: another recipe makes them anew
QUERIES = "queries.jsonl"

TASK = EvalTask(name="mini", dataset="jsonl", about="Six videos of drawn things, made on the spot: a check in seconds")

View = tuple[float, float, float]  # left, top and size of the part of a drawing that is shown, in shares of it


@dataclass(frozen=True)
class Shot:
    """One drawing for a while; the camera glides through ``views``: two, or four with a jump in the middle."""

    query: str
    span: Span
    views: tuple[View, ...]
    dissolves: bool  # into this shot, instead of a cut

    def view(self, time: float) -> View:
        share = min(max((time - self.span.start) / self.span.length, 0.0), 1.0)
        pairs = len(self.views) // 2
        number = min(int(share * pairs), pairs - 1)
        inside = share * pairs - number
        x, y, size = (a + (b - a) * inside for a, b in zip(*self.views[2 * number : 2 * number + 2], strict=True))
        return x, y, size


@dataclass(frozen=True)
class Inset:
    """A small drawing in a corner; ``place`` is its left, top and width in pixels."""

    query: str
    span: Span
    place: tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    shots: tuple[Shot, ...]
    inset: Inset

    @property
    def duration(self) -> float:
        return self.shots[-1].span.end

    def spans(self) -> dict[str, list[Span]]:
        """Each thing that is shown, and when."""
        found: dict[str, list[Span]] = {}
        for event in (*self.shots, self.inset):
            found.setdefault(event.query, []).append(event.span)
        return found


def plan_video(number: int) -> Plan:
    """In every third video the first thing comes back at the end (two true spans)."""
    rng = random.Random(seed_for(0, RECIPE, number))
    names = list(DRAWINGS)
    things = [names[(THINGS_EACH * number + i) % len(names)] for i in range(THINGS_EACH)]
    rng.shuffle(things)
    inset, *queries = things
    if number % 3 == 0:
        queries.append(queries[0])
    shots, time = [], 0.0
    for i, query in enumerate(queries):
        length = _on_a_frame(rng.uniform(SHORTEST, LONGEST))
        views = tuple(_view(rng) for _ in range(rng.choice((2, 2, 4))))
        shots.append(Shot(query, Span(time, time + length), views, i > 0 and rng.random() < 0.4))
        time += length
    width = rng.randint(110, 140)
    place = (rng.choice((8, CANVAS[0] - width - 8)), rng.choice((8, CANVAS[1] - width * 3 // 4 - 8)), width)
    start = _on_a_frame(rng.uniform(0.1, 0.5) * time)
    span = Span(start, start + _on_a_frame(rng.uniform(0.2, 0.4) * time))
    return Plan(tuple(shots), Inset(inset, span, place))


def _on_a_frame(seconds: float) -> float:
    return round(seconds * FPS) / FPS


def _view(rng: random.Random) -> View:
    size = rng.uniform(0.7, 1.0)
    return rng.uniform(0, 1 - size), rng.uniform(0, 1 - size), size


def frames(plan: Plan) -> Iterator[np.ndarray]:
    """uint8 (H, W, 3) RGB, `FPS` a second."""
    from PIL import Image

    for i in range(round(plan.duration * FPS)):
        time = i / FPS
        number = next(n for n, shot in enumerate(plan.shots) if time < shot.span.end)
        frame = _shown(plan.shots[number], time)
        for later in plan.shots[number : number + 2]:  # the shot that begins, and the one that is about to
            share = (time - later.span.start) / DISSOLVE + 0.5
            if later.dissolves and 0 < share < 1:
                earlier = plan.shots[plan.shots.index(later) - 1]
                frame = Image.blend(_shown(earlier, time), _shown(later, time), share)
        if plan.inset.span.start <= time < plan.inset.span.end:
            left, top, width = plan.inset.place
            frame.paste(_drawing(plan.inset.query).resize((width, width * 3 // 4)), (left, top))
        yield np.asarray(frame)


def _shown(shot: Shot, time: float) -> Image:
    from PIL import Image

    x, y, size = shot.view(time)
    box = (x * SIZE[0], y * SIZE[1], (x + size) * SIZE[0], (y + size) * SIZE[1])
    return _drawing(shot.query).resize(CANVAS, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


@cache
def _drawing(query: str) -> Image:
    return DRAWINGS[query]()


def make_mini(folder: Path) -> EvalTask:
    """Write videos and queries into ``folder`` (unless they are there already), and return the task on them."""
    done = folder / "recipe.json"
    if not done.exists() or json.loads(done.read_text())["recipe"] != RECIPE:
        rows = []
        for number in range(NUM_VIDEOS):
            plan, name = plan_video(number), f"mini_{number}.mp4"
            write_video(folder / name, frames(plan), fps=FPS, g=2 * FPS)
            rows += _rows(name, plan)
        write_jsonl(folder / QUERIES, rows)
        with atomic_write(done) as file:
            json.dump({"recipe": RECIPE}, file)
    return TASK.model_copy(update={"annotations": folder / QUERIES, "videos": folder})


def _rows(video: str, plan: Plan) -> Sequence[dict]:
    """One row a thing that is shown, in the generic layout."""
    return [
        {
            "id": f"{video}#{i}",
            "video": video,
            "query": query,
            "spans": [list(s) for s in spans],
            "duration": plan.duration,
        }
        for i, (query, spans) in enumerate(plan.spans().items())
    ]
