"""Instruction data, as VideoChat2-IT and HawkEye-IT store it: a JSON list of ``{video or image, QA: [{i, q, a}]}``.

A temporal row also has ``start_sec``, ``end_sec`` and its context ``neg_start_sec``, ``neg_end_sec``. Its ``a`` (or ``q``, when
the caption is asked for) may be a list of ``[choice, text]`` in the order shown: the crop decides later which one is true.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hawkeye.choices import Choice
from hawkeye.datasets.reading import Reading, Row
from hawkeye.datasets.videos import stored_name
from hawkeye.records import InstructionExample
from hawkeye.spans import Span


def read(reading: Reading, annotations: Path, stored_as: str | None = None) -> list[InstructionExample]:
    """One example a row. A row with several temporal rounds gives one for each, as one crop can't suit two spans.

    Unusable spans are dropped and counted. ``extra["clip"]``: the ``[start, end]`` to show, if the row is about a part.
    ``stored_as``: the VideoChat2-IT set, such as ``caption_webvid``, whose videos lie under other names than the file uses.
    """
    seen: Counter[str] = Counter()
    examples = []
    for row in reading.records(annotations):
        kind = "image" if "image" in row.values else "video"
        media = stored_name(row.name(kind), stored_as) if stored_as else row.name(kind)
        number, seen[media] = seen[media], seen[media] + 1
        duration = row.number("duration") if row.values.get("duration") is not None else None
        window = reading.window(row.number("start"), row.number("end")) if "start" in row.values else None
        extra = {"clip": list(window)} if window else {}
        rounds = row.rows("QA")
        temporal = [turn for turn in rounds if "start_sec" in turn.values]
        plain = tuple(_round(turn) for turn in rounds if "start_sec" not in turn.values)
        if not rounds:
            reading.dropped["no question and answer"] += 1
        elif not temporal:
            examples.append(InstructionExample(f"{media}#{number}", media, plain, kind, None, None, duration, extra))
        for place, turn in enumerate(temporal):
            span = reading.span(turn.number("start_sec"), turn.number("end_sec"), duration)
            if span:
                name = f"{media}#{number}" + (f".{place}" if place else "")
                said = (_round(turn), *plain) if place == 0 else (_round(turn),)
                examples.append(InstructionExample(name, media, said, kind, span, _context(turn), duration, extra))
    return examples


def _context(row: Row) -> Span | None:
    """The stretch that holds no similar other segment; None if the row doesn't tell."""
    if "neg_start_sec" not in row.values:
        return None
    return Span(row.number("neg_start_sec"), row.number("neg_end_sec"))


def _round(row: Row) -> dict[str, Any]:
    """``{"i", "q", "a"}``; only what is asked or answered may be a list of choices, and not both."""
    said = {key: _text_or_choices(row, key) for key in ("q", "a")}
    if isinstance(said["q"], list) and isinstance(said["a"], list):
        raise row.error("both 'q' and 'a' are lists of choices: expected one of them")
    return {"i": row.text("i") if "i" in row.values else "", **said}


def _text_or_choices(row: Row, key: str) -> str | list[list[str]]:
    value = row.get(key)
    if not isinstance(value, list):
        return row.text(key)
    if not value or not all(_is_choice(pair) for pair in value):
        raise row.error(f"expected text or [[choice, text], ...] in {key!r}, with choices {', '.join(Choice)}")
    return [list(pair) for pair in value]


def _is_choice(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and pair[0] in list(Choice) and isinstance(pair[1], str)
