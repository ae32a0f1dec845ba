"""TimeLens-Bench (arXiv 2512.14698): ``{video: {duration, spans, queries}}``, one span for each query.

Its training sister TimeLens-100K is read as well: JSON lines ``{video_path, duration, events: [{query, span}]}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hawkeye.datasets.reading import Reading
from hawkeye.records import GroundingExample


def read(reading: Reading, annotations: Path) -> list[GroundingExample]:
    """Queries lose outer blanks and stops, as TimeLens' own reader does."""
    rows = _training_rows if annotations.suffix == ".jsonl" else _bench_rows
    examples = []
    for video, number, query, pairs, duration in rows(reading, annotations):
        query = " ".join(query.split()).strip(".").strip()
        spans = tuple(span for pair in pairs if (span := reading.span(*pair, duration)))
        if not query:
            reading.dropped["empty query"] += 1
        elif spans:
            examples.append(GroundingExample(f"{video}#{number}", video, query, spans, duration))
    return examples


Found = Iterator[tuple[str, int, str, list[tuple[float, float]], float]]


def _bench_rows(reading: Reading, path: Path) -> Found:
    table = reading.table(path)
    for video in table.values:
        row = table.inside(video)
        pairs, queries, duration = row.pairs("spans"), row.texts("queries"), row.number("duration")
        if len(pairs) != len(queries):
            raise row.error(f"has {len(pairs)} spans and {len(queries)} queries: expected as many of both")
        for number, (pair, query) in enumerate(zip(pairs, queries, strict=True)):
            yield video, number, query, [pair], duration


def _training_rows(reading: Reading, path: Path) -> Found:
    for row in reading.records(path):
        for number, event in enumerate(row.rows("events")):
            yield row.name("video_path"), number, event.text("query"), event.pairs("span"), row.number("duration")
