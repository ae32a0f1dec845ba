"""Free text -> a span or an option. What a model says counts only if it says it: an empty reply names nothing.

Recursion's own replies are read by `hawkeye.choices.read_reply`; this file reads what other tools' models write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = r"\d+(?:\.\d+)?"
CLOCK = rf"(?:\d+:)?\d{{1,2}}:\d{{2}}(?:\.\d+)?|{NUMBER}"
RANGE = re.compile(rf"({CLOCK})\s*(?:s|secs?|seconds?)?\s*(?:-|–|—|~|to|and|until)\s*({CLOCK})", re.IGNORECASE)
START = re.compile(rf"\b(?:start|begin)[a-z]*\b\D{{0,30}}?({CLOCK})", re.IGNORECASE)
END = re.compile(rf"\b(?:end|finish|stop)[a-z]*\b\D{{0,30}}?({CLOCK})", re.IGNORECASE)
PERCENT = re.compile(r"(\d{2}) (?:to|and) (\d{2})")
LETTER = re.compile(r"\(?\s*([A-Za-z])\s*(?:[).:,]+|$)")
BARE_LETTER = re.compile(r"([A-Z])\s")
ARTICLE = re.compile(r"[AI]\s+[a-z]")

Pair = tuple[float, float]


def read_span(text: str) -> Pair | None:
    """The first span in seconds that a text names: "12.5 - 20 s", "from 0:12 to 0:20", "starts at 3 ... ends at 7"."""
    found = RANGE.search(text)
    if found:
        return _seconds(found[1]), _seconds(found[2])
    start, end = START.search(text), END.search(text)
    return (_seconds(start[1]), _seconds(end[1])) if start and end else None


def read_percent_span(text: str) -> Pair | None:
    """VTimeLLM's "from 12 to 34": two-digit shares of the video (``vtimellm/eval/eval.py`` ``iou``)."""
    found = PERCENT.search(text)
    return (int(found[1]) / 100, int(found[2]) / 100) if found else None


def read_decimal_span(text: str) -> Pair | None:
    """The first two decimals, as the reference reads "From second 3.0 to second 7.5." (``tasks/test.py`` ``check_ans``)."""
    found = re.findall(r"\d+\.\d+", text)[:2]
    return (float(found[0]), float(found[1])) if len(found) == 2 else None


def read_frame_span(text: str, duration: float, num_frames: int) -> Pair | None:
    """The first two whole numbers as frame numbers: "From frame 2 to frame 5." covers both frames. Same source."""
    found = [min(int(number), num_frames) for number in re.findall(r"\d+", text)[:2]]
    return (found[0] / num_frames * duration, (found[1] + 1) / num_frames * duration) if len(found) == 2 else None


def _seconds(text: str) -> float:
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def read_letter(text: str) -> int | None:
    """The option whose letter a reply begins with: "(B) ...", "B.", "b", "B is right" -> 1. None if it begins otherwise."""
    text = text.strip()
    found = LETTER.match(text) or (None if ARTICLE.match(text) else BARE_LETTER.match(text))
    return ord(found[1].upper()) - ord("A") if found else None


def read_option(text: str, options: Sequence[str] = ()) -> int | None:
    """The option that a reply names by its letter, or else by its words alone; None if it names none or several."""
    letter = read_letter(text)
    if letter is not None:
        return letter if not options or letter < len(options) else None
    said = text.strip().lower()
    bodies = [option.strip().lower().rstrip(". ") for option in options]
    named = [i for i, body in enumerate(bodies) if body and body in said]
    return named[0] if len(named) == 1 else None
