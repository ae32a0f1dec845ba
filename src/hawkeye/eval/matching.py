"""Which prediction belongs to which annotated example: by id, by video and sentence, by number, or by position."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from hawkeye.errors import AnnotationError
from hawkeye.eval.predictions import Predicted, Predictions

MEDIA = {"mp4", "mkv", "webm", "avi", "mov", "m4v", "gif"}


@dataclass(frozen=True)
class Matched:
    """``rows``: the prediction of each example, or None. ``repeated`` and ``unknown``: rows that were left over."""

    rows: list[Predicted | None]
    by: str
    repeated: int = 0
    unknown: int = 0

    @property
    def missing(self) -> int:
        return sum(row is None for row in self.rows)


def match(examples: Sequence[Any], predictions: Predictions) -> Matched:
    """Give each of ``examples`` its prediction; the first one counts if there are several.

    Raises AnnotationError if not a single one belongs: most likely another data set's predictions.
    """
    rows = predictions.rows
    if all(row.id is not None for row in rows):
        found = _by_id(examples, rows)
    elif all(row.number is not None for row in rows):
        found = _by_number(examples, rows)
    elif _aligned(examples, rows):
        found = Matched([*rows, *[None] * (len(examples) - len(rows))], "position")
    else:
        found = _by_sentence(examples, rows)
    if found.missing == len(examples):
        raise AnnotationError(
            f"none of the {len(rows)} predictions (format {predictions.format}) belongs to one of the {len(examples)} "
            f"examples, compared by {found.by}: prediction {_shown(rows[0])}, example {_shown(examples[0])}; "
            "are these the annotations that were predicted on?"
        )
    return found


def _by_id(examples: Sequence[Any], rows: Sequence[Predicted]) -> Matched:
    places = {example.id: i for i, example in enumerate(examples)}
    return _assign(len(examples), [places.get(row.id) for row in rows], rows, "id")


def _by_number(examples: Sequence[Any], rows: Sequence[Predicted]) -> Matched:
    """The n-th sentence of a video is the n-th example about it."""
    seen: dict[str, int] = {}
    places: dict[Hashable, int] = {}
    for i, example in enumerate(examples):
        number = seen[example.video] = seen.get(example.video, -1) + 1
        places[_stem(example.video), number] = i
    found = [places.get((_stem(row.video), row.number)) for row in rows]
    return _assign(len(examples), found, rows, "number")


def _by_sentence(examples: Sequence[Any], rows: Sequence[Predicted]) -> Matched:
    """Equal sentences about one video are told apart by the true span, or taken in the order they come."""
    with_truth = all(row.truth is not None for row in rows)
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for i, example in enumerate(examples):
        for truth in (_rounded(s) for s in example.spans) if with_truth else (None,):
            waiting[_stem(example.video), _words(_sentence(example)), truth].append(i)
    places: list[int | None] = []
    for row in rows:
        queue = waiting.get((_stem(row.video), _words(row.query), _rounded(row.truth) if with_truth else None))
        # The last example stays, so that a row too many counts as repeated rather than unknown.
        places.append((queue.popleft() if len(queue) > 1 else queue[0]) if queue else None)
    return _assign(len(examples), places, rows, "video and sentence")


def _assign(count: int, places: Sequence[int | None], rows: Sequence[Predicted], by: str) -> Matched:
    matched: list[Predicted | None] = [None] * count
    repeated = unknown = 0
    for place, row in zip(places, rows, strict=True):
        if place is None:
            unknown += 1
        elif matched[place] is not None:
            repeated += 1
        else:
            matched[place] = row
    return Matched(matched, by, repeated, unknown)


def _aligned(examples: Sequence[Any], rows: Sequence[Predicted]) -> bool:
    """Row by row about the same videos (and the same sentences, where the rows have them)?"""
    return len(rows) <= len(examples) and all(
        _stem(row.video) == _stem(example.video)
        and (row.query is None or _words(row.query) == _words(_sentence(example)))
        for row, example in zip(rows, examples, strict=False)
    )


def _sentence(example: Any) -> str:
    return example.query if hasattr(example, "query") else example.question


def _stem(video: str | None) -> str | None:
    name = (video or "").rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    return stem if suffix.lower() in MEDIA else name


def _words(text: str | None) -> str:
    return " ".join((text or "").lower().replace(".", " ").split())


def _rounded(span: Sequence[float] | None) -> tuple[float, float] | None:
    return (round(span[0], 2), round(span[1], 2)) if span else None


def _shown(item: Any) -> str:
    return f"{item.id or item.video!r}"
