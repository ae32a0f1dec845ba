"""A small benchmark with a model that really looks: grey videos that are red for a while, and a model that sees red."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hawkeye.choices import Choice, geometric_choice
from hawkeye.models.base import Look
from hawkeye.spans import Span
from hawkeye.video.synthetic import write_video

FPS, SECONDS = 8, 6


class RedModel:
    """Chooses by the position rule about the frames that are red. ``delay``: seconds for each look."""

    name = "sees-red"
    num_frames = 12

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        return [self._score(look) for look in looks]

    def _score(self, look: Look) -> list[float]:
        time.sleep(self.delay)
        pixels = look.frames.pixels.float().mean(dim=(2, 3))
        red = [t for t, p in zip(look.frames.times, pixels, strict=True) if p[0] > p[1] + 60]
        if not look.choices:  # a question about the colour: the options are "(A) red." and so on
            colour = "red" if len(red) * 2 > len(look.frames) else "grey"
            return [0.0 if colour in option else -3.0 for option in look.options]
        step = look.window.length / len(look.frames)
        seen = Span(min(red) - step / 2, max(red) + step / 2) if red else look.window
        right = geometric_choice(seen, look.window)
        return [0.0 if choice == right else -3.0 - 0.1 * i for i, choice in enumerate(look.choices)]

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        return [str(Choice.THROUGHOUT) for _ in looks]


def load(weights=None, device="auto", dtype="auto", delay: float = 0.0) -> RedModel:
    """What the model table calls."""
    return RedModel(delay)


@dataclass(frozen=True)
class Benchmark:
    folder: Path
    videos: Path
    annotations: Path


def make_benchmark(folder: Path, num_videos: int = 10) -> Benchmark:
    """Videos of 6 s with two queries each, in the generic layout."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(num_videos):
        start = float(rng.uniform(0, 4))
        span = [round(start, 2), round(start + float(rng.uniform(1, 2)), 2)]
        times = np.arange(SECONDS * FPS) / FPS
        frames = [_frame(span[0] <= t < span[1]) for t in times]
        write_video(folder / "videos" / f"v{number:02d}.mp4", frames, fps=FPS)
        rows += [
            {"video": f"v{number:02d}.mp4", "query": query, "span": span, "duration": float(SECONDS)}
            for query in ("it is red", "the red part")
        ]
    annotations = folder / "queries.jsonl"
    annotations.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Benchmark(folder, folder / "videos", annotations)


def _frame(red: bool) -> np.ndarray:
    return np.full((48, 64, 3), (220, 30, 30) if red else (110, 110, 110), dtype=np.uint8)


@pytest.fixture(scope="session")
def benchmark_data(tmp_path_factory) -> Benchmark:
    return make_benchmark(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="session")
def red_model() -> RedModel:
    return RedModel()


@pytest.fixture
def red_in_registry(monkeypatch) -> str:
    """The name under which ``--model`` finds it."""
    from hawkeye.models import base

    monkeypatch.setitem(base.REGISTRY, "sees-red", base.ModelEntry("sees-red", f"{__name__}:load", "", ""))
    return "sees-red"
