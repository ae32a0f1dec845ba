"""The optional torchcodec reader, in its exact mode only: its "approximate" mode returns wrong frames at a variable rate.

Times and frame count come from our packet table, so that both readers mean the same frame by the same number; pictures
are decoded at full size and scaled by torch. A frame that torchcodec can't decode is an error here, not replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hawkeye.errors import MissingDependency, VideoError
from hawkeye.runtime import require
from hawkeye.video.packets import packet_table, video_info
from hawkeye.video.reader import Frames, ReaderBase, check_indices, scaled_size


class TorchCodecReader(ReaderBase):
    """One video file through torchcodec. Raises MissingDependency, or VideoError if the file can't be opened."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        decoders = load_torchcodec()
        table = packet_table(self.path)
        self._info, self._times = video_info(self.path, "torchcodec", table), table.seconds()
        self._lock = threading.Lock()
        if table.counted:
            raise VideoError(f"{self.path}: its container holds no usable times: use backend='pyav'")
        try:
            self._decoder: Any = decoders.VideoDecoder(str(self.path), seek_mode="exact", num_ffmpeg_threads=0)
            found = len(self._decoder)
        except (RuntimeError, ValueError) as error:
            raise VideoError(f"{self.path}: torchcodec can't open it ({_line(error)}): use backend='pyav'") from None
        if found != table.num_frames:
            raise VideoError(
                f"{self.path}: torchcodec finds {found} frames, expected {table.num_frames}: use backend='pyav'"
            )

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """See `VideoReader.read`."""
        import torch

        from hawkeye.video.transforms import resize

        wanted = check_indices(indices, self._info)
        width, height = scaled_size(self._info.width, self._info.height, short_side)
        if not wanted:
            return Frames(torch.empty(0, 3, height, width, dtype=torch.uint8), ())
        with self._lock:
            if self._decoder is None:
                raise VideoError(f"{self.path}: the reader is closed: open the video again")
            try:
                batch = self._decoder.get_frames_at(wanted)
            except (RuntimeError, IndexError) as error:
                raise VideoError(
                    f"{self.path}: torchcodec can't decode it ({_line(error)}): use backend='pyav'"
                ) from None
        return Frames(resize(batch.data, height, width), tuple(float(self._times[index]) for index in wanted))

    def close(self) -> None:
        with self._lock:
            self._decoder = None


def load_torchcodec() -> Any:
    """Its decoders module. Raises MissingDependency, also if it is installed but does not load."""
    try:
        require("torchcodec", "video-fast")
        from torchcodec import decoders
    except (OSError, RuntimeError, ImportError) as error:
        raise MissingDependency(
            f"torchcodec is installed but does not load ({_line(error)}): it needs FFmpeg's shared libraries and a "
            "version made for your torch, such as  pip install torchcodec==0.13.0 ; or leave the backend at 'auto'"
        ) from None
    return decoders


def _line(error: Exception) -> str:
    """The first line of a message that may have hundreds."""
    return str(error).strip().split("\n")[0][:200]
