"""How long hawkeye-mini takes: loading, one turn, and a 3-minute video, by both strategies.

    python benchmarks/mini.py [--runs 3] [--size 640x360]

The video is composed of drawn noise in ten shots, so nothing is needed beside the package. Prints JSON; medians count, and the
runs of the jobs are interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.grounding.grounder import Grounder
from hawkeye.models.base import Look, load_model
from hawkeye.prompts import grounding_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import open_video, read_at
from hawkeye.video.synthetic import write_video

SECONDS, FPS, SHOTS = 180, 25, 10
QUERY = "a cat looks into the camera"


def shots(width: int, height: int) -> Iterator[np.ndarray]:
    """Frames of slowly sliding noise, another one in each shot."""
    generator = np.random.default_rng(0)
    for _ in range(SHOTS):
        coarse = generator.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
        for number in range(SECONDS * FPS // SHOTS):
            yield np.roll(picture, number // 5, axis=1)


def look_at(video: Path, count: int) -> Look:
    """One turn's look at the whole video, frames read already."""
    times = [SECONDS / count * (i + 0.5) for i in range(count)]
    with open_video(video) as reader:
        frames = read_at(reader, times)
    options = tuple(option_lines([OPTION_TEXT[c] for c in Choice]))
    prompt = grounding_prompt(QUERY, options, times)
    return Look(video.name, float(SECONDS), Span(0.0, SECONDS), frames, QUERY, prompt, options, tuple(Choice))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", default="640x360")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "three_minutes.mp4", shots(width, height), FPS)
        model = load_model("mini", device="cpu")
        look = look_at(video, model.num_frames)
        jobs: dict[str, Callable[[], object]] = {
            "load": lambda: load_model("mini", device="cpu"),
            "one_turn": lambda: model.answer([look]),
            "three_minutes_recursive": lambda: Grounder(model, strategy="recursive").ground(video, QUERY),
            "three_minutes_direct": lambda: Grounder(model, strategy="direct").ground(video, QUERY),
        }
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        processor: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(arguments.runs):
            for name, job in jobs.items():
                clock, own = time.perf_counter(), time.process_time()
                job()
                seconds[name].append(time.perf_counter() - clock)
                processor[name].append(time.process_time() - own)
    report = {
        "video": f"{SECONDS} s, {arguments.size}, {FPS} frames a second",
        "threads": torch.get_num_threads(),
        "runs": arguments.runs,
        "median_seconds": {name: round(statistics.median(values), 2) for name, values in seconds.items()},
        "median_processor_seconds": {name: round(statistics.median(values), 2) for name, values in processor.items()},
    }
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
