"""Speed of evaluation: the runner's share of each example, decoding in one and two processes, scoring, the report.

    python benchmarks/eval.py [--out FILE] [--only runner decode score report]

Prints one JSON object with the machine and versions. The decoding part makes its own videos in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from hawkeye.choices import Choice, sub_window
from hawkeye.datasets.registry import load_dataset
from hawkeye.eval.decoding import DecodeWorkers
from hawkeye.eval.manifest import environment
from hawkeye.eval.report.runs import load_runs
from hawkeye.eval.report.write import write_report
from hawkeye.eval.runner import RunSettings, run
from hawkeye.eval.scoring import score_examples
from hawkeye.eval.work import Done, GroundingWork, Opened
from hawkeye.grounding.grounder import Grounder
from hawkeye.models.base import Look
from hawkeye.records import write_jsonl
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, ReaderBase, VideoInfo
from hawkeye.video.synthetic import write_video


class NoModel:
    """Always takes the first option: four turns unless that is "throughout"."""

    name, num_frames = "none", 12

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        return [[0.0] + [-1.0] * (len(look.options) - 1) for look in looks]

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        return [""] * len(looks)


class CachedVideo(ReaderBase):
    """Frames that are there already."""

    def __init__(self, path: Path, pixels: Any, fps: float = 5.0, count: int = 150) -> None:
        self._times = np.arange(count) / fps
        self._pixels = pixels
        self._info = VideoInfo(path, "cached", count / fps, count, fps, pixels.shape[3], pixels.shape[2])

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        return Frames(self._pixels[: len(indices)], tuple(float(self._times[i]) for i in indices))


class CachedWork(GroundingWork):
    """Grounding whose videos are decoded already."""

    def __init__(self, grounder: Grounder, pixels: Any) -> None:
        super().__init__(grounder)
        self._pixels = pixels

    def run(self, videos: Iterable[Opened]) -> Iterator[Done]:
        yield from super().run((CachedVideo(Path(str(path)), self._pixels), members) for path, members in videos)


def queries(folder: Path, num_videos: int, each: int, duration: float) -> Any:
    """A generic data set on files v0.mp4, v1.mp4, ... in ``folder``."""
    rng = random.Random(0)
    rows = []
    for video in range(num_videos):
        for number in range(each):
            start = rng.uniform(0, duration * 0.7)
            span = [start, start + rng.uniform(1, duration * 0.3)]
            rows.append({"video": f"v{video}.mp4", "query": f"event {number}", "span": span, "duration": duration})
    write_jsonl(folder / "queries.jsonl", rows)
    return load_dataset("jsonl", folder / "queries.jsonl")


def measure_runner(folder: Path, num_videos: int = 400, each: int = 3) -> dict[str, Any]:
    """Everything but model and decoding, for each example: the engine, the row, the file."""
    import torch

    examples = queries(folder, num_videos, each, 30.0).examples
    for video in {example.video for example in examples}:
        (folder / video).touch()
    work = CachedWork(Grounder(NoModel()), torch.zeros(12, 3, 224, 224, dtype=torch.uint8))
    began = time.perf_counter()
    cpu = time.process_time()
    run(work, examples, folder, folder / "run", {}, RunSettings(workers=0))
    count = len(examples)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"examples": count, "ms_each": 1000 * wall / count, "cpu_ms_each": 1000 * cpu / count}


class WatchedWorkers(DecodeWorkers):
    """Decoding processes that are remembered, to ask how busy they were."""

    last: WatchedWorkers

    def __init__(self, count: int) -> None:
        super().__init__(count)
        WatchedWorkers.last = self


def measure_decode(folder: Path, num_videos: int = 24, rounds: int = 3) -> dict[str, Any]:
    """Rows a second from the first row on, with one and with two decoding processes, in turn.

    Also how many processes were at work on average: on a machine that others use, this says more than the seconds.
    """
    for video in range(num_videos):
        noise = np.random.default_rng(video).integers(0, 256, (360, 640, 3), dtype=np.uint8)
        moving = (np.roll(noise, 8 * i, axis=1) // 4 + 90 for i in range(250))
        write_video(folder / f"v{video}.mp4", moving, fps=25, g=125)
    examples = queries(folder, num_videos, 1, 10.0).examples
    speeds: dict[int, list[float]] = {1: [], 2: []}
    busy: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for workers in (1, 2):
            seen: list[tuple[float, float]] = []
            work = GroundingWork(Grounder(NoModel(), decode_threads=4))
            settings = RunSettings(workers=workers, block=num_videos)
            out = folder / f"run{number}-{workers}"
            note = partial(_note, seen)
            with patch("hawkeye.eval.runner.DecodeWorkers", WatchedWorkers):
                run(work, examples, folder, out, {}, settings, note)
            (first, busy_then), (last, busy_now) = seen[0], seen[-1]
            speeds[workers].append((len(seen) - 1) / (last - first))
            busy[workers].append((busy_now - busy_then) / (last - first))
    ratios = [two / one for one, two in zip(speeds[1], speeds[2], strict=True)]
    return {
        "rows_per_second": speeds,
        "two_over_one": ratios,
        "median_ratio": statistics.median(ratios),
        "busy_workers": busy,
    }


def _note(seen: list[tuple[float, float]], *_: Any) -> None:
    seen.append((time.perf_counter(), WatchedWorkers.last.busy))


def measure_score(folder: Path, num_videos: int = 24_000, each: int = 3) -> dict[str, Any]:
    """72,000 predictions of four turns: reading the file, then the score with 1,000 draws."""
    loaded = queries(folder, num_videos, each, 30.0)
    rng = random.Random(1)
    write_jsonl(folder / "predictions.jsonl", (random_row(example, rng) for example in loaded.examples))
    began = time.perf_counter()
    cpu = time.process_time()
    score_examples(loaded, folder / "predictions.jsonl", draws=1000)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"predictions": len(loaded.examples), "draws": 1000, "seconds": wall, "cpu_seconds": cpu}


def measure_report(folder: Path, num_videos: int = 1_334, each: int = 3) -> dict[str, Any]:
    """4,002 rows, without videos."""
    loaded = queries(folder, num_videos, each, 30.0)
    rng = random.Random(1)
    write_jsonl(folder / "predictions.jsonl", (random_row(example, rng) for example in loaded.examples))
    began = time.perf_counter()
    comparison = load_runs([folder / "predictions.jsonl"], [folder / "queries.jsonl"])
    write_report(replace(comparison, videos=None), folder / "report")
    return {"rows": len(loaded.examples), "seconds": time.perf_counter() - began}


def random_row(example: Any, rng: random.Random) -> dict[str, Any]:
    """A row as `hawkeye eval` writes it."""
    window, turns = Span(0.0, example.duration), []
    for _ in range(4):
        choice = rng.choice(list(Choice))
        turns.append({"window": list(window), "options": list(Choice), "choice": choice, "reply": None})
        window = sub_window(choice, window)
        if choice is Choice.THROUGHOUT:
            break
    return {
        "id": example.id,
        "video": example.video,
        "query": example.query,
        "duration": example.duration,
        "span": list(window),
        "spans": [{"span": list(window), "score": 0.5}],
        "turns": turns,
        "error": None,
    }


PARTS = {"runner": measure_runner, "decode": measure_decode, "score": measure_score, "report": measure_report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write the JSON object here")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    found: dict[str, Any] = {"environment": environment()}
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = PARTS[name](Path(folder))
    shown = json.dumps(found, indent=1)
    print(shown)
    if arguments.out:
        arguments.out.write_text(shown + "\n")


if __name__ == "__main__":
    main()
