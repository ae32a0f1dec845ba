"""How long the main job takes: import, help, a cold ``hawkeye ground``, its memory, and twenty queries against one.

    python benchmarks/ground.py [--video examples/space_cat_coffee.mp4] [--runs 3]

Prints JSON with machine and versions. Every figure is of fresh processes; the median of the runs counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

QUERIES = [
    f"{thing} {place}"
    for thing in ("a cat", "a rocket", "a cup of coffee", "an astronaut", "a motorcycle")
    for place in ("close to the camera", "seen from far away", "in bright light", "in front of a wall")
]


def run(arguments: list[str]) -> float:
    """Wall seconds of one process. Stops the benchmark if the process fails."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=Path("examples/space_cat_coffee.mp4"))
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    ground = ["-m", "hawkeye", "ground", str(args.video)]
    jobs = {
        "python_alone": ["-c", "pass"],
        "import_hawkeye": ["-c", "import hawkeye"],
        "help": ["-m", "hawkeye", "--help"],
        "ground_1_query": [*ground, QUERIES[0]],
        "ground_20_queries": [*ground, *QUERIES],
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(args.runs):  # interleaved, so that a slow minute of the machine meets all of them
        for name, job in jobs.items():
            seconds[name].append(run(job))
    median = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    report = {
        "date": date.today().isoformat(),
        "machine": {"cpus": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "versions": {name: version(name) for name in ("hawkeye-vtg", "torch", "av", "transformers")},
        "runs": args.runs,
        "median_seconds": median,
        "import_alone_seconds": round(median["import_hawkeye"] - median["python_alone"], 3),
        "help_alone_seconds": round(median["help"] - median["python_alone"], 3),
        "twenty_queries_over_one": round(median["ground_20_queries"] / median["ground_1_query"], 2),
        "peak_memory_gb": round(peak / 1e9, 2),
    }
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
