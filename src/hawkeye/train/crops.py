"""Time-aware crops: which part of a video is shown in training, and what is then true about the annotated span.

For an answer in words the wanted choice is drawn first, then a window that makes it true; for an answer in numbers the
window's length is drawn first, then its place. Each annotated span comes with its *context*: the stretch of the video
that holds no other moment like it, and that a window must not leave.

Source: HawkEye paper section 4.1; reference ``dataset/it_dataset.py:241-325``. With the defaults of `CropRules` the same
seed gives the reference's windows bit by bit; a span that sticks out of its context is clamped first (quirk 16).
Nothing is read or decoded here, and no global random state is touched.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from hawkeye.choices import Choice, best_reachable
from hawkeye.config import Config
from hawkeye.errors import AnnotationError
from hawkeye.spans import Span

MAX_DRAWS = 10
WEIGHTS = {Choice.BEGINNING: 2.0, Choice.END: 2.0, Choice.MIDDLE: 2.0, Choice.THROUGHOUT: 0.3}


class CropRules(Config):
    """How windows are drawn. The defaults are the paper's way; the alternatives mend what the comments name."""

    random: bool = True  # False: always show the whole context
    min_frames: float = Field(
        default=1, ge=0
    )  # the span should fill at least this many frames, or it may not be seen at all
    max_frames: float | None = Field(
        default=None, gt=0
    )  # and for answers in numbers at most this many; None: half of them
    # "redraw" takes a new choice with each new try, so that labels of short spans drift to "throughout" (quirk 12).
    on_retry: Literal["redraw", "keep"] = "redraw"
    # "loose" only asks for half a span of context on both sides, so that the middle half kept at inference may cut the
    # span; "inside" keeps the span inside that half (quirk 13).
    middle: Literal["loose", "inside"] = "loose"
    # "drawn" answers with the choice that was drawn; "lookahead" with the one from which the highest IoU is reachable.
    labels: Literal["drawn", "lookahead"] = "drawn"
    turns: int = Field(default=3, ge=1, le=8)  # turns left, for lookahead labels


@dataclass(frozen=True)
class Crop:
    """``window`` is what is shown and ``span`` the (clamped) annotated span, in seconds of the video."""

    window: Span
    span: Span
    choice: Choice | None = None  # the right answer, for answers in words

    @property
    def seconds(self) -> Span:
        """The span as it appears in the window: seconds from the window's start."""
        return self.span.shift(-self.window.start)

    def frames(self, num_frames: int) -> tuple[int, int]:
        """Numbers of the first and last of ``num_frames`` evenly spread frames that show the span."""

        def number(seconds: float) -> int:
            position = min(max((seconds - self.window.start) / self.window.length, 0.0), 1.0)
            return min(num_frames - 1, math.floor(position * num_frames))

        return number(self.span.start), number(self.span.end)


def _require_length(inside: Span, span: tuple[float, float], context: tuple[float, float]) -> None:
    if not inside.length > 0:
        raise AnnotationError(f"span {list(span)} has no length inside its context {list(context)}: drop this row")


def feasible_choices(span: Span, context: Span) -> list[Choice]:
    """The choices that some window inside ``context`` makes true about ``span``."""
    before, after = span.start - context.start, context.end - span.end
    possible = {
        Choice.BEGINNING: after > span.length,
        Choice.END: before > span.length,
        Choice.MIDDLE: before > span.length / 2 and after > span.length / 2,
        Choice.THROUGHOUT: True,
    }
    return [choice for choice, there in possible.items() if there]


def crop_for_choice(
    span: tuple[float, float], context: tuple[float, float], rules: CropRules, num_frames: int, rng: random.Random
) -> Crop:
    """A crop for an answer in words: one of the four choices. Raises AnnotationError for an empty span."""
    inside, room = Span(*span).clamp(*context), Span(*context)
    if not rules.random:
        return Crop(room, inside, _label(inside, room, _choice_in_whole_context(inside, room), rules))
    _require_length(inside, span, context)
    options = feasible_choices(inside, room)
    longest = math.inf if rules.min_frames == 0 else inside.length / (rules.min_frames / num_frames)
    choice, window = None, room
    for _ in range(MAX_DRAWS):
        if choice is None or rules.on_retry == "redraw":
            choice = rng.choices(options, weights=[WEIGHTS[option] for option in options])[0]
        window = _window_for(choice, inside, room, rules, rng)
        if window.length < longest:
            break
    assert choice is not None
    return Crop(window, inside, _label(inside, window, choice, rules))


