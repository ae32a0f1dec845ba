"""TVQA (JSON lines) and TVQA+ (a JSON list): questions about a stretch of a TV clip that is stored as pictures, 3 a second."""

from __future__ import annotations

import math
from pathlib import Path

from hawkeye.datasets.reading import Reading, Row
from hawkeye.records import QAExample
from hawkeye.spans import Span

FPS = 3.0
BIG_BANG = "The Big Bang Theory"
FOLDERS = {
    BIG_BANG: "bbt",
    "Castle": "castle",
    "Friends": "friends",
    "Grey's Anatomy": "grey",
    "House M.D.": "house",
    "How I Met You Mother": "met",  # so it stands in the data (quirk 52)
}


def read(reading: Reading, annotations: Path) -> list[QAExample]:
    """Rows without usable time stamps (``nan-nan``) are about the whole clip; test rows have no answer.

    Options keep the blanks that some end with. A row without ``show_name`` is TVQA+, which knows one show.
    """
    examples = []
    for row in reading.records(annotations):
        show = row.text("show_name") if "show_name" in row.values else BIG_BANG
        if show not in FOLDERS:
            raise row.error(f"show {show!r} is unknown: expected one of {', '.join(FOLDERS)}")
        options = tuple(row.text(f"a{i}") for i in range(5))
        answer = row.integer("answer_idx") if row.values.get("answer_idx") is not None else None
        if answer is not None and not 0 <= answer < len(options):
            raise row.error(f"expected the number of an option, 0 to 4, in 'answer_idx', got {answer}")
        examples.append(
            QAExample(
                id=row.name("qid"),
                video=f"{FOLDERS[show]}_frames/{row.name('vid_name')}",
                question=row.text("q"),
                options=options,
                answer=answer,
                window=_window(reading, row),
                task=show,
                extra={"qid": row.integer("qid"), "fps": FPS},
            )
        )
    return examples


def _window(reading: Reading, row: Row) -> Span | None:
    stamps = row.get("ts")
    parts = stamps if isinstance(stamps, list) else str(stamps).split("-")
    try:
        start, end = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise row.error(f"expected START-END in 'ts', got {stamps!r}") from None
    if math.isnan(start) or math.isnan(end):
        reading.noted["no time stamps: whole video"] += 1
        return None
    return reading.window(start, end)
