"""From cut times to scenes. Where the cuts come from is in `detectors`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

Scene = list[float]  # [start, end] in seconds, three decimals


def scenes_from_cuts(cuts: Iterable[float], duration: float, min_secs: float = 0.5) -> list[Scene]:
    """The stretches between cuts, without those shorter than ``min_secs``; a video without cuts is one scene.

    The reference drops a video without cuts (quirk 34).
    """
    borders = [0.0, *sorted(cut for cut in set(cuts) if 0 < cut < duration), duration]
    return [[round(start, 3), round(end, 3)] for start, end in pairwise(borders) if end - start >= min_secs]


def rounded(value: Any, decimals: int = 3) -> Any:
    """``value`` with every number in it, at any depth, rounded; other things as they are."""
    if isinstance(value, list):
        return [rounded(item, decimals) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item, decimals) for key, item in value.items()}
    return round(value, decimals) if isinstance(value, int | float) else value
