"""What a finished data set looks like in numbers. Reads ``final_dataset.jsonl`` alone, so it takes the published one as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.errors import AnnotationError
from hawkeye.pipeline.rows import what_is_wrong
from hawkeye.records import read_jsonl

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FIELDS = ("video", "duration", "start_sec", "end_sec", "neg_start_sec", "neg_end_sec", "caption")


def dataset_stats(path: str | Path) -> dict[str, Any]:
    """Counts, and quantiles (5, 25, 50, 75, 95 %) of lengths in seconds. Raises AnnotationError."""
    rows = list(read_jsonl(path))
    for number, row in enumerate(rows, 1):
        missing = [field for field in FIELDS if field not in row]
        if missing:
            raise AnnotationError(f"{path}, row {number}: lacks {', '.join(missing)}")
    wrong = Counter((what_is_wrong(row) or "").split(":")[0] for row in rows)
    wrong.pop("", None)
    per_video = Counter(row["video"] for row in rows)
    words = [len(row["caption"].split()) for row in rows]
    spans = [row["end_sec"] - row["start_sec"] for row in rows]
    negatives = [row["neg_end_sec"] - row["neg_start_sec"] for row in rows]
    return {
        "rows": len(rows),
        "videos": len(per_video),
        "different_captions": len({row["caption"] for row in rows}),
        "wrong_rows": dict(wrong),
        "rows_per_video": _quantiles(list(per_video.values())),
        "words_per_caption": _quantiles(words),
        "span_seconds": _quantiles(spans),
        "negative_span_seconds": _quantiles(negatives),
        "span_share_of_negative_span": _quantiles([s / n for s, n in zip(spans, negatives, strict=True) if n > 0]),
        "negative_span_share_of_video": _quantiles(
            [n / row["duration"] for n, row in zip(negatives, rows, strict=True) if row["duration"] > 0]
        ),
        "negative_span_is_whole_video": sum(n >= row["duration"] for n, row in zip(negatives, rows, strict=True)),
    }


def _quantiles(values: Sequence[float]) -> list[float]:
    return np.quantile(values, QUANTILES).round(3).tolist() if values else []
