"""Keep the captions that fit their segment well: those at or above the median fit of the whole input. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def keep_threshold(scores: Iterable[float], quantile: float = 0.5) -> float:
    """The fit from which a caption is kept: a quantile over all input, the median by default (quirk 37).

    No scores: minus infinity.
    """
    values = np.fromiter(scores, dtype=np.float64)
    return float(np.quantile(values, quantile)) if len(values) else float("-inf")


def filter_captions(rows: Iterable[dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Rows ``{video_fname, start_sec, end_sec, caption, clip_sim}`` -> one row ``{..., captions}`` a segment.

    Segments come in the order in which their first kept caption comes, captions likewise and without repeats; a segment
    met again later adds to its row (the reference starts a second one).
    """
    kept: dict[tuple[str, float, float], dict[str, Any]] = {}
    for row in rows:
        if row["clip_sim"] < threshold:
            continue
        key = (row["video_fname"], row["start_sec"], row["end_sec"])
        segment = kept.setdefault(
            key, dict(zip(("video_fname", "start_sec", "end_sec"), key, strict=True)) | {"captions": []}
        )
        if row["caption"] not in segment["captions"]:
            segment["captions"].append(row["caption"])
    return list(kept.values())
