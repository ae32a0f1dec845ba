"""One's own queries, as JSON lines (or a JSON list): ``{"video", "query", "span" or "spans", "duration", "id"}``.

Also read are the rows that other tools write: ``start``/``end``, a ``timestamp`` pair, ``sentence``, ``question`` or ``caption``
for the query, ``vid`` or ``video_id`` for the video, and rows without any span (queries to run, not to score).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hawkeye.datasets.reading import Reading, Row
from hawkeye.records import GroundingExample
from hawkeye.spans import Span

VIDEO_KEYS = ("video", "video_path", "vid", "video_id")
QUERY_KEYS = ("query", "sentence", "question", "caption")
SPAN_KEYS = ("spans", "span", "timestamps", "timestamp", "relevant_windows", "answer")
USED = {*VIDEO_KEYS, *QUERY_KEYS, *SPAN_KEYS, "start", "end", "id", "qid", "duration"}


def first_key(row: Row, keys: tuple[str, ...], what: str) -> str:
    """The first of ``keys`` that the row has. Raises AnnotationError."""
    for key in keys:
        if key in row.values:
            return key
    raise row.error(f"expected the {what} in one of {', '.join(keys)}; found {', '.join(row.values) or 'nothing'}")


def read(reading: Reading, annotations: Path) -> list[GroundingExample]:
    """Rows without a span stay, with ``spans`` empty; a row all of whose spans are broken is dropped."""
    seen: Counter[str] = Counter()
    examples = []
    for row in reading.records(annotations):
        video = row.name(first_key(row, VIDEO_KEYS, "video"))
        query = " ".join(row.text(first_key(row, QUERY_KEYS, "query")).split())
        number, seen[video] = seen[video], seen[video] + 1
        duration = row.number("duration") if row.values.get("duration") is not None else None
        pairs = _pairs(row)
        spans = tuple(span for pair in pairs if (span := reading.span(*pair, duration)))
        if not query:
            reading.dropped["empty query"] += 1
        elif spans or not pairs:
            named = next(
                (row.text(key) for key in ("id", "qid") if row.values.get(key) is not None), f"{video}#{number}"
            )
            extra = {key: value for key, value in row.values.items() if key not in USED}
            examples.append(GroundingExample(named, video, query, spans, duration, extra))
    return examples


def _pairs(row: Row) -> list[tuple[float, float]]:
    for key in SPAN_KEYS:
        if row.values.get(key) is not None:
            return row.pairs(key)
    if "start" in row.values or "end" in row.values:
        return [Span(row.number("start"), row.number("end"))]
    return []
