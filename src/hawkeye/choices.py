"""The four answers of recursive grounding: their text, the sub-window each names, and how a reply is read.

Source: HawkEye paper, section 3 (recursive grounding); reference ``tasks/test_recursive_grounding.py:425-465``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from hawkeye.spans import Span


class Choice(StrEnum):
    BEGINNING = "beginning"
    MIDDLE = "middle"
    END = "end"
    THROUGHOUT = "throughout"


OPTION_TEXT: dict[Choice, str] = {
    Choice.BEGINNING: "At the beginning of the video.",
    Choice.MIDDLE: "In the middle of the video.",
    Choice.END: "At the end of the video.",
    Choice.THROUGHOUT: "Throughout the entire video.",
}

LabelRule = Literal["geometric", "lookahead"]


def sub_window(choice: Choice | str, window: tuple[float, float]) -> Span:
    """The part of ``window`` (seconds) that ``choice`` names: first half, middle half, last half, or all of it."""
    start, end = window
    length = end - start
    match Choice(choice):
        case Choice.BEGINNING:
            return Span(start, start + length / 2)
        case Choice.MIDDLE:
            return Span(start + length / 4, end - length / 4)
        case Choice.END:
            return Span(end - length / 2, end)
        case Choice.THROUGHOUT:
            return Span(start, end)


def shuffled(seed: int, item: str, turn: int, order: int = 0) -> list[Choice]:
    """The four choices in a random order that depends on nothing but the arguments."""
    choices = list(Choice)
    random.Random(f"{seed}\n{item}\n{turn}\n{order}").shuffle(choices)
    return choices


def letter(index: int) -> str:
    """0 -> ``A``; 26 and above -> ``AA`` and so on, as in a spreadsheet."""
    name = ""
    while index >= 0:
        name = chr(ord("A") + index % 26) + name
        index = index // 26 - 1
    return name


def option_lines(texts: Sequence[str]) -> list[str]:
    """``["(A) first", "(B) second", ...]``, the way every option is shown to a model."""
    return [f"({letter(i)}) {text}" for i, text in enumerate(texts)]


def read_reply(reply: str, options: Sequence[str], lenient: bool = False) -> int | None:
    """Which of the lettered ``options`` a whole reply (with its opening bracket) names; None if none.

    Strict, as the reference scores (``test_recursive_grounding.py:450``): the reply must start with a whole option line,
    upper or lower case. Lenient also takes a letter on its own (``(B)``, ``B.``, ``B``) or an option's text without its letter.
    """
    cleaned = reply.strip().lower()
    for i, option in enumerate(options):
        if cleaned.startswith(option.strip().lower()):  # some options of TVQA end with a blank
            return i
    if not lenient:
        return None
    found = re.match(r"\(?\s*([a-z]{1,2})\s*(?:[).:,]|$)", cleaned)
    if found:
        for i, option in enumerate(options):
            if option.lower().startswith(f"({found[1]})"):
                return i
    bodies = [option.split(") ", 1)[-1].lower().rstrip(". ") for option in options]
    named = [i for i, body in enumerate(bodies) if body and body in cleaned]
    return named[0] if len(named) == 1 else None


def geometric_choice(span: tuple[float, float], window: tuple[float, float]) -> Choice:
    """The label by position: ends before the midpoint, starts after it, shorter than half the window, or throughout."""
    middle = (window[0] + window[1]) / 2
    if span[1] <= middle:
        return Choice.BEGINNING
    if span[0] >= middle:
        return Choice.END
    if span[1] - span[0] < (window[1] - window[0]) / 2:
        return Choice.MIDDLE
    return Choice.THROUGHOUT


def best_reachable(span: tuple[float, float], window: tuple[float, float], turns: int) -> tuple[float, Choice]:
    """The highest IoU with ``span`` that ``turns`` perfect choices can still reach, and the first of those choices."""
    best, first = Span(*window).iou(span), Choice.THROUGHOUT
    if turns > 0:
        for choice in (Choice.BEGINNING, Choice.MIDDLE, Choice.END):
            reached, _ = best_reachable(span, sub_window(choice, window), turns - 1)
            if reached > best:
                best, first = reached, choice
    return best, first


def right_choice(
    span: tuple[float, float], window: tuple[float, float], rule: LabelRule = "geometric", turns_left: int = 4
) -> Choice:
    """The choice a perfect model would make about ``span`` when it looks at ``window``."""
    return geometric_choice(span, window) if rule == "geometric" else best_reachable(span, window, turns_left)[1]
