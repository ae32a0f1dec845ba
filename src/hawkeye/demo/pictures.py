"""Frames of a video as small JPEG pictures in ``data:`` URLs, for the timeline and the panels of the turns."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from hawkeye.grounding.result import GroundingResult
from hawkeye.video.reader import VideoReader, read_at

STRIP_PICTURES, STRIP_SIDE, FRAME_SIDE, QUALITY = 16, 96, 84, 70


def filmstrip(reader: VideoReader, count: int = STRIP_PICTURES) -> list[str]:
    """``count`` pictures, each taken at the middle of its part of the video. Raises VideoError."""
    duration = reader.info.duration
    return pictures_at(reader, [(i + 0.5) * duration / count for i in range(count)], STRIP_SIDE)


def turn_pictures(reader: VideoReader, results: Sequence[GroundingResult]) -> dict[float, str]:
    """Time in seconds -> picture, for every frame that the model saw in any turn. Raises VideoError."""
    times = sorted({time for result in results for turn in result.turns for time in turn.frame_times})
    return dict(zip(times, pictures_at(reader, times, FRAME_SIDE), strict=True))


def pictures_at(reader: VideoReader, times: Sequence[float], short_side: int = FRAME_SIDE) -> list[str]:
    """The frames on screen at these times (seconds). Raises VideoError."""
    if not times:
        return []
    frames = read_at(reader, times, short_side)
    return [_data_url(Image.fromarray(pixels.permute(1, 2, 0).numpy())) for pixels in frames.pixels]


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
