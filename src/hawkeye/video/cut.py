"""Cut a stretch out of a video into a file of its own: exact to the frame, re-encoded, with its sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Discard

from hawkeye.errors import VideoError
from hawkeye.video.packets import open_container, packet_table
from hawkeye.video.reader import VideoReader, indices_at, open_video
from hawkeye.video.writer import TICK, add_audio_track, add_video_track, output_container, write_picture, write_sound

QUALITY = {"crf": "18", "preset": "veryfast"}
BATCH = 16  # frames decoded at a time
SUFFIXES = (".mp4", ".mkv", ".mov")
SOUND_RATE, LAYOUT = 48_000, "stereo"
JITTER = SOUND_RATE // 20  # samples: smaller gaps between blocks of sound are rounding, not silence


def cut_clip(path: str | Path, span: tuple[float, float], out: str | Path) -> Path:
    """Write seconds ``span`` of the video ``path`` (a file or a folder of pictures) to ``out`` (.mp4, .mkv or .mov).

    The first picture is the one on screen at the start; frames keep their times, also at a variable rate. H.264 needs
    even sizes: an odd last row or column is left out. ``out`` appears whole or not at all. Raises VideoError.
    """
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise VideoError(f"{out}: can't hold a cut video: expected a name that ends in {', '.join(SUFFIXES)}")
    if Path(path).resolve() == out.resolve():
        raise VideoError(f"{out}: is the video itself: choose another name for the cut")
    with open_video(path) as reader:
        start, end = max(0.0, span[0]), min(span[1], reader.info.duration)
        if not (span[0] < span[1] and start < end):
            raise VideoError(
                f"{path}: nothing to cut at {[*span]}: expected [start, end] within 0 to {reader.info.duration:.2f} seconds"
            )
        width, height = reader.info.width // 2 * 2, reader.info.height // 2 * 2
        with output_container(out) as container:
            video = add_video_track(container, width, height, options=QUALITY)
            audio = add_audio_track(container, SOUND_RATE, LAYOUT) if reader.info.has_audio else None
            for picture, seconds in _pictures(reader, start, end):
                write_picture(container, video, picture[:height, :width], round((seconds - start) / TICK))
            container.mux(video.encode(None))
            if audio:
                write_sound(container, audio, _sound(Path(path), start, end), SOUND_RATE)
    return out


def _pictures(reader: VideoReader, start: float, end: float) -> Iterator[tuple[np.ndarray, float]]:
    """``(picture, seconds)`` of every frame that is on screen between ``start`` and ``end``."""
    first = indices_at(reader, [start])[0]
    last = max(first + 1, int(np.searchsorted(reader.times, end)))
    for low in range(first, last, BATCH):
        batch = range(low, min(low + BATCH, last))
        for index, picture in zip(batch, reader.read(batch).pixels, strict=True):
            yield picture.permute(1, 2, 0).numpy(), max(start, float(reader.times[index]))


def _sound(path: Path, start: float, end: float) -> Iterator[np.ndarray]:
    """The stretch's samples, float32 (2, n), with silence where the sound track has none."""
    table = packet_table(path)
    origin = start + float(int(table.pts[0]) * table.time_base)  # the sound track counts from another zero
    total, written = round((end - start) * SOUND_RATE), 0
    for seconds, block in _decoded_sound(path, origin):
        offset = round((seconds - origin) * SOUND_RATE)
        slack = JITTER if written else 0
        if offset > written + slack:
            silence = min(offset, total) - written
            yield np.zeros((2, silence), dtype=np.float32)
            written += silence
        elif offset < written - slack:
            block = block[:, written - offset :]
        block = block[:, : total - written]
        if block.shape[1]:
            yield block
            written += block.shape[1]
        if written >= total:
            return


def _decoded_sound(path: Path, seconds: float) -> Iterator[tuple[float, np.ndarray]]:
    """``(time, samples)`` from a little before ``seconds`` (of the container's clock) on; damaged packets are left out."""
    with open_container(path) as container:
        stream = next(track for track in container.streams.audio if track.codec_context is not None)
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        resampler = AudioResampler("fltp", LAYOUT, SOUND_RATE)
        with suppress(av.FFmpegError):  # then from the start
            container.seek(round((seconds - 1.0) * av.time_base))
        for packet in container.demux(stream):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue
            for frame in frames:
                for block in resampler.resample(frame):
                    yield block.time or 0.0, block.to_ndarray()
