"""What can be asked about a planned video: stretches of time with the words for them, and where nothing like them is.

Words are drawn from the picture's captions or, for a class, from its name, synonyms, wider word and description, alone or
with the camera's move, the guest's act, or what came before or after.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hawkeye.runtime import seed_for
from hawkeye.spans import Span
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Act, Guest, Move, Plan, Shot

SENTENCES_PER_EVENT = 3


@dataclass(frozen=True)
class Event:
    """``context`` is the stretch around the span in which nothing else fits the sentences (the negative span)."""

    span: Span
    context: Span
    kind: str  # shot, guest, pair, after, wider
    sentences: tuple[str, ...]
    pictures: tuple[int, ...]


_SHOWN = (
    "{a}.", "{a} is shown.", "There is {a}.", "A photo of {a}.", "A close-up of {a}.", "The video shows {a}.", "We see {a}.",
    "{a} can be seen.", "a view of {a}", "{n}", "the {n}", "someone is looking at {a}", "A scene with {a} in it.",
)  # fmt: skip
_MOVES = {
    Move.STILL: ("The camera rests on {a}.", "A still picture of {a}."),
    Move.ZOOM_IN: ("The camera zooms in on {a}.", "The camera moves closer to {a}.", "{a} comes nearer."),
    Move.ZOOM_OUT: ("The camera zooms out from {a}.", "The camera moves away from {a}."),
    Move.PAN_LEFT: ("The camera pans left across {a}.", "The view slides to the left over {a}."),
    Move.PAN_RIGHT: ("The camera pans right across {a}.", "The view slides to the right over {a}."),
    Move.TILT_UP: ("The camera tilts up {a}.", "The camera moves up along {a}."),
    Move.TILT_DOWN: ("The camera tilts down {a}.", "The camera moves down along {a}."),
    Move.JUMP: ("{a} is shown from near and from afar.", "Several views of {a}."),
}
_ACTS = {
    Act.INSET: ("{a} is shown in a corner of the picture.", "A small inset shows {a}."),
    Act.ENTER: ("{a} enters the picture.", "{a} comes into view."),
    Act.LEAVE: ("{a} leaves the picture.", "{a} moves out of view."),
    Act.CROSS: ("{a} moves across the picture.", "{a} passes by."),
    Act.GROW: ("{a} grows larger.", "{a} appears and gets bigger and bigger."),
}
_THINGS = ("A person is holding {a}.", "Someone is using {a}.", "A person stands next to {a}.")


def with_article(noun: str) -> str:
    """``a`` or ``an`` before the noun; none before a plural or a noun that brings its own."""
    if noun.lower().startswith(("a ", "an ", "the ")) or (noun.endswith("s") and not noun.endswith(("ss", "us", "is"))):
        return noun
    return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"


def _phrase(template: str, noun: str) -> str:
    text = template.format(a=with_article(noun), n=noun)
    return text[0].upper() + text[1:] if template[0] == "{" and text.endswith(".") else text


def noun_for(picture: Picture, rng: random.Random) -> str:
    """One of the picture's names; for a captioned picture its first caption without the full stop."""
    if picture.text is None:
        return picture.captions[0].rstrip(".")
    if picture.text.synonyms and rng.random() < 0.25:
        return rng.choice(picture.text.synonyms)
    return picture.text.name


def describe(picture: Picture, rng: random.Random, special: Sequence[str] = ()) -> str:
    """A sentence for a picture. ``special``: templates for how it is shown, taken one time in three."""
    if picture.text is None:
        return rng.choice(picture.captions)
    if special and rng.random() < 1 / 3:
        return _phrase(rng.choice(special), noun_for(picture, rng))
    if picture.text.descriptions and rng.random() < 0.3:
        return rng.choice(picture.text.descriptions)
    templates = _SHOWN if picture.text.is_person_or_place or rng.random() < 0.75 else _THINGS
    return _phrase(rng.choice(templates), noun_for(picture, rng))


def events_of(plan: Plan, pictures: Sequence[Picture], seed: int = 0) -> list[Event]:
    """Everything that can be asked about ``plan``, in order of time. Depends on nothing but the arguments."""
    rng = random.Random(seed_for(seed, "events", plan.id))
    shown: list[Shot | Guest] = [*plan.shots, *plan.guests]
    events = [_single(plan, item, shown, pictures, rng) for item in shown]
    events += _pairs(plan, shown, pictures, rng)
    events += _wider(plan, shown, pictures, rng)
    return sorted(events, key=lambda e: (e.span, e.kind, e.sentences))


def context_of(span: Span, similar: Sequence[Span], duration: float) -> Span:
    """The widest stretch around ``span`` that touches none of the ``similar`` ones."""
    start = max((s.end for s in similar if s.end <= span.start), default=0.0)
    end = min((s.start for s in similar if s.start >= span.end), default=duration)
    return Span(start, end)


def _same(item: Shot | Guest, others: Sequence[Shot | Guest], pictures: Sequence[Picture]) -> list[Span]:
    subject = pictures[item.picture].subject
    return [o.span for o in others if o is not item and pictures[o.picture].subject == subject]


def _single(
    plan: Plan, item: Shot | Guest, shown: Sequence[Shot | Guest], pictures: Sequence[Picture], rng: random.Random
) -> Event:
    special = _MOVES[item.move] if isinstance(item, Shot) else _ACTS[item.act]
    picture = pictures[item.picture]
    sentences = tuple(dict.fromkeys(describe(picture, rng, special) for _ in range(SENTENCES_PER_EVENT)))
    context = context_of(item.span, _same(item, shown, pictures), plan.duration)
    return Event(item.span, context, "shot" if isinstance(item, Shot) else "guest", sentences, (item.picture,))


def _pairs(plan: Plan, shown: Sequence[Shot | Guest], pictures: Sequence[Picture], rng: random.Random) -> list[Event]:
    """Two neighbouring shots as one event (first this, then that), and the second told by what comes before it."""
    found = []
    for first, second in pairwise(plan.shots):
        if _same(first, shown, pictures) or rng.random() < 0.6:
            continue
        a, b = (with_article(noun_for(pictures[s.picture], rng)) for s in (first, second))
        both = (first.picture, second.picture)
        similar = _same(second, shown, pictures)
        if not similar:
            texts = (f"First {a}, then {b}.", f"{a}, followed by {b}")
            span = Span(first.span.start, second.span.end)
            found.append(Event(span, Span(0.0, plan.duration), "pair", (rng.choice(texts),), both))
        text = rng.choice((f"{b} after {a}", f"After {a}, {b} is shown."))
        # The words name one place, so other appearances of the same thing do not bound the context.
        found.append(Event(second.span, Span(0.0, plan.duration), "after", (text,), both))
    return found


def _wider(plan: Plan, shown: Sequence[Shot | Guest], pictures: Sequence[Picture], rng: random.Random) -> list[Event]:
    """Runs of shots that share a wider word, where the word fits nothing else in the video."""
    words = [_word(pictures[item.picture]) for item in shown]
    found = []
    for word in sorted({w for w in words if w}):
        spans = sorted(item.span for item, w in zip(shown, words, strict=True) if w == word)
        if any(b.start - a.end > 1e-6 for a, b in pairwise(spans)):
            continue
        span = Span(spans[0].start, max(s.end for s in spans))
        sentence = _phrase(rng.choice(_SHOWN), word)
        members = tuple(item.picture for item, w in zip(shown, words, strict=True) if w == word)
        found.append(Event(span, Span(0.0, plan.duration), "wider", (sentence,), members))
    return found


def _word(picture: Picture) -> str:
    return picture.text.wider if picture.text else ""
