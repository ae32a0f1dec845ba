"""What the page shows around the timeline, as HTML: cards, the panel of each turn, answers, messages. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hawkeye.demo.timeline import probabilities, seconds, stretch, text, timeline_svg, turn_id
from hawkeye.grounding.result import GroundingResult, Turn
from hawkeye.qa import Reply
from hawkeye.spans import Span


def result_html(
    results: Sequence[GroundingResult], strip: Sequence[str], pictures: Mapping[float, str], name: str = "t"
) -> str:
    """Cards, timeline, and a panel for each turn with the frames the model saw. ``pictures``: time -> URL."""
    cards = "".join(_card(result) for result in results)
    panels = "".join(
        _turn_panel(result, turn, pictures, turn_id(name, number, index), index)
        for number, result in enumerate(results)
        for index, turn in enumerate(result.turns)
    )
    looks = f'<h3>What the model saw, turn by turn</h3><div class="hawk-turns">{panels}</div>' if panels else ""
    return f'<div class="hawk-cards">{cards}</div>{timeline_svg(results, strip, name)}{looks}'


def compare_html(sides: Sequence[tuple[str, str]]) -> str:
    """``(title, HTML)`` of each side, next to each other where the screen is wide enough."""
    columns = "".join(f"<section><h3>{text(title)}</h3>{html}</section>" for title, html in sides)
    return f'<div class="hawk-compare">{columns}</div>'


def reply_html(reply: Reply, pictures: Sequence[str], evidence: str = "") -> str:
    """An answer or a caption, the options with their probabilities, and the frames it rests on."""
    answer = text(reply.text or "The reply names none of the options.")
    rows = "".join(
        _bar(line, chance, index == reply.index)
        for index, (line, chance) in enumerate(zip(reply.options, reply.probabilities, strict=True))
    )
    frames = _frames(list(zip(reply.frame_times, pictures, strict=True)))
    where = f"{stretch(reply.window)} · {text(reply.model)}"
    shown = f"{len(pictures)} frames that the model saw"
    return (
        f'<div class="hawk-answer"><p class="hawk-big">{answer}</p><p class="hawk-muted">{where}</p>{rows}'
        f"<details open><summary>{shown}</summary>{frames}</details>{evidence}</div>"
    )


def message_html(words: str, kind: str = "note") -> str:
    """A line for the person; ``kind`` is note, busy or error. Read out by screen readers when it changes."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="hawk-message hawk-{kind}" role="{role}">{text(words)}</p>' if words else ""


def progress_html(words: str, fraction: float | None = None) -> str:
    """What is going on, with a bar; ``fraction`` is 0 to 1, None if nobody knows."""
    value = "" if fraction is None else f' value="{100 * fraction:.0f}"'
    return (
        f'<div class="hawk-message hawk-busy" role="status"><span>{text(words)}</span>'
        f'<progress max="100"{value} aria-label="{text(words)}"></progress></div>'
    )


def _card(result: GroundingResult) -> str:
    query = f'<p class="hawk-query">{text(result.query)}</p>'
    if result.span is None:
        return f'<article class="hawk-card hawk-failed">{query}<p>{text(result.error or "no span")}</p></article>'
    if result.found:
        verdict = f'<p class="hawk-big">{stretch(result.span)}</p>'
    else:
        verdict = '<p class="hawk-big hawk-absent">Not in this video</p>'
    what = "Play" if result.found else "Best guess"
    buttons = _play(what, result.span, primary=result.found)
    buttons += "".join(_play(f"or {rank}", other.span) for rank, other in enumerate(result.spans[1:4], 2))
    note = f"confidence {result.confidence:.2f} · {text(result.model)}, {text(result.strategy)}"
    return (
        f'<article class="hawk-card">{query}{verdict}<p class="hawk-muted">{note}</p>'
        f'<p class="hawk-buttons">{buttons}</p></article>'
    )


def _play(words: str, span: Span, primary: bool = False) -> str:
    kind = "hawk-play hawk-primary" if primary else "hawk-play"
    place, arrow = stretch(span), '<span aria-hidden="true">▶</span> ' if primary else ""
    return (
        f'<button type="button" class="{kind}" data-start="{span.start:.3f}" data-end="{span.end:.3f}" '
        f'aria-label="{words}: {place}">{arrow}{words} <small>{place}</small></button>'
    )


def _turn_panel(result: GroundingResult, turn: Turn, pictures: Mapping[float, str], panel: str, index: int) -> str:
    chances = probabilities(turn)
    bars = "".join(_bar(choice, chance, choice == str(turn.choice)) for choice, chance in chances.items())
    reply = f'<p class="hawk-muted">Reply: {text(turn.reply)}</p>' if turn.reply else ""
    frames = _frames([(time, pictures[time]) for time in turn.frame_times if time in pictures])
    head = f"Turn {index + 1} · {stretch(turn.window)} · {turn.choice} {chances[str(turn.choice)]:.0%}"
    return f'<details id="{panel}"><summary>{head} <small>{text(result.query)}</small></summary>{bars}{reply}{frames}</details>'


def _bar(name: str, chance: float, chosen: bool) -> str:
    mark = " hawk-chosen" if chosen else ""
    said = " (chosen)" if chosen else ""
    return (
        f'<div class="hawk-bar{mark}"><span>{text(name)}{said}</span><span class="hawk-rail" aria-hidden="true">'
        f'<span style="width:{100 * chance:.1f}%"></span></span><span>{chance:.0%}</span></div>'
    )


def _frames(frames: Sequence[tuple[float, str]]) -> str:
    cells = "".join(
        f'<figure><img src="{url}" alt="Frame at {seconds(time)}" loading="lazy">'
        f"<figcaption>{seconds(time)}</figcaption></figure>"
        for time, url in frames
    )
    return f'<div class="hawk-frames">{cells}</div>'
