"""A folder of pictures (JPEG, PNG) read as a video at a given rate. It does not look into subfolders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hawkeye.errors import VideoError
from hawkeye.video.reader import (
    PICTURE_SUFFIXES,
    Frames,
    ReaderBase,
    VideoInfo,
    check_indices,
    scaled_size,
    stack_pictures,
)


class FrameFolderReader(ReaderBase):
    """Pictures in the natural order of their names (2 before 10), the first at 0 s, the next at 1 / ``fps`` s.

    All must have the size of the first. One that does not decode is replaced by the last one before it that does (at the
    start by the first one that does), comes back with that one's time, and is counted. Raises VideoError.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        if not 0 < fps < float("inf"):
            raise VideoError(f"{path}: {fps} pictures per second were asked: expected a number above 0")
        try:
            files = [p for p in self.path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.name[0] != "."]
        except OSError as error:
            raise VideoError(f"{path}: the folder can't be read ({error.strerror}): check its permissions") from None
        if not files:
            wanted = ", ".join(PICTURE_SUFFIXES)
            raise VideoError(f"{path}: the folder holds no pictures: expected files that end in {wanted}")
        self._files = sorted(files, key=lambda file: natural_key(file.name))
        self._broken: set[int] = set()
        self._times = np.arange(len(files)) / fps
        self._times.flags.writeable = False
        first = next((picture for i in range(len(files)) if (picture := self._load(i)) is not None), None)
        if first is None:
            raise VideoError(f"{path}: none of its {len(files)} pictures can be decoded: check or extract them again")
        self._info = VideoInfo(
            self.path, "frames", len(files) / fps, len(files), fps, width=first.width, height=first.height
        )

    @property
    def info(self) -> VideoInfo:
        return replace(self._info, num_corrupt=len(self._broken))

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """See `VideoReader.read`."""
        wanted = check_indices(indices, self._info)
        width, height = scaled_size(self._info.width, self._info.height, short_side)
        shown = {index: self._shown(index, width, height) for index in sorted(set(wanted))}
        pixels = stack_pictures([shown[index][1] for index in wanted], height, width)
        return Frames(pixels, tuple(float(self._times[shown[index][0]]) for index in wanted))

    def _shown(self, index: int, width: int, height: int) -> tuple[int, np.ndarray]:
        """The number of the picture that is really shown, and its pixels (height, width, 3)."""
        for number in (*range(index, -1, -1), *range(index + 1, len(self._files))):
            picture = self._load(number)
            if picture is not None:
                self._check_size(number, picture)
                return number, np.array(picture.resize((width, height), Image.Resampling.BICUBIC))
            self._broken.add(number)
        raise VideoError(f"{self.path}: none of its pictures can be decoded any more: check the files")

    def _load(self, number: int) -> Image.Image | None:
        """The picture, upright and in RGB; None if it is damaged."""
        try:
            with Image.open(self._files[number]) as opened:
                return _to_rgb(ImageOps.exif_transpose(opened))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises for damage
            return None

    def _check_size(self, number: int, picture: Image.Image) -> None:
        expected = (self._info.width, self._info.height)
        if picture.size != expected:
            found, first = (f"{width}x{height}" for width, height in (picture.size, expected))
            raise VideoError(
                f"{self._files[number]}: is {found}, but the folder's first picture is {first}: make all the same size"
            )


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ``frame2`` before ``frame10``."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return (*((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), (2, 0, name))


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey: Pillow would clip them
        return Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")