def crop_for_numbers(
    span: tuple[float, float], context: tuple[float, float], rules: CropRules, num_frames: int, rng: random.Random
) -> Crop:
    """A crop for an answer in seconds or frame numbers. Raises AnnotationError for an empty span."""
    inside, room = Span(*span).clamp(*context), Span(*context)
    if not rules.random:
        return Crop(room, inside)
    _require_length(inside, span, context)
    most = max(1, num_frames // 2) if rules.max_frames is None else rules.max_frames
    longest = math.inf if rules.min_frames == 0 else inside.length / (rules.min_frames / num_frames)
    shortest = inside.length / (most / num_frames)
    length = rng.uniform(min(shortest, room.length), min(longest, room.length))
    center = rng.uniform(
        max(inside.end - length / 2, room.start + length / 2), min(inside.start + length / 2, room.end - length / 2)
    )
    return Crop(Span(center - length / 2, center + length / 2), inside)


def _window_for(choice: Choice, span: Span, room: Span, rules: CropRules, rng: random.Random) -> Span:
    """One draw of a window inside ``room`` in which ``choice`` is true about ``span``."""
    # The order of the draws and of the terms is the reference's, so that equal seeds give equal bits.
    match choice:
        case Choice.BEGINNING:  # the span ends before the window's midpoint
            end = rng.uniform(span.end + span.length, room.end)
            start = rng.uniform(max(room.start, 2 * span.end - end), span.start)
        case Choice.END:  # the span starts after the window's midpoint
            start = rng.uniform(room.start, span.start - span.length)
            end = rng.uniform(span.end, min(room.end, 2 * span.start - start))
        case Choice.MIDDLE:
            return _middle_window(span, room, rules, rng)
        case Choice.THROUGHOUT:  # at most half a span of context on either side
            start = rng.uniform(max(room.start, (3 * span.start - span.end) / 2), span.start)
            end = rng.uniform(span.end, min(room.end, (3 * span.end - span.start) / 2))
    return Span(start, end)


def _middle_window(span: Span, room: Span, rules: CropRules, rng: random.Random) -> Span:
    """A window whose midpoint lies in the span: its centre is drawn first, then half its length."""
    if rules.middle == "inside":  # half of the half length must reach the span's farther border
        low = max(span.start, (room.start + 2 * span.end) / 3, 2 * span.end - room.end)
        high = min(span.end, (room.end + 2 * span.start) / 3, 2 * span.start - room.start)
    else:  # half a span beyond the span's farther border
        low = max(span.start, room.start * 0.5 + span.end * 0.75 - span.start * 0.25)
        high = min(span.end, room.end * 0.5 + span.start * 0.75 - span.end * 0.25)
    center = rng.uniform(low, high)
    reach = max(center - span.start, span.end - center)
    shortest = 2 * reach if rules.middle == "inside" else span.length / 2 + reach
    half = rng.uniform(shortest, min(center - room.start, room.end - center))
    return Span(center - half, center + half)


def _choice_in_whole_context(span: Span, window: Span) -> Choice:
    """The rule without cropping: a border that touches the midpoint counts as crossing it (quirk 14)."""
    middle = (window.end + window.start) / 2
    if span.end < middle:
        return Choice.BEGINNING
    if span.start > middle:
        return Choice.END
    return Choice.MIDDLE if span.length < window.length / 2 else Choice.THROUGHOUT


def _label(span: Span, window: Span, drawn: Choice, rules: CropRules) -> Choice:
    return best_reachable(span, window, rules.turns)[1] if rules.labels == "lookahead" else drawn
