"""QVHighlights: JSON lines ``{qid, query, duration, vid, relevant_windows}``. A query has one or several true spans."""

from __future__ import annotations

from pathlib import Path

from hawkeye.datasets.reading import Reading, pick_files
from hawkeye.records import GroundingExample


def read(reading: Reading, annotations: Path, split: str = "val") -> list[GroundingExample]:
    """``annotations``: the file, or a folder with ``highlight_SPLIT_release.jsonl``. The test split has no spans."""
    (path,) = pick_files(annotations, [f"highlight_{split}_release.jsonl"], "QVHighlights file")[:1]
    examples = []
    for row in reading.records(path):
        duration, query, video = row.number("duration"), row.text("query").strip(), row.name("vid")
        pairs = row.pairs("relevant_windows") if "relevant_windows" in row.values else []
        spans = tuple(span for pair in pairs if (span := reading.span(*pair, duration)))
        if not query:
            reading.dropped["empty query"] += 1
        elif spans or not pairs:
            extra = {"qid": row.integer("qid"), "vid": video}
            examples.append(GroundingExample(row.name("qid"), f"{video}.mp4", query, spans, duration, extra))
    return examples
