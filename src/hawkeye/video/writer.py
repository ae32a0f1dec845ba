"""Writing video files: pictures, and sound if there is any, into a file that appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hawkeye.errors import VideoError

TICK = Fraction(1, 1000)  # for pictures at free times; every container and codec takes milliseconds


@contextmanager
def output_container(path: str | Path) -> Iterator[OutputContainer]:
    """An empty container, whose format the suffix tells. Written beside its place, then renamed. Raises VideoError."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.fchmod(handle, 0o644)
        os.close(handle)
    except OSError as error:
        raise VideoError(f"{path}: can't be written ({error.strerror}): choose another folder") from None
    part = Path(name)
    try:
        try:
            container = av.open(f"file:{part}", "w")
        except ValueError:  # PyAV's way to say that the suffix is no format
            raise VideoError(f"{path}: {path.suffix!r} is no video format: choose a name that ends in .mp4") from None
        with container:
            yield container
        part.replace(path)
    except av.FFmpegError as error:
        raise VideoError(f"{path}: can't be written ({error}): choose another format or folder") from None
    finally:
        part.unlink(missing_ok=True)


def add_video_track(
    container: OutputContainer,
    width: int,
    height: int,
    codec: str = "libx264",
    fps: float | None = None,
    options: Mapping[str, str] | None = None,
) -> VideoStream:
    """A picture track at a fixed rate, or, without ``fps``, at free times in milliseconds. Raises VideoError."""
    rate = Fraction(fps).limit_denominator(10_000) if fps else Fraction(25)
    if codec == "libx264":
        # Its macroblock tree reads memory that it never wrote: the same frames gave other bytes now and then.
        options = {"mbtree": "0"} | dict(options or {})
    try:
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
    except ValueError as error:  # PyAV's way to say that there is no such codec, or not in this container
        raise VideoError(f"pictures can't be written: {error}: take libx264 in .mp4") from None
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = width, height
    stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
    stream.codec_context.time_base = 1 / rate if fps else TICK
    return stream


def write_picture(container: OutputContainer, stream: VideoStream, picture: np.ndarray, pts: int) -> None:
    """``picture``: uint8 (H, W, 3); ``pts`` in units of the track's time base."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame.pts, frame.time_base = pts, stream.codec_context.time_base
    container.mux(stream.encode(frame))


def add_audio_track(container: OutputContainer, rate: int, layout: str) -> AudioStream:
    """A sound track in the container's own codec (AAC in mp4)."""
    stream = container.add_stream(container.default_audio_codec, rate=rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = layout
    return stream


def write_sound(container: OutputContainer, stream: AudioStream, blocks: Iterable[np.ndarray], rate: int) -> None:
    """``blocks``: successive float32 (channels, samples) in -1 .. 1."""
    position = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
        position += block.shape[1]
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
