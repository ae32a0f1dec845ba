"""ActivityNet-Captions: ``{video: {duration, timestamps, sentences}}``. val_1 and val_2 are two annotators' words on the
same videos; read together, each sentence is a query of its own (quirk 49), videos in the order of the first file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hawkeye.datasets.captions import without_last_stop, without_stops
from hawkeye.datasets.reading import Reading, Row, pick_files
from hawkeye.records import GroundingExample

FILES = {
    "val": ["val_1.json", "val_2.json"],
    "val_1": ["val_1.json"],
    "val_2": ["val_2.json"],
    "train": ["train*.json"],
}


def read(reading: Reading, annotations: list[Path], split: str = "val") -> list[GroundingExample]:
    """``annotations``: one or several files, or a folder with the official names of ``split`` (val, val_1, val_2, train).

    ``split=train`` also takes only the last full stop of a sentence, where the test files lose all (quirk 48).
    """
    names = FILES.get(split, [f"{split}.json"])
    paths = [
        path for given in annotations for path in pick_files(given, names, "ActivityNet-Captions file")[: len(names)]
    ]
    clean = without_last_stop if split == "train" else without_stops
    tables = {path: reading.table(path) for path in paths}
    videos = dict.fromkeys(video for table in tables.values() for video in table.values)
    return [
        example
        for video in videos
        for path, table in tables.items()
        if video in table.values
        for example in _of_video(reading, table.inside(video), path.stem, video, clean)
    ]


def _of_video(
    reading: Reading, row: Row, source: str, video: str, clean: Callable[[str], str]
) -> list[GroundingExample]:
    duration, pairs, sentences = row.number("duration"), row.pairs("timestamps"), row.texts("sentences")
    if len(pairs) != len(sentences):
        raise row.error(f"has {len(pairs)} timestamps and {len(sentences)} sentences: expected as many of both")
    examples = []
    for number, (pair, sentence) in enumerate(zip(pairs, sentences, strict=True)):
        query = clean(sentence)
        if not query:
            reading.dropped["empty query"] += 1
        elif span := reading.span(*pair, duration):
            examples.append(GroundingExample(f"{source}:{video}#{number}", video, query, (span,), duration))
    return examples
