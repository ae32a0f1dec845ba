"""The recursion: look at a window, choose beginning / middle / end / throughout, look at the part that was named.

Batch-first: many queries on many videos advance together through one queue of looks. The model takes looks from the head
of the queue, a batch at a time, while threads decode the windows of those behind. A window's frames are decoded once for
all queries that look at it. What goes into a batch depends on the requests alone, never on how fast a thread was, so the
numbers are the same in every run.

Source: HawkEye paper, section 3.3; reference ``tasks/test_recursive_grounding.py:405-470``.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from hawkeye.choices import OPTION_TEXT, Choice, option_lines, shuffled, sub_window
from hawkeye.errors import ModelError
from hawkeye.grounding.result import ScoredSpan, Turn
from hawkeye.grounding.source import Decoded, Request, Source, VideoGroup
from hawkeye.models.base import Answer, Look, VideoLanguageModel, answer
from hawkeye.prompts import grounding_prompt
from hawkeye.spans import Span, non_maximum_suppression
from hawkeye.video.reader import Frames

MAX_SPAN_OVERLAP = 0.9  # alternatives more alike than this are one


@dataclass(frozen=True)
class Settings:
    """How to search. ``orders``: how many option orders each turn is averaged over (removes position bias)."""

    max_turns: int = 4
    num_frames: int = 12
    seed: int = 0
    orders: int = 1
    top_k: int = 5
    batch_size: int = 16


@dataclass
class Search:
    """One query on its way down."""

    request: Request
    source: Source
    window: Span
    turns: list[Turn] = field(default_factory=list)
    frames: Future[Decoded] | None = None
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "model": 0.0})
    error: str | None = None

    def finished(self, max_turns: int) -> bool:
        done = len(self.turns) >= max_turns or bool(self.turns and self.turns[-1].choice is Choice.THROUGHOUT)
        return self.error is not None or done


def search_all(
    model: VideoLanguageModel, groups: Iterator[VideoGroup], settings: Settings, decoders: ThreadPoolExecutor
) -> Iterator[Search]:
    """Finished searches, as they finish. ``groups`` are the videos with their requests; each is closed when done with."""
    queue: deque[Search] = deque()
    waiting = True
    while queue or waiting:
        # Keep a second batch decoding behind the one the model is about to take.
        while waiting and len(queue) < 2 * settings.batch_size:
            group = next(groups, None)
            waiting = group is not None
            if group is not None:
                for search in _begin(group, settings, decoders):
                    if search.error is None:
                        queue.append(search)
                    else:
                        yield search
        batch = [queue.popleft() for _ in range(min(settings.batch_size, len(queue)))]
        _advance(model, batch, settings)
        for search in batch:
            if search.finished(settings.max_turns):
                search.source.release()
                yield search
            else:
                search.frames = search.source.decode(search.window, settings.num_frames, decoders)
                queue.append(search)


def _begin(group: VideoGroup, settings: Settings, decoders: ThreadPoolExecutor) -> list[Search]:
    source = group.source
    searches = [Search(request, source, Span(0.0, source.duration), error=source.error) for request in group.requests]
    if source.error is None:
        source.claim(len(searches))
        for search in searches:
            search.frames = source.decode(search.window, settings.num_frames, decoders)
    return searches


def _advance(model: VideoLanguageModel, batch: Sequence[Search], settings: Settings) -> None:
    """One turn of every search of the batch: wait for its frames, ask the model once, narrow the window."""
    asked: list[tuple[Search, list[list[Choice]], list[Look]]] = []
    for search in batch:
        assert search.frames is not None
        decoded = search.frames.result()
        search.frames = None
        search.seconds["decode"] += decoded.seconds
        if isinstance(decoded.frames, str):
            search.error = decoded.frames
            continue
        item = f"{search.request.key}\n{search.request.query}"
        orders = [shuffled(settings.seed, item, len(search.turns), order) for order in range(settings.orders)]
        asked.append((search, orders, [_look(search, decoded.frames, decoded.looked_at, order) for order in orders]))
    looks = [look for _, _, own in asked for look in own]
    if not looks:
        return
    began = time.perf_counter()
    answers = _ask(model, looks)
    share = (time.perf_counter() - began) / len(asked)
    replies = iter(answers)
    for search, orders, own in asked:
        search.seconds["model"] += share
        given = [next(replies) for _ in own]
        failed = next((a for a in given if isinstance(a, str)), None)
        if failed is not None:
            search.error = failed
            continue
        turn = _turn(search.window, own[0].frames.times, orders, [a for a in given if isinstance(a, Answer)])
        search.turns.append(turn)
        search.window = sub_window(turn.choice, search.window)


def _look(search: Search, frames: Frames, looked_at: Sequence[float], order: Sequence[Choice]) -> Look:
    options = tuple(option_lines([OPTION_TEXT[choice] for choice in order]))
    times = [t - search.window.start for t in looked_at]
    return Look(
        video=search.source.key,
        duration=search.source.duration,
        window=search.window,
        frames=frames,
        query=search.request.query,
        prompt=grounding_prompt(search.request.query, options, times),
        options=options,
        choices=tuple(order),
    )


def _ask(model: VideoLanguageModel, looks: Sequence[Look]) -> list[Answer | str]:
    """The answers; an error's text in place of an answer that can't be had, without harm to the rest of the batch."""
    try:
        return list(answer(model, looks))
    except ModelError as error:
        if len(looks) == 1:
            return [str(error)]
    return [reply for look in looks for reply in _ask(model, [look])]


def _turn(
    window: Span, times: tuple[float, ...], orders: Sequence[Sequence[Choice]], answers: Sequence[Answer]
) -> Turn:
    """Average the answers over the option orders. A single unreadable reply means "throughout" (quirk I2)."""
    shown = tuple(orders[0])
    if len(answers) == 1:
        index = answers[0].index
        choice = Choice.THROUGHOUT if index is None else shown[index]
        return Turn(window, times, shown, tuple(answers[0].log_probs), choice, answers[0].reply)
    mean = {
        choice: sum(
            math.exp(reply.log_probs[list(order).index(choice)]) for order, reply in zip(orders, answers, strict=True)
        )
        / len(answers)
        for choice in shown
    }
    log_probs = tuple(math.log(max(mean[choice], 1e-30)) for choice in shown)
    return Turn(window, times, shown, log_probs, max(shown, key=lambda choice: mean[choice]), answers[0].reply)


def rank_spans(turns: Sequence[Turn], top_k: int) -> tuple[tuple[ScoredSpan, ...], float]:
    """The span that was found and the roads not taken, by the probability of the whole path to each; and the confidence.

    Confidence is the geometric mean of the probabilities of the choices made, so that it does not fall with every turn.
    """
    path, chosen_log, roads = 1.0, 0.0, []
    for turn in turns:
        probability = {c: math.exp(lp) for c, lp in zip(turn.options, turn.log_probs, strict=True)}
        for choice, p in probability.items():
            if choice is not turn.choice:
                roads.append((sub_window(choice, turn.window), path * p))
        path *= probability[turn.choice]
        chosen_log += math.log(max(probability[turn.choice], 1e-30))
    final = sub_window(turns[-1].choice, turns[-1].window)
    others = non_maximum_suppression(roads, MAX_SPAN_OVERLAP)
    kept = [(span, score) for span, score in others if span.iou(final) <= MAX_SPAN_OVERLAP]
    ranked = [(final, path), *kept][:top_k]
    return tuple(ScoredSpan(span, score) for span, score in ranked), math.exp(chosen_log / len(turns))
