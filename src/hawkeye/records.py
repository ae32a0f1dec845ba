"""What is on disk: examples and predictions, one JSON object each, and the files that hold them. No torch here."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from hawkeye.errors import AnnotationError
from hawkeye.spans import Span


@dataclass(frozen=True)
class GroundingExample:
    """One sentence in one video and where it happens. ``spans`` may hold several true spans (any of them counts)."""

    id: str
    video: str
    query: str
    spans: tuple[Span, ...] = ()
    duration: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QAExample:
    """One question about a video (or about the stretch ``window`` of it). ``answer`` is the index of the right option."""

    id: str
    video: str
    question: str
    options: tuple[str, ...] = ()
    answer: int | None = None
    window: Span | None = None
    spans: tuple[Span, ...] = ()
    task: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InstructionExample:
    """One training item: a video or image, and question-answer rounds ``{"i", "q", "a"}``; spans for the temporal kinds.

    In a temporal item ``q`` or ``a`` may be ``[[choice, text], ...]`` in the order shown: the crop decides which one is true.
    """

    id: str
    media: str
    rounds: tuple[dict[str, Any], ...]
    kind: str = "video"
    span: Span | None = None
    negative_span: Span | None = None
    duration: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def to_json(record: Any) -> str:
    """One line, keys in field order, the same bytes for the same record."""
    values = asdict(record) if hasattr(record, "__dataclass_fields__") else record
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def read_json(path: str | Path) -> Any:
    """Raises AnnotationError if the file is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: is not valid JSON ({error})") from None


def read_jsonl(path: str | Path, partial_tail: bool = False) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file. ``partial_tail``: a broken last line (an interrupted write) is left out.

    Raises AnnotationError with the line's number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: is not UTF-8 text ({error.reason})") from None
    last = max((i for i, line in enumerate(lines) if line.strip()), default=-1)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if partial_tail and number - 1 == last:
                return
            raise AnnotationError(f"{path}, line {number}: is not valid JSON ({error.msg})") from None
        if not isinstance(value, dict):
            raise AnnotationError(f"{path}, line {number}: expected an object, got {type(value).__name__}")
        yield value


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file that appears whole or not at all: written beside its place, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        os.fchmod(handle, 0o644)
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_jsonl(path: str | Path, records: Iterable[Any]) -> int:
    """Write records atomically; returns how many."""
    count = 0
    with atomic_write(path) as file:
        for record in records:
            file.write(to_json(record) + "\n")
            count += 1
    return count
