"""Multiple-choice questions about a planned video, whose answers are known because the video was planned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hawkeye.runtime import seed_for
from hawkeye.synth.events import noun_for, with_article
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Move, Plan

NUM_OPTIONS = 4
MOVES = {
    Move.STILL: "It does not move.",
    Move.ZOOM_IN: "It zooms in.",
    Move.ZOOM_OUT: "It zooms out.",
    Move.PAN_LEFT: "It pans to the left.",
    Move.PAN_RIGHT: "It pans to the right.",
    Move.TILT_UP: "It tilts up.",
    Move.TILT_DOWN: "It tilts down.",
}


@dataclass(frozen=True)
class Question:
    kind: str  # first, last, after, camera, present
    text: str
    options: tuple[str, ...]
    answer: int


def questions_about(plan: Plan, pictures: Sequence[Picture], seed: int = 0) -> list[Question]:
    """Up to one question of each kind, always the same for the same arguments."""
    rng = random.Random(seed_for(seed, "questions", plan.id))
    names = {i: with_article(noun_for(pictures[i], rng)) for i in sorted({s.picture for s in plan.shots})}
    found: list[Question] = []
    order = [shot.picture for shot in plan.shots]
    if len(names) >= NUM_OPTIONS:
        found.append(_naming("first", "What is shown first in the video?", order[0], names, rng))
        found.append(_naming("last", "What is shown last in the video?", order[-1], names, rng))
        number = rng.randrange(len(order) - 1)
        if order.count(order[number]) == 1:
            text = f"What is shown right after {names[order[number]]}?"
            found.append(_naming("after", text, order[number + 1], names, rng, without=order[number]))
    moving = [s for s in plan.shots if s.move in MOVES and order.count(s.picture) == 1]
    if moving:
        shot = rng.choice(moving)
        wrong = rng.sample([m for m in MOVES if m is not shot.move], NUM_OPTIONS - 1)
        text = f"How does the camera move while {names[shot.picture]} is shown?"
        found.append(_mixed("camera", text, MOVES[shot.move], [MOVES[m] for m in wrong], rng))
    there = rng.random() < 0.5
    shown = {pictures[i].subject for i in (*order, *(g.picture for g in plan.guests))}
    absent = [p for p in pictures if p.subject not in shown]
    if there or absent:
        asked = names[rng.choice(order)] if there else with_article(noun_for(rng.choice(absent), rng))
        found.append(Question("present", f"Is {asked} shown in the video?", ("Yes.", "No."), 0 if there else 1))
    return found


def absent_sentences(plan: Plan, pictures: Sequence[Picture], count: int, seed: int = 0) -> list[str]:
    """Sentences about things that are not in the video, nor anything with the same wider word."""
    from hawkeye.synth.events import describe

    rng = random.Random(seed_for(seed, "absent", plan.id))
    shown = [pictures[item.picture] for item in (*plan.shots, *plan.guests)]
    subjects = {p.subject for p in shown}
    words = {p.text.wider for p in shown if p.text}
    other = [
        p for p in pictures if p.subject not in subjects and not (p.text and p.text.wider and p.text.wider in words)
    ]
    return [describe(p, rng) for p in rng.sample(other, min(count, len(other)))]


def _naming(
    kind: str, text: str, right: int, names: dict[int, str], rng: random.Random, without: int | None = None
) -> Question:
    others = sorted({name for i, name in names.items() if i not in (right, without)} - {names[right]})
    return _mixed(kind, text, names[right], rng.sample(others, min(NUM_OPTIONS - 1, len(others))), rng)


def _mixed(kind: str, text: str, right: str, wrong: Sequence[str], rng: random.Random) -> Question:
    options = [right, *wrong]
    rng.shuffle(options)
    return Question(kind, text, tuple(options), options.index(right))
