"""Predictions from a file, whoever wrote it: this package, the reference, QVHighlights tools, TimeLens, VTimeLLM, NExT-GQA.

It reads what was predicted, not whether it is right. docs/evaluation.md shows a row of each format.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hawkeye.choices import OPTION_TEXT, Choice, option_lines, read_reply
from hawkeye.errors import AnnotationError
from hawkeye.eval.replies import Pair, read_percent_span, read_span
from hawkeye.prompts import QUESTION_TEMPLATE
from hawkeye.records import read_json, read_jsonl

Ranked = tuple[Pair, ...]


@dataclass(slots=True)
class Predicted:
    """One prediction. ``spans`` by falling score, in seconds (``in_shares``: as shares of the video); empty: it named none.

    ``choices``: what was chosen turn by turn, if it was found so. ``option`` or ``reply``: the answer to a question.
    """

    id: str | None = None
    video: str | None = None
    query: str | None = None
    truth: Pair | None = None  # the true span, where the file repeats it: tells equal sentences apart
    number: int | None = None  # the n-th sentence of its video, where the file counts so
    spans: Ranked = ()
    in_shares: bool = False
    choices: tuple[str | None, ...] | None = None
    unread_turns: int = 0  # turns whose reply named no option
    duration: float | None = None
    option: int | None = None
    reply: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Predictions:
    format: str
    rows: list[Predicted]


def read_predictions(path: str | Path) -> Predictions:
    """Read a predictions file, or predictions.jsonl in the folder of a run; the format is told by the first row.

    Raises AnnotationError: not JSON, no rows, or rows of no known format.
    """
    with _no_collector():
        raw = _raw_rows(Path(path))
        first = next(raw, None)
        if first is None:
            raise AnnotationError(f"{path}: holds no predictions")
        name, read = _format_of(first, path)
        try:
            return Predictions(name, [read(row) for row in chain([first], raw)])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise AnnotationError(
                f"{path}: a row is not of format {name}, as the first one is: {type(error).__name__} {error}"
            ) from None


def _format_of(row: dict[str, Any], path: str | Path) -> tuple[str, Callable[[Row], Predicted]]:
    for name, matches, read in FORMATS:
        if matches(row):
            return name, read
    found = ", ".join(map(str, list(row)[:8]))
    raise AnnotationError(
        f"{path}: the first row has {found or 'nothing'}, which is no known format: expected one of "
        f"{', '.join(name for name, _, _ in FORMATS)} (docs/evaluation.md shows a row of each)"
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the cyclic collector: rows hold no cycles, and looking for them takes longer than parsing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _raw_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON-lines file or a JSON list; objects of results by key give one ``{"key", "value"}`` an entry."""
    rows = _objects(path / "predictions.jsonl" if path.is_dir() else path)
    first = next(rows, {})
    if first and all(">>>" in key or _is_nextgqa(key, value) for key, value in first.items()):
        yield from ({"key": key, "value": value} for row in chain([first], rows) for key, value in row.items())
    elif first:
        # VTimeLLM logs captions among the rest.
        yield from (row for row in chain([first], rows) if row.get("task") != "captioning")


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Of JSON lines, of a JSON list, or of one JSON object that may take several lines."""
    if _is_object(_first_line(path)):
        yield from read_jsonl(path, partial_tail=True)
        return
    whole = read_json(path)
    for row in whole if isinstance(whole, list) else [whole]:
        if not isinstance(row, dict):
            raise AnnotationError(f"{path}: expected objects, got {type(row).__name__}")
        yield row


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return next((line for line in file if line.strip()), "{}")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: can't be read as text ({error}): give a file of predictions") from None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _is_nextgqa(key: str, value: Any) -> bool:
    return re.fullmatch(r"\d+_\d+", key) is not None and isinstance(value, (list, dict))


def _ours(row: dict[str, Any]) -> Predicted:
    ranked = [s["span"] for s in row.get("spans") or ()] or ([row["span"]] if row.get("span") else [])
    turns = row.get("turns") or ()
    return Predicted(
        id=str(row["id"]),
        video=row.get("video"),
        query=row.get("query"),
        spans=_pairs(ranked),
        choices=tuple([t["choice"] for t in turns]) or None,
        unread_turns=sum([_is_unread(t) for t in turns if t.get("reply") is not None]),
        duration=row.get("duration"),
        option=row.get("choice"),
        reply=row.get("reply"),
        error=row.get("error"),
    )


def _is_unread(turn: dict[str, Any]) -> bool:
    lines = option_lines([OPTION_TEXT[Choice(choice)] for choice in turn["options"]])
    return read_reply(turn["reply"], lines, lenient=True) is None


QUESTION = re.compile("(?:Question: )?" + re.escape(QUESTION_TEMPLATE).replace(r"\{query\}", "(.*)"), re.DOTALL)


def _reference(row: dict[str, Any]) -> Predicted:
    """A failed example has the span [0, 0] and no duration (``test_recursive_grounding.py:550``)."""
    asked = QUESTION.fullmatch(row.get("question") or "")
    failed = row["duration"] is None
    return Predicted(
        video=row.get("video_fname"),
        query=asked[1] if asked else None,
        spans=() if failed else _pairs([row["pred_span"]] if row.get("pred_span") else []),
        choices=tuple(row["pred_answer_list"]),
        duration=row["duration"],
        error="failed in the run that wrote it" if failed else None,
    )


def _reference_qa(row: dict[str, Any]) -> Predicted:
    return Predicted(video=row.get("video_fname"), reply=row["pred"])


def _moment_retrieval(row: dict[str, Any]) -> Predicted:
    windows = (
        sorted(row["pred_relevant_windows"], key=lambda w: -w[2]) if _scored(row) else row["pred_relevant_windows"]
    )
    return Predicted(id=str(row["qid"]), video=row.get("vid"), query=row.get("query"), spans=_pairs(windows))


def _scored(row: dict[str, Any]) -> bool:
    return all(len(window) > 2 for window in row["pred_relevant_windows"])


def _keyed(row: dict[str, Any]) -> Predicted:
    """TimeLens and lmms-eval: ``VIDEO>>>QUERY>>>[start, end]`` -> a reply, or spans and a reply."""
    video, query, truth = row["key"].split(">>>")
    value = row["value"]
    reply = value if isinstance(value, str) else value.get("answers")
    given = None if isinstance(value, str) else value.get("timestamps")
    read = read_span(reply) if reply is not None and not given else None
    start, end = json.loads(truth.replace("(", "[").replace(")", "]"))
    spans = _pairs(given or ([read] if read else []))
    return Predicted(video=video, query=query, truth=(start, end), spans=spans, reply=reply)


def _vtimellm(row: dict[str, Any]) -> Predicted:
    span = read_percent_span(row["answer"])
    return Predicted(
        video=row["video_id"],
        number=int(row["info"]["sentence_id"]),
        spans=(span,) if span else (),
        in_shares=True,
        reply=row["answer"],
    )


def _nextgqa(row: dict[str, Any]) -> Predicted:
    value = row["value"]
    if isinstance(value, dict):
        return Predicted(id=row["key"], option=int(value["prediction"]))
    return Predicted(id=row["key"], spans=_pairs([value]))


def _pairs(spans: Sequence[Sequence[float]]) -> Ranked:
    return tuple([(float(span[0]), float(span[1])) for span in spans])


Row = dict[str, Any]
FORMATS: tuple[tuple[str, Callable[[Row], bool], Callable[[Row], Predicted]], ...] = (
    ("reference", lambda row: "pred_answer_list" in row, _reference),
    ("reference-qa", lambda row: "pred" in row and "video_fname" in row, _reference_qa),
    ("moment-retrieval", lambda row: "pred_relevant_windows" in row and "qid" in row, _moment_retrieval),
    ("timelens", lambda row: "value" in row and ">>>" in row["key"], _keyed),
    ("nextgqa", lambda row: "value" in row, _nextgqa),
    ("vtimellm", lambda row: row.get("task") == "grounding" and "answer" in row, _vtimellm),
    ("hawkeye", lambda row: "id" in row and ("span" in row or "choice" in row), _ours),
)
