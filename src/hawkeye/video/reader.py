"""What a video is to the rest of the package: frames with true times, asked for by time or by index.

The backends live in files of their own; this one holds what they share and `open_video`, which picks one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from hawkeye.errors import VideoError

if TYPE_CHECKING:
    import numpy as np
    import torch

Backend = Literal["auto", "pyav", "torchcodec", "frames"]
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEFAULT_FOLDER_FPS = 3.0


@dataclass(frozen=True)
class VideoInfo:
    """What is known about a video without decoding it. ``width`` and ``height`` are as shown (after rotation)."""

    path: Path
    backend: str
    duration: float  # seconds from the first frame's start to the last frame's end
    num_frames: int
    fps: float  # average: num_frames / duration
    width: int
    height: int
    rotation: int = 0  # degrees, already applied to the frames that are returned
    has_audio: bool = False
    num_corrupt: int = 0  # packets or pictures known to be broken so far


@dataclass(frozen=True, eq=False)
class Frames:
    """Decoded pictures: ``pixels`` uint8 (T, 3, H, W) RGB, ``times`` T presentation times in seconds from the start."""

    pixels: torch.Tensor
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[1] != 3 or len(self.times) != self.pixels.shape[0]:
            shape = tuple(self.pixels.shape)
            raise VideoError(
                f"frames have shape {shape} and {len(self.times)} times: expected (T, 3, H, W) and T times"
            )

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: slice | Sequence[int]) -> Frames:
        chosen = range(len(self))[index] if isinstance(index, slice) else index
        return Frames(self.pixels[list(chosen)], tuple(self.times[i] for i in chosen))


@runtime_checkable
class VideoReader(Protocol):
    """One open video. Times are seconds from the first frame (a stream's start offset is taken off)."""

    @property
    def info(self) -> VideoInfo:
        """Duration, rate and size; known without decoding."""
        ...

    @property
    def times(self) -> np.ndarray:
        """Presentation time of every frame, float64 (num_frames,), rising, ``times[0] == 0``."""
        ...

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """The frames with these numbers, in the order asked, repeats allowed.

        ``short_side``: scale down while decoding so that the shorter side has this many pixels (never up).
        Raises VideoError naming asked and available frames, file and backend.
        """
        ...

    def close(self) -> None:
        """Give the file back; closing twice does no harm."""
        ...

    def __enter__(self) -> VideoReader: ...

    def __exit__(self, *exc: object) -> None: ...


class ReaderBase:
    """What is alike in most readers: they hold ``_info`` and ``_times``, and close at the end of a ``with``."""

    _info: VideoInfo
    _times: np.ndarray

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def times(self) -> np.ndarray:
        return self._times

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def check_indices(indices: Sequence[int], info: VideoInfo) -> list[int]:
    """``indices`` as plain ints. Raises VideoError if one is outside the video."""
    wanted = [int(index) for index in indices]
    outside = [index for index in wanted if not 0 <= index < info.num_frames]
    if outside:
        raise VideoError(
            f"{info.path}: frame {outside[0]} was asked (of {len(wanted)}), but there are frames 0 to "
            f"{info.num_frames - 1} (backend {info.backend}): ask by time with read_at, which clamps"
        )
    return wanted


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height with the shorter side scaled down to ``short_side``; the longer is cut to a whole pixel."""
    if short_side is None or min(width, height) <= short_side:
        return width, height
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def stack_pictures(pictures: Sequence[np.ndarray], height: int, width: int) -> torch.Tensor:
    """Pictures of uint8 (height, width, 3) as one tensor (T, 3, H, W), stored channels last as they come."""
    import numpy as np
    import torch

    stacked = np.stack(pictures) if pictures else np.empty((0, height, width, 3), dtype=np.uint8)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def indices_at(reader: VideoReader, times: Sequence[float]) -> list[int]:
    """The number of the frame on screen at each time (seconds); times outside the video take its first or last frame."""
    import numpy as np

    # A time that means "frame n" may miss its presentation time by rounding: half a millisecond is forgiven.
    found = np.searchsorted(reader.times, np.asarray(times, dtype=np.float64) + 5e-4, side="right") - 1
    return [int(i) for i in np.clip(found, 0, len(reader.times) - 1)]


def read_at(reader: VideoReader, times: Sequence[float], short_side: int | None = None) -> Frames:
    """The frames on screen at these times (seconds); each comes back with its own presentation time."""
    return reader.read(indices_at(reader, times), short_side)


def open_video(path: str | Path, backend: Backend = "auto", fps: float | None = None) -> VideoReader:
    """Open a video file, a GIF, or a folder of pictures (``fps`` is the folder's rate, 3 if not given).

    Raises VideoError: what is wrong with the file, and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise VideoError(f"{path}: no such file or folder: check the path")
    if path.is_dir():
        if backend not in ("auto", "frames"):
            raise VideoError(f"{path}: is a folder, which backend {backend!r} can't read: use backend='frames'")
        from hawkeye.video.frame_folder import FrameFolderReader

        return FrameFolderReader(path, DEFAULT_FOLDER_FPS if fps is None else fps)
    if backend == "frames":
        raise VideoError(f"{path}: is a file: backend 'frames' reads folders of pictures")
    if backend == "torchcodec":
        from hawkeye.video.torchcodec_reader import TorchCodecReader

        return TorchCodecReader(path)
    if backend not in ("auto", "pyav"):
        raise VideoError(f"backend {backend!r} is unknown: expected auto, pyav, torchcodec or frames")
    from hawkeye.video.pyav import PyAVReader

    return PyAVReader(path)
