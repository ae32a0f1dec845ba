"""predictions.jsonl while a run writes it: a row at a time, so that a kill at any moment loses at most the row being written.

A torn last line is cut off when the file is opened again; what stands before it is kept, by id. Nothing is rewritten.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.records import atomic_write, read_jsonl, to_json

CHUNK = 1 << 20


class Journal:
    """An append-only file of rows with an ``id``. One process writes it at a time (where the system can lock files)."""

    def __init__(self, path: Path, retry_errors: bool = False) -> None:
        self.path = path
        self._file = open_for_rows(path)
        try:
            rows = list(read_jsonl(path))
            if retry_errors and any(row.get("error") for row in rows):
                rows = [row for row in rows if not row.get("error")]
                self._replace(rows)
            self.done = {_id(row, path) for row in rows}
        except BaseException:
            os.close(self._file)
            raise

    def _replace(self, rows: Iterable[dict[str, Any]]) -> None:
        with atomic_write(self.path) as file:
            file.writelines(to_json(row) + "\n" for row in rows)
        old, self._file = self._file, open_for_rows(self.path)
        os.close(old)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row, unless its id stands there already. One write call: it is there whole, or torn at the end."""
        if row["id"] in self.done:
            return
        write_row(self._file, row)
        self.done.add(row["id"])

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def sorted_lines(paths: Iterable[Path]) -> list[bytes]:
    """The lines of several prediction files by id, each id once (the first): what a merge writes, what two runs compare by.

    Raises AnnotationError for a line that is not a row.
    """
    lines: dict[str, bytes] = {}
    for path in paths:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                key = json.loads(line)["id"]
            except (json.JSONDecodeError, KeyError, TypeError):
                raise AnnotationError(
                    f"{path}, line {number}: is not a row of predictions: run the task again"
                ) from None
            lines.setdefault(key, line)
    return [lines[key] for key in sorted(lines)]


def _id(row: dict[str, Any], path: Path) -> str:
    if "id" not in row:
        raise AnnotationError(
            f"{path}: a row has no id: this file was not written by `hawkeye eval`; use another --out"
        )
    return row["id"]


def open_for_rows(path: Path) -> int:
    """The descriptor of a JSON-lines file to append to, locked, with a torn last line cut off. Raises ConfigError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _lock(file, path)
        _cut_torn_line(file)
    except BaseException:
        os.close(file)
        raise
    return file


def write_row(file: int, row: dict[str, Any]) -> None:
    """Numbers that JSON can't hold (minus infinity for an impossible option) are written as null."""
    try:
        line = to_json(row)
    except ValueError:
        line = to_json(_finite(row))
    data = (line + "\n").encode()
    while data:
        data = data[os.write(file, data) :]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut_torn_line(file: int) -> None:
    """Drop what follows the last line feed."""
    size = end = os.fstat(file).st_size
    while end:
        start = max(0, end - CHUNK)
        found = _pread(file, start, end).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)


def _pread(file: int, start: int, end: int) -> bytes:
    os.lseek(file, start, os.SEEK_SET)
    data = b""
    while len(data) < end - start:
        data += os.read(file, end - start - len(data))
    return data


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs into one folder are the user's own care
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{path}: another run is writing this file: wait for it, or choose another --out") from None
