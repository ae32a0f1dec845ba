"""What happens in a made-up video, and when: shots with camera moves, and guests that come and go on top of them.

Everything is drawn from one seeded generator; nothing is read or painted here. `recipe_at` says what is on screen at a
time, `events` what there is to ask about, with exact spans.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hawkeye.runtime import seed_for
from hawkeye.spans import Span
from hawkeye.synth.recipe import WHOLE, Layer, Place, Recipe, View

SHORTEST_SHOT = 1.5  # seconds


class Move(StrEnum):
    STILL = "still"
    ZOOM_IN = "zoom in"
    ZOOM_OUT = "zoom out"
    PAN_LEFT = "pan left"
    PAN_RIGHT = "pan right"
    TILT_UP = "tilt up"
    TILT_DOWN = "tilt down"
    JUMP = "jump"  # hard cuts between near and far within one shot


class Entry(StrEnum):
    """How a shot begins."""

    CUT = "cut"
    DISSOLVE = "dissolve"
    FADE = "fade"


class Act(StrEnum):
    """What a guest does."""

    INSET = "inset"  # picture in picture
    ENTER = "enter"
    LEAVE = "leave"
    CROSS = "cross"
    GROW = "grow"


@dataclass(frozen=True)
class Shot:
    span: Span
    picture: int
    move: Move
    views: tuple[View, ...]  # gone through evenly: two are a move between them, more are jumps
    entry: Entry = Entry.CUT
    entry_seconds: float = 0.0


@dataclass(frozen=True)
class Guest:
    """A second picture on top of the shots, as a card or an oval."""

    span: Span
    picture: int
    act: Act
    start: Place
    end: Place


@dataclass(frozen=True)
class Plan:
    id: str
    duration: float
    shots: tuple[Shot, ...]
    guests: tuple[Guest, ...] = ()


@dataclass(frozen=True)
class Style:
    """How videos are made up. ``partners``: each picture appears only with this many others as guests, so that composed
    frames are few enough to be computed once."""

    shortest: float = 12.0  # seconds
    longest: float = 150.0
    most_shots: int = 16
    one_scene: float = 0.15  # share of videos with a single long shot and guests
    repeats: float = 0.12  # share of shots that show an earlier picture again
    guests: float = 0.3  # share of other videos with a guest
    partners: int = 4


def make_plan(seed: int, number: int, num_pictures: int, style: Style = Style()) -> Plan:
    """The plan of video ``number``: depends on nothing but the arguments. Needs at least two pictures."""
    if num_pictures < 2:
        raise ValueError(f"a video needs at least 2 pictures, got {num_pictures}")
    rng = random.Random(seed_for(seed, "plan", number))
    name = f"synthetic-{seed}-{number:06d}"
    if rng.random() < style.one_scene:
        return _one_scene(rng, name, num_pictures, style)
    count = rng.randint(3, style.most_shots)
    lengths = [max(SHORTEST_SHOT, min(rng.lognormvariate(1.5, 0.55), 25.0)) for _ in range(count)]
    total = sum(lengths)
    wanted = min(max(total, style.shortest), style.longest)
    lengths = [_tidy(length * wanted / total) for length in lengths]
    shots: list[Shot] = []
    start, fresh = 0.0, iter(_distinct(rng, count, num_pictures))
    for length in lengths:
        picture = next(fresh)
        if len(shots) > 1 and rng.random() < style.repeats:
            picture = rng.choice([s.picture for s in shots[:-1]])
        if shots and picture == shots[-1].picture:
            picture = (picture + 1) % num_pictures
        shots.append(_shot(rng, Span(start, start + length), picture, first=not shots))
        start = shots[-1].span.end
    guests: tuple[Guest, ...] = ()
    if rng.random() < style.guests:
        host = rng.choice(shots)
        guests = tuple(_guests_over(rng, host, 1, num_pictures, style.partners))
    return Plan(name, start, tuple(shots), guests)


def _tidy(seconds: float) -> float:
    return round(seconds * 4) / 4  # quarters of a second are exact in binary


def _distinct(rng: random.Random, count: int, num_pictures: int) -> list[int]:
    """``count`` picture numbers, all different as far as there are enough."""
    if num_pictures >= count:
        return rng.sample(range(num_pictures), count)
    return [rng.randrange(num_pictures) for _ in range(count)]


def _one_scene(rng: random.Random, name: str, num_pictures: int, style: Style) -> Plan:
    span = Span(0.0, _tidy(rng.uniform(max(20.0, style.shortest), max(21.0, min(90.0, style.longest)))))
    shot = _shot(rng, span, rng.randrange(num_pictures), first=True, moves=(Move.STILL, Move.ZOOM_IN, Move.ZOOM_OUT))
    guests = _guests_over(rng, shot, rng.randint(1, 3), num_pictures, style.partners)
    return Plan(name, span.end, (shot,), tuple(guests))


def _shot(rng: random.Random, span: Span, picture: int, first: bool, moves: Sequence[Move] = tuple(Move)) -> Shot:
    move = rng.choice(moves)
    near, far = View(rng.uniform(0.5, 0.7), rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85)), WHOLE
    zoom = rng.uniform(0.55, 0.85)
    match move:
        case Move.STILL:
            views: tuple[View, ...] = (View(rng.uniform(0.7, 1.0), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)),)
        case Move.ZOOM_IN:
            views = (far, near)
        case Move.ZOOM_OUT:
            views = (near, far)
        case Move.PAN_LEFT:
            views = (View(zoom, 1.0, 0.5), View(zoom, 0.0, 0.5))
        case Move.PAN_RIGHT:
            views = (View(zoom, 0.0, 0.5), View(zoom, 1.0, 0.5))
        case Move.TILT_UP:
            views = (View(zoom, 0.5, 1.0), View(zoom, 0.5, 0.0))
        case Move.TILT_DOWN:
            views = (View(zoom, 0.5, 0.0), View(zoom, 0.5, 1.0))
        case Move.JUMP:
            views = (far, near, View(0.75, rng.random(), rng.random()), View(0.6, rng.random(), rng.random()))
    entry = Entry.CUT if first else rng.choices(tuple(Entry), weights=(6, 2, 1))[0]
    seconds = 0.0 if entry is Entry.CUT else _tidy(min(rng.uniform(0.5, 1.5), span.length / 3))
    return Shot(span, picture, move, views, entry if seconds > 0 else Entry.CUT, seconds)


def partners_of(picture: int, count: int, num_pictures: int) -> list[int]:
    """The pictures that may be guests of ``picture``: always the same ones."""
    rng = random.Random(seed_for(0, "partners", picture, num_pictures))
    others = [n for n in rng.sample(range(num_pictures), min(count + 1, num_pictures)) if n != picture]
    return others[:count]


def _guests_over(rng: random.Random, host: Shot, count: int, num_pictures: int, partners: int) -> list[Guest]:
    """Up to ``count`` guests, one after the other, inside the host's shot."""
    possible = partners_of(host.picture, partners, num_pictures)
    guests, free = [], Span(host.span.start + host.entry_seconds, host.span.end)
    for left in range(count, 0, -1):
        room = free.length / left
        if room < 2 * SHORTEST_SHOT or not possible:
            break
        length = _tidy(rng.uniform(SHORTEST_SHOT, min(room * 0.8, 20.0)))
        start = free.start + _tidy(rng.uniform(0, room - length))
        picture = possible.pop(rng.randrange(len(possible)))
        guests.append(_guest(rng, Span(start, start + length), picture))
        free = Span(start + length, free.end)
    return guests


