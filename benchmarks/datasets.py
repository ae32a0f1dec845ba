"""How long the official files take to read, what they hold, and what a second process brings to the check of videos.

    python benchmarks/datasets.py ANNOTATIONS VIDEOS [--runs 5] [--copies 8]

ANNOTATIONS holds one folder a data set (charades_sta, activitynet_captions, nextgqa, nextqa, qvhighlights, mvbench), each
with the official file names; folders that are not there are left out. Prints JSON with machine and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

from hawkeye.datasets.registry import load_dataset
from hawkeye.eval.preflight import check_videos
from hawkeye.records import GroundingExample

READS = [
    ("charades-sta", "charades_sta", {"split": "train"}),
    ("charades-sta", "charades_sta", {}),
    ("activitynet-captions", "activitynet_captions", {"split": "train"}),
    ("activitynet-captions", "activitynet_captions", {}),
    ("nextgqa", "nextgqa", {}),
    ("nextqa", "nextqa", {}),
    ("qvhighlights", "qvhighlights", {}),
    ("mvbench", "mvbench", {}),
]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def reading(annotations: Path, runs: int) -> list[dict[str, object]]:
    rows = []
    for name, folder, options in READS:
        if not (annotations / folder).is_dir():
            continue
        loaded = load_dataset(name, annotations / folder, **options)
        times = [seconds(lambda: load_dataset(name, annotations / folder, **options)) for _ in range(runs)]  # noqa: B023
        best = min(times)
        rows.append(
            {
                "dataset": name,
                **options,
                "examples": len(loaded.examples),
                "dropped": loaded.dropped,
                "noted": loaded.noted,
                "seconds": round(best, 3),
                "examples_per_second": round(len(loaded.examples) / best),
            }
        )
    return rows


def checking(videos: Path, copies: int, runs: int) -> dict[str, object]:
    """One against two processes, interleaved, without a cache. Copies, as a reader knows a file again that it has opened."""
    times: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for path in videos.iterdir():
            for number in range(copies if path.suffix in (".mp4", ".webm", ".avi") else 0):
                shutil.copyfile(path, Path(folder) / f"{number}_{path.name}")
        examples = [GroundingExample(path.name, path.name, "q") for path in sorted(Path(folder).iterdir())]
        cache = Path(folder) / "durations.json"
        for _ in range(runs):
            for workers, found in times.items():
                found.append(seconds(lambda: check_videos(examples, folder, workers)))  # noqa: B023
        check_videos(examples, folder, 2, cache)
        cached = min(seconds(lambda: check_videos(examples, folder, 2, cache)) for _ in range(runs))
    medians = {workers: statistics.median(found) for workers, found in times.items()}
    return {
        "videos": len(examples),
        "seconds_1_process": round(medians[1], 2),
        "seconds_2_processes": round(medians[2], 2),
        "ratio": round(statistics.median(one / two for one, two in zip(times[1], times[2], strict=True)), 2),
        "seconds_from_cache": round(cached, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--copies", type=int, default=8)
    args = parser.parse_args()
    report = {
        "date": date.today().isoformat(),
        "machine": {"cpus": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "versions": {name: version(name) for name in ("hawkeye-vtg", "av")},
        "reading": reading(args.annotations, args.runs),
        "checking": checking(args.videos, args.copies, args.runs),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
