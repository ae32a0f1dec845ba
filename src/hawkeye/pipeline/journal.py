"""An append-only file of results by key, which survives a kill at any moment: a torn last line is cut off when it is opened.

One process writes; any number may read. Rows stay on disk: only keys and offsets are held in memory.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from hawkeye.errors import OutputError

START = '{"key": '
FAILED = ', "error": '
_decoder = json.JSONDecoder()


class Journal:
    """Lines ``{"key": ..., "row": ...}`` or ``{"key": ..., "error": ...}``; of lines with one key the last counts.

    Raises OutputError.
    """

    def __init__(self, path: str | Path, writable: bool = False) -> None:
        self.path = Path(path)
        self._offsets: dict[str, int] = {}
        self._failed: set[str] = set()
        self._end = 0
        self._handle: int | None = None
        if writable:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if self.path.exists():
            self._read_keys()
        if writable and self.path.stat().st_size > self._end:
            os.truncate(self.path, self._end)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def has_failed(self, key: str) -> bool:
        return key in self._failed

    def get(self, key: str) -> dict[str, Any] | None:
        if key not in self._offsets:
            return None
        with self.path.open("rb") as file:
            file.seek(self._offsets[key])
            return json.loads(file.readline())

    def append(self, key: str, values: dict[str, Any]) -> None:
        assert self._handle is not None
        line = json.dumps({"key": key} | values, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._note(line)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            raise write_error(self.path, error) from None

    def close(self) -> None:
        if self._handle is not None:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = None

    def _read_keys(self) -> None:
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):  # else it is torn
                    self._note(line)

    def _note(self, line: bytes) -> None:
        """Only the line's beginning is parsed: rows are long, and most are not asked for."""
        text = line.decode(errors="replace")
        if not text.startswith(START):
            raise OutputError(
                f"{self.path}, byte {self._end}: no row of a build: delete the file, to make its rows again"
            )
        key, after = _decoder.raw_decode(text, len(START))
        self._offsets[key] = self._end
        (self._failed.add if text.startswith(FAILED, after) else self._failed.discard)(key)
        self._end += len(line)


def write_error(path: Path, error: OSError) -> OutputError:
    """The message for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full: free some space and run the same command again, nothing is lost")
    return OutputError(
        f"{path}: can't be written ({error.strerror}): check the folder, then run the same command again"
    )
