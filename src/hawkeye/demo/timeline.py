"""Results as one SVG: the filmstrip, the windows narrowing turn by turn, the curve, the found span and the alternatives.

Pure functions of results and ready pictures: nothing is read or decoded here, and nothing is imported but the result.
Everything across is in per cent and everything down in pixels, so that it fits a phone and a wide screen with text of the
same size. Elements that stand for a stretch carry ``data-start`` and ``data-end`` (seconds) and can be reached by
keyboard; the page's script makes the player jump there. Without that script it is a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from hawkeye.grounding.picture import CURVE, FOUND, INK, MUTED, OTHER, TRACK, TURN_COLORS
from hawkeye.grounding.result import GroundingResult, Turn
from hawkeye.spans import Span

STRIP, RULER, ROW, CURVE_HEIGHT, HEAD, GAP = 64, 26, 24, 44, 26, 12
ROOM = 36.0  # per cent of the width that a bar's text needs beside it
ON_BAR = 24.0  # and so much that it takes on it
RULER_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)

STYLE = f"""
.hawk-timeline {{ display: block; overflow: hidden; font: 12px system-ui, sans-serif; }}
.hawk-timeline text {{ fill: var(--hawk-ink, {INK}); }}
.hawk-timeline .muted {{ fill: var(--hawk-muted, {MUTED}); }}
.hawk-timeline .query {{ font-size: 14px; font-weight: 600; }}
.hawk-timeline .track {{ fill: var(--hawk-track, {TRACK}); }}
.hawk-timeline .tick {{ stroke: var(--hawk-muted, {MUTED}); }}
.hawk-timeline .found {{ fill: {FOUND}; }}
.hawk-timeline .guess {{ fill: none; stroke: {FOUND}; stroke-width: 2; stroke-dasharray: 5 4; }}
.hawk-timeline .other {{ fill: {OTHER}; }}
.hawk-timeline .curve {{ fill: none; stroke: var(--hawk-curve, {CURVE}); stroke-width: 2; }}
.hawk-timeline .on-bar {{ fill: #fff; font-weight: 600; }}
.hawk-timeline [data-start] {{ cursor: pointer; }}
.hawk-timeline [data-start]:hover rect:last-of-type {{ filter: brightness(1.12); }}
.hawk-timeline [data-start]:focus-visible {{ outline: 2px solid {FOUND}; outline-offset: -2px; }}
"""


def timeline_svg(results: Sequence[GroundingResult], pictures: Sequence[str] = (), name: str = "t") -> str:
    """One SVG about one video; every result is a row of it, failed ones with their message.

    ``pictures``: equally spaced pictures of the whole video as URLs (``pictures.filmstrip``). ``name`` makes the ids in
    ``data-open`` unique where a page has several timelines (see `turn_id`).
    """
    duration = next((result.duration for result in results if result.duration), 1.0)
    parts: list[str] = []
    top = 0
    if pictures:
        parts.append(_filmstrip(pictures))
        top += STRIP
    parts.append(_ruler(duration, top))
    top += RULER
    for number, result in enumerate(results):
        top = _result(result, number, name, top + GAP, duration, parts)
    playhead = (
        f'<line class="hawk-playhead" x1="0" x2="0" y1="0" y2="{top}" data-duration="{duration}" '
        f'stroke="{FOUND}" stroke-width="2" visibility="hidden" pointer-events="none"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="hawk-timeline" width="100%" height="{top + 4}" role="group" '
        f'aria-label="Timeline of {seconds(duration)}"><style>{STYLE}</style>{"".join(parts)}{playhead}</svg>'
    )


def turn_id(name: str, query: int, turn: int) -> str:
    """What the page calls the panel of a turn (all counted from 0)."""
    return f"hawk-{name}-{query}-{turn}"


def seconds(value: float) -> str:
    """``7.5 s`` or ``1:02:07.5``: short, and with a unit where it is not plain."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(value, 60)
    hours, minutes = divmod(int(minutes), 60)
    clock = f"{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
    return f"{hours}:{clock}" if hours else clock


def stretch(span: Span) -> str:
    """``7.5 - 15.0 s`` or ``1:02.0 - 1:09.5``."""
    return f"{span.start:.1f} - {span.end:.1f} s" if span.end < 60 else f"{seconds(span.start)} - {seconds(span.end)}"


def probabilities(turn: Turn) -> dict[str, float]:
    """Option -> probability, in the order shown to the model."""
    return {str(choice): math.exp(value) for choice, value in zip(turn.options, turn.log_probs, strict=True)}


def text(value: str) -> str:
    """Safe inside HTML, SVG and the page's templates, which know ``${...}`` and ``{{...}}``."""
    return escape(value).replace("$", "&#36;").replace("{", "&#123;").replace("`", "&#96;")


def _filmstrip(pictures: Sequence[str]) -> str:
    width = 100 / len(pictures)
    return "".join(
        f'<image href="{url}" x="{i * width:.3f}%" y="0" width="{width:.3f}%" height="{STRIP}" '
        f'preserveAspectRatio="xMidYMid slice" aria-hidden="true"/>'
        for i, url in enumerate(pictures)
    )


def _ruler(duration: float, top: int) -> str:
    step = next((s for s in RULER_STEPS if duration / s <= 7), 3600)
    parts = []
    for second in range(0, int(duration) + 1, step):
        x = 100 * second / duration
        anchor = "start" if x < 2 else "end" if x > 97 else "middle"
        label = f"{second} s" if duration < 60 else seconds(second)[:-2] if second >= 60 else f"0:{second:02d}"
        parts.append(f'<line class="tick" x1="{x:.2f}%" x2="{x:.2f}%" y1="{top + 2}" y2="{top + 7}"/>')
        parts.append(f'<text class="muted" x="{x:.2f}%" y="{top + 20}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)


def _result(result: GroundingResult, number: int, name: str, top: int, duration: float, parts: list[str]) -> int:
    """Draw one query from ``top`` down; returns where it ends."""
    parts.append(f'<text class="query" x="0" y="{top + 16}">{text(_shorten(result.query))}</text>')
    top += HEAD
    if result.span is None:
        parts.append(f'<text class="muted" x="0" y="{top + 16}">{text(_shorten(result.error or "no span", 90))}</text>')
        return top + ROW
    for index, turn in enumerate(result.turns):
        chance = probabilities(turn)[str(turn.choice)]
        color = TURN_COLORS[min(index, len(TURN_COLORS) - 1)]
        title = f"Turn {index + 1}: window {stretch(turn.window)}, chose {turn.choice} {chance:.0%}"
        note = f"{index + 1}: {turn.choice} {chance:.0%}"
        opens = turn_id(name, number, index)
        parts.append(_track(top))
        parts.append(
            _stretch(turn.window, top, duration, f'fill="{color}"', title, note, light=index >= 3, opens=opens)
        )
        top += ROW
    if result.curve:
        parts.append(_curve(result.curve, top, duration))
        top += CURVE_HEIGHT + 4
    parts.append(_track(top))
    others = result.spans[1:] if result.found else ()
    for rank, other in reversed(list(enumerate(others, 2))):
        title = f"Alternative {rank}: {stretch(other.span)}, score {other.score:.2f}"
        parts.append(_stretch(other.span, top, duration, 'class="other"', title))
    note = stretch(result.span) if result.found else "not in this video"
    title = (
        f"Found: {stretch(result.span)}" if result.found else f"Not in this video; best guess {stretch(result.span)}"
    )
    kind = 'class="found"' if result.found else 'class="guess"'
    # Beside the bar there may be alternatives: then its time stands on it, or in the title alone.
    beside = not others
    parts.append(
        _stretch(result.span, top, duration, kind, title, note, light=result.found, first=result.found, beside=beside)
    )
    return top + ROW


def _track(top: int) -> str:
    return f'<rect class="track" x="0" y="{top + 3}" width="100%" height="{ROW - 6}" rx="3"/>'


def _stretch(
    span: Span,
    top: int,
    duration: float,
    look: str,
    title: str,
    note: str = "",
    light: bool = False,
    opens: str | None = None,
    first: bool = False,
    beside: bool = True,
) -> str:
    """A bar that can be clicked, with its text beside it, or on it where there is no room (or ``beside`` is False)."""
    start = 100 * min(max(span.start / duration, 0.0), 1.0)
    width = max(0.4, 100 * min(span.end / duration, 1.0) - start)
    data = f'data-start="{span.start:.3f}" data-end="{span.end:.3f}"'
    data += f' data-open="{opens}"' if opens else ""
    data += ' data-first="1"' if first else ""
    words = ""
    if note:
        if beside and 100 - start - width >= ROOM:
            place = f'x="{start + width:.2f}%" dx="6"'
        elif beside and start >= ROOM:
            place = f'x="{start:.2f}%" dx="-6" text-anchor="end"'
        else:
            ink = ' class="on-bar"' if light else ' style="fill:#111"'
            place = f'x="{start + width / 2:.2f}%" text-anchor="middle"' + ink
            note = note if beside or width >= ON_BAR else ""
        words = f'<text {place} y="{top + 16}" pointer-events="none">{text(note)}</text>'
    return (
        f'<g tabindex="0" role="button" aria-label="{text(title)}" {data}><title>{text(title)}</title>'
        f'<rect {look} x="{start:.3f}%" y="{top + 3}" width="{width:.3f}%" height="{ROW - 6}" rx="3"/>{words}</g>'
    )


def _curve(curve: Sequence[tuple[float, float]], top: int, duration: float) -> str:
    values = [value for _, value in curve]
    low, spread = min(values), (max(values) - min(values)) or 1.0
    points = " ".join(f"{1000 * t / duration:.1f},{96 - 92 * (v - low) / spread:.1f}" for t, v in curve)
    return (
        f'<rect class="track" x="0" y="{top}" width="100%" height="{CURVE_HEIGHT}" rx="3"/>'
        f'<svg x="0" y="{top}" width="100%" height="{CURVE_HEIGHT}" viewBox="0 0 1000 100" preserveAspectRatio="none" '
        f'role="img" aria-label="How well each moment fits the sentence">'
        f'<polyline class="curve" points="{points}" vector-effect="non-scaling-stroke"/></svg>'
    )


def _shorten(words: str, length: int = 60) -> str:
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"
