"""Which files the demo touches: uploads in one folder of its own, limited in kind, opened only there, deleted in time.

The web framework checks paths as well; this is the door that everything goes through, whatever sent it.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path

from hawkeye.errors import ConfigError, VideoError

SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".gif")
KEEP_SECONDS = 3600.0
SWEEP_SECONDS = 60.0


class Uploads:
    """A folder for uploads and for what is made from them. Deleted whole at `close`, and bit by bit before."""

    def __init__(self, folder: Path | None = None, keep_seconds: float = KEEP_SECONDS) -> None:
        self.folder = Path(folder or tempfile.mkdtemp(prefix="hawkeye-demo-")).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep_seconds = keep_seconds
        self._closed = threading.Event()

    def check(self, path: str | Path | None) -> Path:
        """The upload as a path. Raises ConfigError if there is none, VideoError if it lies elsewhere or is no video."""
        if not path:
            raise ConfigError("no video yet: drop a file into the player, or take the sample")
        real = Path(path).resolve()
        if not real.is_relative_to(self.folder):
            raise VideoError(f"{Path(path).name}: is not an uploaded file: upload the video first")
        if not real.is_file():
            hours = self.keep_seconds / 3600
            raise VideoError(
                f"{real.name}: is no longer there (uploads are deleted after {hours:g} h): upload it again"
            )
        if real.suffix.lower() not in SUFFIXES:
            raise VideoError(f"{real.name}: is not a video file: expected a name that ends in {', '.join(SUFFIXES)}")
        return real

    def new_folder(self) -> Path:
        """An empty folder for files to download."""
        return Path(tempfile.mkdtemp(prefix="out-", dir=self.folder))

    def take(self, path: Path) -> Path:
        """A copy of a file of the program's own (the sample), as if it had been uploaded."""
        return Path(shutil.copy2(path, self.new_folder() / path.name))

    def plain(self, error: Exception, path: Path | None = None) -> str:
        """The message of an error, with the bare name in place of a path on this machine."""
        words = str(error)
        if path is not None:
            words = words.replace(str(path), path.name)
        return words.replace(f"{self.folder}/", "")

    def sweep(self, now: float | None = None) -> int:
        """Delete files whose last change is older than ``keep_seconds``, and emptied folders; returns how many files."""
        limit, deleted = (time.time() if now is None else now) - self.keep_seconds, 0
        for entry in sorted(self.folder.rglob("*"), reverse=True):
            try:
                if entry.stat(follow_symlinks=False).st_ctime >= limit:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    if not any(entry.iterdir()):
                        entry.rmdir()
                else:
                    entry.unlink()
                    deleted += 1
            except FileNotFoundError:
                continue
        return deleted

    def start_sweeping(self, every: float = SWEEP_SECONDS) -> None:
        """Sweep in a background thread until `close`."""

        def run() -> None:
            while not self._closed.wait(every):
                self.sweep()

        threading.Thread(target=run, name="hawkeye-sweep", daemon=True).start()

    def close(self) -> None:
        """Delete everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)
