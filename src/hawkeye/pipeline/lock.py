"""Keep two builds out of one folder. The system lets go of a lock when its holder dies, however it dies: none is ever stale."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hawkeye.errors import OutputError
from hawkeye.runtime import require

WHOLE = "0-of-1"


@contextmanager
def locked(folder: Path, shard: str = WHOLE) -> Iterator[None]:
    """Hold ``folder``; different shards of one build may hold it side by side. Raises OutputError."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        _take(stack, folder / "lock", shared=shard != WHOLE)
        if shard != WHOLE:
            _take(stack, folder / f"lock-{shard}")
        yield


@contextmanager
def turn_to_finish(folder: Path) -> Iterator[None]:
    """Shards that come to their end together write the final files one after the other."""
    with ExitStack() as stack:
        _take(stack, folder / "lock-finish", wait=True)
        yield


def _take(stack: ExitStack, path: Path, shared: bool = False, wait: bool = False) -> None:
    fcntl = require("fcntl")  # of Linux and macOS
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    stack.callback(os.close, handle)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        raise OutputError(
            f"{path.parent}: another build is at work there ({holder}): wait for it, stop it, or give another folder"
        ) from None
    except OSError as error:
        raise OutputError(f"{path}: this file system can't lock ({error.strerror}): use another folder") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode(), 0)
