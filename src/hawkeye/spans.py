"""A stretch of time, in float seconds: the one value everything else is about. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """``[start, end]`` in seconds. A plain tuple: it unpacks, compares and goes into JSON as ``[start, end]``."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """In seconds."""
        return self.end - self.start

    @property
    def center(self) -> float:
        """The moment halfway."""
        return (self.start + self.end) / 2

    def is_valid(self) -> bool:
        """Whether it has a positive length and does not start before zero (NaN is never valid)."""
        return 0 <= self.start < self.end < float("inf")

    def intersection(self, other: tuple[float, float]) -> float:
        """Seconds shared with ``other`` (0 if apart)."""
        return max(0.0, min(self.end, other[1]) - max(self.start, other[0]))

    def iou(self, other: tuple[float, float]) -> float:
        """Intersection over union, 0 to 1. Two empty spans share nothing: 0."""
        shared = self.intersection(other)
        union = self.length + (other[1] - other[0]) - shared
        return shared / union if union > 0 else 0.0

    def iop(self, other: tuple[float, float]) -> float:
        """Intersection over *this* (the predicted) span, as NExT-GQA counts it."""
        return self.intersection(other) / self.length if self.length > 0 else 0.0

    def clamp(self, low: float, high: float) -> Span:
        """The part inside ``[low, high]``; an empty span at the nearer border when there is none."""
        return Span(min(max(self.start, low), high), min(max(self.end, low), high))

    def shift(self, seconds: float) -> Span:
        """The same length, so many seconds later."""
        return Span(self.start + seconds, self.end + seconds)


def merge_overlapping(spans: Iterable[tuple[float, float]], gap: float = 0.0) -> list[Span]:
    """The union of ``spans`` as sorted spans, joining those at most ``gap`` seconds apart."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1].end + gap:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Span(start, end))
    return merged


def non_maximum_suppression(
    scored: Iterable[tuple[Span, float]], max_iou: float = 0.7, top_k: int | None = None
) -> list[tuple[Span, float]]:
    """Spans by falling score, without those that overlap an earlier one by more than ``max_iou``."""
    kept: list[tuple[Span, float]] = []
    for span, score in sorted(scored, key=lambda item: -item[1]):
        if top_k is not None and len(kept) >= top_k:
            break
        if all(span.iou(other) <= max_iou for other, _ in kept):
            kept.append((span, score))
    return kept