def _guest(rng: random.Random, span: Span, picture: int) -> Guest:
    act = rng.choice(tuple(Act))
    size, height = rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.6)
    side = rng.choice((-0.3, 1.3))
    inside = Place(rng.uniform(0.35, 0.65), height, size)
    match act:
        case Act.INSET:
            size = rng.uniform(0.35, 0.5)
            corner = Place(rng.choice((size / 2, 1 - size / 2)), rng.choice((size / 2, 1 - size / 2)), size)
            return Guest(span, picture, act, corner, corner)
        case Act.ENTER:
            return Guest(span, picture, act, Place(side, height, size), inside)
        case Act.LEAVE:
            return Guest(span, picture, act, inside, Place(side, height, size))
        case Act.CROSS:
            return Guest(span, picture, act, Place(side, height, size), Place(1 - side, height, size))
        case Act.GROW:
            return Guest(span, picture, act, inside._replace(size=0.15), inside._replace(size=0.8))


def recipe_at(plan: Plan, seconds: float) -> Recipe:
    """What is on screen at a time; times outside the video show its first or last moment."""
    seconds = min(max(seconds, 0.0), plan.duration - 1e-6)
    number = next(i for i, shot in enumerate(plan.shots) if seconds < shot.span.end)
    shot = plan.shots[number]
    layer, age = _shot_layer(shot, seconds), seconds - shot.span.start
    layers: list[Layer] = [layer]
    if shot.entry is not Entry.CUT and age < shot.entry_seconds:
        done = age / shot.entry_seconds
        before = _shot_layer(plan.shots[number - 1], shot.span.start)
        if shot.entry is Entry.DISSOLVE:
            layers = [before, layer._replace(opacity=done)]
        else:  # down to black, then up
            layers = [before._replace(opacity=1 - 2 * done)] if done < 0.5 else [layer._replace(opacity=2 * done - 1)]
    layers += [_guest_layer(g, seconds) for g in plan.guests if g.span.start <= seconds < g.span.end]
    return tuple(layers)


def _shot_layer(shot: Shot, seconds: float) -> Layer:
    done = min(max((seconds - shot.span.start) / shot.span.length, 0.0), 1.0)
    if len(shot.views) == 1:
        return Layer(shot.picture, shot.views[0])
    if shot.move is Move.JUMP:
        return Layer(shot.picture, shot.views[min(int(done * len(shot.views)), len(shot.views) - 1)])
    first, last = shot.views
    return Layer(shot.picture, View(*(_between(a, b, done) for a, b in zip(first, last, strict=True))))


def _guest_layer(guest: Guest, seconds: float) -> Layer:
    done = min(
        1.0, (seconds - guest.span.start) / guest.span.length * (1.0 if guest.act in (Act.CROSS, Act.GROW) else 2.0)
    )
    if guest.act is Act.LEAVE:  # stays for the first half
        done = max(0.0, 2 * (seconds - guest.span.start) / guest.span.length - 1)
    place = Place(*(_between(a, b, done) for a, b in zip(guest.start, guest.end, strict=True)))
    return Layer(guest.picture, WHOLE, place, "card" if guest.act is Act.INSET else "oval")


def _between(first: float, last: float, done: float) -> float:
    return first + (last - first) * done
