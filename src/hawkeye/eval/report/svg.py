"""Small charts as SVG text: bars, lines, a table of shades, a timeline. No library; they take the page's colours.

All numbers given are plain; what they mean is the caller's business. A chart is 640 units wide and scales with the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 16, 52
FILM = 44  # height of a filmstrip
COLOURS = ("#2f7fd6", "#d9480f", "#2b8a3e", "#7048e8", "#c2255c", "#5c6770")


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def chart(body: str, width: float = WIDTH, height: float = HEIGHT, label: str = "") -> str:
    """An SVG element around ``body``, with a text for those who can't see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{body}</svg>"
    )


def text(x: float, y: float, content: str, anchor: str = "middle", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(content)}</text>'


def rect(x: float, y: float, width: float, height: float, fill: str, title: str = "", opacity: float = 1.0) -> str:
    shade = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    head = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" fill="{fill}"{shade}'
    )
    return f"{head}><title>{escape(title)}</title></rect>" if title else f"{head}/>"


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _axis(top: float, unit: str) -> str:
    """Five grid lines with their values, 0 to ``top``."""
    parts = []
    for i in range(5):
        value, y = top * i / 4, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * i / 4
        parts.append(line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(text(LEFT - 6, y + 4, f"{value:.0f}{unit}" if top > 4 else f"{value:.2f}{unit}", "end", "tick"))
    return "".join(parts)


def _top(values: Sequence[float]) -> float:
    """A round number not below any of ``values``."""
    highest = max([*values, 1e-9])
    for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2, 4, 10, 20, 40, 60, 80, 100):
        if highest <= step:
            return step
    return highest


def bars(labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], unit: str = "%", label: str = "") -> str:
    """Grouped bars: for each of ``labels`` one bar of each of ``series`` (name, values)."""
    top = _top([v for _, values in series for v in values])
    group = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    width = group * 0.8 / max(1, len(series))
    scale = (HEIGHT - BOTTOM - TOP) / top
    parts = [_axis(top, unit)]
    for number, (name, values) in enumerate(series):
        for i, value in enumerate(values):
            x = LEFT + group * (i + 0.1) + width * number
            shown = f"{labels[i]}, {name}: {value:.1f}{unit}"
            parts.append(rect(x, HEIGHT - BOTTOM - value * scale, width - 1, value * scale, colour(number), shown))
    every = -(-len(labels) * 7 // 70) if len(labels) > 10 else 1
    for i, name in enumerate(labels[::every]):
        parts.append(text(LEFT + group * (i * every + 0.5), HEIGHT - BOTTOM + 16, name, kind="tick"))
    return chart("".join(parts) + _legend([name for name, _ in series]), label=label)


def lines(
    labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], unit: str = "%", label: str = ""
) -> str:
    """One line for each of ``series`` over ``labels``; a shorter one ends earlier."""
    top = _top([v for _, values in series for v in values])
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    parts = [_axis(top, unit)]
    for number, (name, values) in enumerate(series):
        points = [
            (LEFT + step * (i + 0.5), HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP))
            for i, value in enumerate(values)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(number)}" stroke-width="2.5"/>')
        for (x, y), value, at in zip(points, values, labels, strict=False):
            title = escape(f"{at}, {name}: {value:.1f}{unit}")
            dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour(number)}">'
            parts.append(f"{dot}<title>{title}</title></circle>")
    for i, name in enumerate(labels):
        parts.append(text(LEFT + step * (i + 0.5), HEIGHT - BOTTOM + 16, name, kind="tick"))
    return chart("".join(parts) + _legend([name for name, _ in series]), label=label)


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(LEFT)
    for number, name in enumerate(names):
        parts.append(rect(x, HEIGHT - 20, 12, 12, colour(number)))
        parts.append(text(x + 17, HEIGHT - 10, name, "start"))
        x += 34 + 7.2 * len(name)
    return "".join(parts)


def shades(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], label: str = "") -> str:
    """A table of counts, each row shaded by its shares: what was right in the rows, what was chosen in the columns."""
    cell, height, left = 100, 34, 120
    parts = [text(left + cell * (j + 0.5), 18, name, kind="tick") for j, name in enumerate(columns)]
    for i, (name, row) in enumerate(zip(rows, counts, strict=True)):
        y, total = 28 + i * height, max(1, sum(row))
        parts.append(text(left - 8, y + 21, name, "end", "tick"))
        for j, count in enumerate(row):
            title = f"right: {name}, chosen: {columns[j]}: {count} ({100 * count / total:.0f} %)"
            parts.append(rect(left + cell * j, y, cell - 2, height - 2, COLOURS[0], title, 0.06 + 0.74 * count / total))
            parts.append(text(left + cell * (j + 0.5), y + 21, f"{100 * count / total:.0f} % of {total}"))
    return chart("".join(parts), left + cell * len(columns), 32 + height * len(rows), label)


def timeline(
    duration: float, bands: Sequence[tuple[str, Sequence[Sequence[float]], str]], film: str = "", label: str = ""
) -> str:
    """Spans on a line that stands for the video: ``bands`` are (name, spans in seconds, colour), one below the other.

    ``film``: a data URI of pictures side by side, which is laid above the line, as long as it.
    """
    left, height, top = 92, 18, 4
    long = WIDTH - left - 8
    parts = []
    if film:
        top += FILM + 4
        at = f'x="{left}" y="2" width="{long}" height="{FILM}" preserveAspectRatio="none"'
        parts.append(f'<image {at} href="{film}"/>')
    for i, (name, spans, fill) in enumerate(bands):
        y = top + i * height
        parts.append(text(left - 6, y + 11, name, "end", "tick"))
        parts.append(rect(left, y + 5, long, 4, "currentColor", opacity=0.12))
        for start, end in spans:
            first, last = (min(max(t / duration, 0.0), 1.0) * long for t in (start, end))  # some reach out of the video
            parts.append(rect(left + first, y, max(1.5, last - first), 14, fill, f"{name}: {start:.1f} to {end:.1f} s"))
    bottom = top + len(bands) * height
    parts.append(text(left, bottom + 10, "0", "start", "tick"))
    parts.append(text(WIDTH - 8, bottom + 10, f"{duration:.1f} s", "end", "tick"))
    return chart("".join(parts), WIDTH, bottom + 16, label)
