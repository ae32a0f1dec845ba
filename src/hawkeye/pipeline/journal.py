"""An append-only file of results by key, which survives a kill at any moment: a torn last line is cut off when it is opened.

One process writes; any number may read. Rows stay on disk: only keys and offsets are held in memory.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hawkeye.errors import OutputError

BLOCK = 1 << 20


class Journal:
    """Lines ``{"key": ..., ...}``; of several lines with one key the last counts. Raises OutputError."""

    def __init__(self, path: str | Path, writable: bool = False) -> None:
        self.path = Path(path)
        self._offsets: dict[str, int] = {}
        self._end = 0
        self._file: Any = None
        if writable:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        self.refresh()
        if writable and self.path.stat().st_size > self._end:
            os.truncate(self.path, self._end)

    def refresh(self) -> None:
        """Take in the whole lines that have been appended since."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offsets[self._key(line)] = self._end
                self._end += len(line)

    def _key(self, line: bytes) -> str:
        try:
            return json.loads(line)["key"]
        except (ValueError, KeyError, TypeError):
            raise OutputError(
                f"{self.path}, byte {self._end}: not a line of this program: delete the file, its rows are made again"
            ) from None

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def keys(self) -> Iterable[str]:
        return self._offsets.keys()

    def get(self, key: str) -> dict[str, Any] | None:
        if key not in self._offsets:
            return None
        with self.path.open("rb") as file:
            file.seek(self._offsets[key])
            return json.loads(file.readline())

    def append(self, key: str, values: dict[str, Any]) -> None:
        line = json.dumps({"key": key} | values, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise full_disk(self.path, error) from None
        self._offsets[key] = self._end
        self._end += len(line)

    def close(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def full_disk(path: Path, error: OSError) -> OutputError:
    """The message for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full: free some space and run the same command again, nothing is lost")
    return OutputError(
        f"{path}: can't be written ({error.strerror}): check the folder, then run the same command again"
    )
