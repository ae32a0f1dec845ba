"""Training items from planned videos: a sentence, a window to look at, and what is true about it there.

Windows are those that recursive grounding itself comes to when it chooses well, and random ones around the event. Labels are
the choices from which the highest IoU is still reachable (see `hawkeye.choices.best_reachable`). Nothing is painted here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hawkeye.choices import Choice, best_reachable, sub_window
from hawkeye.spans import Span
from hawkeye.synth.events import Event
from hawkeye.synth.plan import Plan

TURNS = 3  # turns that labels look ahead
ON_THE_WAY = 0.65  # share of windows that are met on the way down from the whole video
SHORTEST_WINDOW = 2.0  # seconds


@dataclass(frozen=True)
class Item:
    """``span`` None: the sentence does not happen in ``window``. ``choice`` None: there is nothing to choose."""

    plan: int
    window: Span
    sentence: str
    span: Span | None
    choice: Choice | None


def item_for(number: int, plan: Plan, event: Event, use_context: bool, rng: random.Random) -> Item:
    """One random look for ``event``. ``use_context``: stay where nothing else fits the sentence (the negative span)."""
    room = event.context if use_context else Span(0.0, plan.duration)
    sentence = rng.choice(event.sentences)
    if rng.random() < ON_THE_WAY:
        window, choice = _on_the_way(event.span, room, rng)
    else:
        window = _around(event.span, room, rng)
        choice = best_reachable(event.span, window, TURNS)[1]
    return Item(number, window, sentence, event.span, choice)


def absent_item(number: int, plan: Plan, sentence: str, rng: random.Random) -> Item:
    """A sentence about something that is nowhere in the video, and a random window of it."""
    start = rng.uniform(0, plan.duration * 0.5) if rng.random() < 0.5 else 0.0
    end = rng.uniform(start + min(SHORTEST_WINDOW, plan.duration - start), plan.duration) if start else plan.duration
    return Item(number, Span(start, end), sentence, None, None)


def _on_the_way(span: Span, room: Span, rng: random.Random) -> tuple[Span, Choice]:
    window = room
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        choice = best_reachable(span, window, TURNS)[1]
        if choice is Choice.THROUGHOUT:
            break
        window = sub_window(choice, window)
    return window, best_reachable(span, window, TURNS)[1]


def _around(span: Span, room: Span, rng: random.Random) -> Span:
    """A window that holds the whole span, between a little and eight times as long."""
    longest = min(room.length, max(SHORTEST_WINDOW, span.length * 8))
    length = rng.uniform(min(max(span.length * 1.05, SHORTEST_WINDOW), longest), longest)
    start = rng.uniform(max(room.start, span.end - length), min(span.start, room.end - length))
    return Span(start, start + length)


def frame_times(window: Span, count: int, rng: random.Random | None = None) -> list[float]:
    """One time (s) in each of ``count`` equal slots: its middle, or a random one."""
    slot = window.length / count
    return [window.start + slot * (i + (0.5 if rng is None else rng.random())) for i in range(count)]


def inside_labels(item: Item, times: Sequence[float]) -> list[float]:
    """1 for each time at which the sentence happens."""
    span = item.span
    return [float(span is not None and span.start <= t < span.end) for t in times]
