"""How annotation files are read: every row knows its file and line, every drop is counted, every file's hash is kept.

It knows no data set. Each data set's own file turns `Row` objects into records.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkeye.errors import AnnotationError
from hawkeye.spans import Span


@dataclass(frozen=True)
class Row:
    """One object of an annotation file and the place it stands at, such as ``test.csv, line 7``."""

    where: str
    values: Mapping[str, Any]

    def error(self, problem: str) -> AnnotationError:
        return AnnotationError(f"{self.where}: {problem}")

    def get(self, key: str) -> Any:
        if key not in self.values:
            known = ", ".join(map(str, list(self.values)[:12])) or "none"
            raise self.error(f"expected a field {key!r}, found {known}")
        return self.values[key]

    def text(self, key: str) -> str:
        """A string; numbers are taken as their digits (ids are written both ways)."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.error(f"expected text in {key!r}, got {_short(value)}")
        return str(value)

    def name(self, key: str) -> str:
        """Text that is not blank: an id, a file name."""
        value = self.text(key).strip()
        if not value:
            raise self.error(f"expected a name in {key!r}, got nothing")
        return value

    def number(self, key: str) -> float:
        """A finite number, of a JSON number or of a string that holds one."""
        return to_number(self.get(key), self, key)

    def integer(self, key: str) -> int:
        value = self.number(key)
        if value != int(value):
            raise self.error(f"expected a whole number in {key!r}, got {_short(self.get(key))}")
        return int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.get(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.error(f"expected a list of texts in {key!r}, got {_short(value)}")
        return tuple(value)

    def rows(self, key: str) -> list[Row]:
        """A list of objects inside this one."""
        value = self.get(key)
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.error(f"expected a list of objects in {key!r}, got {_short(value)}")
        return [Row(f"{self.where}, {key} {i}", v) for i, v in enumerate(value)]

    def inside(self, key: str) -> Row:
        """The object that stands under ``key``."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.error(f"expected an object in {key!r}, got {_short(value)}")
        return Row(f"{self.where}, {key}", value)

    def index_of(self, key: str, options: Sequence[str]) -> int:
        """Which of ``options`` the text in ``key`` is."""
        if self.text(key) not in options:
            raise self.error(f"{key} {self.text(key)!r} is none of the options {', '.join(map(repr, options))}")
        return list(options).index(self.text(key))

    def pairs(self, key: str) -> list[tuple[float, float]]:
        """``[[start, end], ...]`` in seconds; one bare ``[start, end]`` is a list of one."""
        return to_pairs(self.get(key), self, key)


def to_number(value: Any, row: Row, key: str) -> float:
    """Raises AnnotationError if ``value`` is no finite number."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise row.error(f"expected a number in {key!r}, got {_short(value)}")
    return number


def to_pairs(value: Any, row: Row, key: str) -> list[tuple[float, float]]:
    """Raises AnnotationError if ``value`` is not one or several ``[start, end]``."""
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(v, list) for v in value):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(v, list) and len(v) == 2 for v in value):
        raise row.error(f"expected [[start, end], ...] in {key!r}, got {_short(value)}")
    return [(to_number(start, row, key), to_number(end, row, key)) for start, end in value]


class Reading:
    """One reading of a data set: opens its files, keeps their hashes, counts what is dropped or odd, and why."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self.dropped: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()

    def text(self, path: str | Path) -> str:
        """A whole UTF-8 file. Raises AnnotationError if it can't be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise AnnotationError(f"{path}: can't be read ({error.strerror}): check the path") from None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise AnnotationError(f"{path}, line {line}: is not UTF-8 text ({error.reason})") from None
        self.sources[str(path)] = hashlib.sha256(data).hexdigest()
        return text

    def lines(self, path: str | Path) -> Iterator[tuple[str, str]]:
        """``(where, line)`` of every line that is not blank."""
        for number, line in _numbered(self.text(path)):
            yield f"{path}, line {number}", line

    def csv(self, path: str | Path, columns: Sequence[str]) -> Iterator[Row]:
        """Rows of a CSV file with a header line, which must name all ``columns``."""
        table = csv.DictReader(io.StringIO(self.text(path), newline=""), strict=True)
        try:
            missing = [c for c in columns if c not in (table.fieldnames or [])]
            if missing:
                found = ", ".join(table.fieldnames or []) or "an empty file"
                raise AnnotationError(f"{path}, line 1: columns {', '.join(missing)} are missing: found {found}")
            for values in table:
                row = Row(f"{path}, line {table.line_num}", values)
                if None in values or None in values.values():
                    raise row.error(f"expected {len(table.fieldnames or [])} columns as in the header")
                yield row
        except csv.Error as error:
            raise AnnotationError(f"{path}, line {table.line_num}: is not valid CSV ({error})") from None

    def table(self, path: str | Path) -> Row:
        """A JSON document that is one object, such as ``{video id: ...}``."""
        return Row(str(path), _object(_parse(self.text(path), path), str(path)))

    def records(self, path: str | Path) -> Iterator[Row]:
        """Objects of a JSON list or of a JSON-lines file, told apart by the content."""
        text = self.text(path)
        if text.lstrip().startswith("["):
            for number, value in enumerate(_parse(text, path), 1):
                where = f"{path}, item {number}"
                yield Row(where, _object(value, where))
            return
        for number, line in _numbered(text):
            where = f"{path}, line {number}"
            yield Row(where, _object(_parse(line, path, number), where))

    def span(self, start: float, end: float, duration: float | None = None) -> Span | None:
        """The span, or None with its reason counted: reversed, zero-length, or wholly out of the video.

        A span that only ends after the video is kept as published and counted under ``noted``: scores stay comparable.
        """
        reason = None
        if start > end:
            reason = "reversed span"
        elif start == end:
            reason = "zero-length span"
        elif end <= 0 or (duration is not None and start >= duration):
            reason = "span out of the video"
        if reason:
            self.dropped[reason] += 1
            return None
        if start < 0 or (duration is not None and end > duration):
            self.noted["span reaches out of the video"] += 1
        return Span(start, end)

    def window(self, start: float, end: float) -> Span | None:
        """The stretch of the video to look at; None, which means all of it, if it is reversed or empty (counted)."""
        if 0 <= start < end:
            return Span(start, end)
        self.noted["unusable window: whole video"] += 1
        return None


def pick_files(annotations: Path, names: Sequence[str], what: str) -> list[Path]:
    """``annotations`` itself if it is a file, else those of ``names`` (patterns) that lie in the folder.

    Raises AnnotationError if the folder holds none.
    """
    if not annotations.is_dir():
        return [annotations]
    found = [path for name in names for path in sorted(annotations.glob(name))]
    if not found:
        raise AnnotationError(f"{annotations}: holds no {what}: expected {' or '.join(names)}")
    return found


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _parse(text: str, path: str | Path, line: int | None = None) -> Any:
    """``line``: where the text stands in the file, if it is not the whole file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at, problem = line or error.lineno, error.msg
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists a thousand deep
        at, problem = line or 1, str(error)
    raise AnnotationError(f"{path}, line {at}: is not valid JSON ({problem})")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise AnnotationError(f"{where}: expected an object, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
