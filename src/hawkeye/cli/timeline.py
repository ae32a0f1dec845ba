"""Results for a person in a terminal: a table, and how the window narrowed turn by turn."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hawkeye.grounding.result import GroundingResult
from hawkeye.spans import Span

WIDTH = 48
SHOWN = 3  # ranked spans drawn; --json has all of them
BLOCKS = " ▁▂▃▄▅▆▇█"


def bar(span: Span, duration: float, width: int = WIDTH, full: str = "█", rest: str = "·") -> str:
    """``span`` on a line of ``width`` characters that stands for the whole video; at least one character is full."""
    start = min(width - 1, int(span.start / duration * width))
    end = max(start + 1, min(width, math.ceil(span.end / duration * width)))
    return rest * start + full * (end - start) + rest * (width - end)


def curve_line(curve: tuple[tuple[float, float], ...], duration: float, width: int = WIDTH) -> str:
    """The curve as one line of block characters: the highest point in each column."""
    columns: list[list[float]] = [[] for _ in range(width)]
    for time, value in curve:
        columns[min(width - 1, int(time / duration * width))].append(value)
    low, high = min(v for _, v in curve), max(v for _, v in curve)
    line, level = "", 0
    for column in columns:
        if column:
            level = round((max(column) - low) / ((high - low) or 1) * (len(BLOCKS) - 1))
        line += BLOCKS[level]
    return line


def print_results(console: Console, video: Path, results: list[GroundingResult]) -> None:
    """The table of all queries, then the timeline of each."""
    first = results[0]
    length = f"{first.duration:.1f} s" if first.duration else "unreadable"
    console.print(Text(f"{video}  {length}  model {first.model}, strategy {first.strategy}", style="bold"))
    table = Table("query", "from", "to", "confidence", box=None, pad_edge=False)
    for result in results:
        if result.span is None:
            table.add_row(Text(result.query), "failed", "", "")
            continue
        note = "" if result.found else "  not in this video?"
        row = (f"{result.span.start:.1f} s", f"{result.span.end:.1f} s", f"{result.confidence:.2f}{note}")
        table.add_row(Text(result.query), *row)
    console.print(table)
    for result in results:
        if result.span is not None and result.duration:
            print_timeline(console, result, result.span, result.duration)


def print_timeline(console: Console, result: GroundingResult, span: Span, duration: float) -> None:
    lines = [f"\n{result.query}"]
    for number, turn in enumerate(result.turns, 1):
        probability = math.exp(turn.log_probs[turn.options.index(turn.choice)])
        window = f"{turn.window.start:7.1f} - {turn.window.end:6.1f} s"
        lines.append(
            f"turn {number}  {bar(turn.window, duration, full='▒')} {window}  {turn.choice} ({probability:.0%})"
        )
    if result.curve:
        lines.append(f"score   {curve_line(result.curve, duration)}")
    for rank, other in enumerate(result.spans[:SHOWN]):
        name = "found " if rank == 0 else f"or {rank + 1}  "
        full = "█" if rank == 0 else "▓"
        place = f"{other.span.start:7.1f} - {other.span.end:6.1f} s  score {other.score:.2f}"
        lines.append(f"{name}  {bar(other.span, duration, full=full)} {place}")
    console.print(Text("\n".join(lines)), soft_wrap=True)
