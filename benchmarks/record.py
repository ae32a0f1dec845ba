"""Run a benchmark and keep what it prints, with date and machine, for the performance page of the documentation.

    python benchmarks/record.py video benchmarks/video.py --runs 5      writes benchmarks/results/video.json

The benchmark's last JSON object on stdout is kept as it is; the load of the machine before and after says whether others were
at work. A benchmark that fails leaves the old file as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from hawkeye.eval.manifest import environment
from hawkeye.records import atomic_write

RESULTS = Path(__file__).with_name("results")


def last_object(text: str) -> dict:
    """The JSON object that ends the text. Raises ValueError if there is none."""
    starts = [0, *(i + 1 for i, c in enumerate(text) if c == "\n")]
    for start in (s for s in starts if text.startswith("{", s)):
        try:
            return json.loads(text[start:])
        except json.JSONDecodeError:
            continue
    raise ValueError("the benchmark printed no JSON object")


def main() -> None:
    name, *command = sys.argv[1:]
    load, began = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True)
    machine = environment()
    row = {
        "command": " ".join(["python", *command]),
        "date": date.today().isoformat(),
        "machine": machine["machine"],
        "packages": machine["packages"],
        "python": machine["python"],
        "seconds": round(time.perf_counter() - began, 1),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "result": last_object(done.stdout),
    }
    with atomic_write(RESULTS / f"{name}.json") as out:
        out.write(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row["result"], indent=1))


if __name__ == "__main__":
    main()
