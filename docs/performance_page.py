"""The performance page, from the JSON in benchmarks/results/ that `benchmarks/record.py` wrote. Not part of the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
LEFT_OUT = {"date", "machine", "cores", "versions", "environment", "packages"}  # told above each table
LEFT_OUT |= {"scenedetect-headless", "av", "torch", "numpy"}
HEAD = """# Performance

What the benchmarks printed, unabridged. The load before and after says whether others were at work (two cores are busy
at 2). What the numbers mean, and what did not help, is in [experiments](experiments.md).
"""


def performance_page() -> str:
    return "\n".join([HEAD, *(_section(path) for path in sorted(RESULTS.glob("*.json")))])


def _section(path: Path) -> str:
    row = json.loads(path.read_text(encoding="utf-8"))
    machine = row["machine"]
    place = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}"
    about = f"{row['date']}, {place}, torch {row['packages']['torch']}, load {row['load'][0]} to {row['load'][1]}."
    lines = [f"| {name} | {value} |" for name, value in _rows(row["result"])]
    return "\n".join([f"## {path.stem}\n", f"`{row['command']}`: {about}\n", "| | |", "|---|---|", *lines, ""])


def _rows(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested names joined by commas; lists of numbers in one cell."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name or key not in LEFT_OUT:
                yield from _rows(inner, f"{name}, {key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        for number, inner in enumerate(value, 1):
            yield from _rows(inner, f"{name}, {number}")
    else:
        yield name.replace("|", "\\|"), _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(v) for v in value)
    return f"{value:,.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
