"""Charades-STA: lines of ``VIDEO START END##sentence``. Sentences lose every full stop, as in the reference (quirk 48)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from hawkeye.datasets.captions import without_stops
from hawkeye.datasets.reading import Reading, Row, pick_files
from hawkeye.errors import AnnotationError
from hawkeye.records import GroundingExample

LINE = re.compile(r"(\S+) (\S+) (\S+?)##(.*)")


def read(
    reading: Reading, annotations: Path, lengths: str | Path | None = None, split: str = "test"
) -> list[GroundingExample]:
    """``annotations``: the text file, or a folder with ``charades_sta_SPLIT.txt``.

    ``lengths``: JSON object of video id -> seconds; ``video_lengths.json`` beside the text file is taken if there.
    """
    (path,) = pick_files(annotations, [f"charades_sta_{split}.txt"], "Charades-STA file")[:1]
    beside = path.parent / "video_lengths.json"
    lengths = lengths or (beside if beside.is_file() else None)
    durations = reading.table(lengths) if lengths else None
    seen: Counter[str] = Counter()
    examples = []
    for where, line in reading.lines(path):
        found = LINE.fullmatch(line)
        if not found:
            raise AnnotationError(f"{where}: expected 'VIDEO START END##sentence', got {line[:60]!r}")
        row = Row(where, dict(zip(("video", "start", "end", "sentence"), found.groups(), strict=True)))
        video = row.name("video")
        number, seen[video] = seen[video], seen[video] + 1
        duration = durations.number(video) if durations and video in durations.values else None
        query = without_stops(row.text("sentence"))
        if not query:
            reading.dropped["empty query"] += 1
            continue
        span = reading.span(row.number("start"), row.number("end"), duration)
        if span:
            examples.append(GroundingExample(f"{video}#{number}", f"{video}.mp4", query, (span,), duration))
    return examples
