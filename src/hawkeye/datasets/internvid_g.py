"""InternVid-G: JSON lines of captioned segments, each with its context: the stretch that holds no similar other segment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hawkeye.datasets.captions import as_title
from hawkeye.datasets.reading import Reading
from hawkeye.records import GroundingExample


def read(reading: Reading, annotations: Path) -> list[GroundingExample]:
    """Rows ``{video, duration, start_sec, end_sec, neg_start_sec, neg_end_sec, caption}``; the context is ``extra["context"]``.

    Empty captions (quirk 50), and rows whose context does not hold their segment, are dropped and counted.
    """
    seen: Counter[str] = Counter()
    examples = []
    for row in reading.records(annotations):
        video, duration, query = row.name("video"), row.number("duration"), as_title(row.text("caption"))
        number, seen[video] = seen[video], seen[video] + 1
        context = [row.number("neg_start_sec"), row.number("neg_end_sec")]
        if not query:
            reading.dropped["empty query"] += 1
        elif span := reading.span(row.number("start_sec"), row.number("end_sec"), duration):
            if not context[0] <= span.start < span.end <= context[1]:
                reading.dropped["context does not hold the span"] += 1
                continue
            extra = {"context": context}
            examples.append(GroundingExample(f"{video}#{number}", video, query, (span,), duration, extra))
    return examples
