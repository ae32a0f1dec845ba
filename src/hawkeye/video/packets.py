"""The packet table of a video file: every frame's presentation time and key frame, read by demuxing, without decoding.

It tells where each frame is and from which key frame it must be decoded; `pyav.py` decodes. Only the first picture is
decoded here, because the way the video is turned (phones) and its true size are known from a picture alone.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hawkeye.errors import VideoError
from hawkeye.video.reader import VideoInfo

CACHE_SIZE = 128  # tables kept; one of a two-hour film takes 5 MB
PLAYABLE = "expected a video that plays, such as mp4, mkv, webm, avi, mov or gif"


@dataclass(frozen=True, eq=False)
class PacketTable:
    """All that is known of a file before a wanted frame is decoded. Frames are numbered in the order they are shown."""

    pts: np.ndarray  # int64 (num_frames,), in ``time_base`` units, strictly rising
    dts: np.ndarray  # int64 (num_frames,): decoding times, which some containers seek by
    key: np.ndarray  # int64 (num_frames,): number of the key frame from which each frame is decoded
    end_pts: int  # when the last frame ends
    time_base: Fraction
    counted: bool  # the container has no usable times: frames are told apart by counting from the start
    width: int  # as shown, after turning
    height: int
    quarter_turns: int  # counter-clockwise, to be applied to decoded pictures ...
    mirrored: bool  # ... after flipping them left to right
    has_audio: bool
    codec: str
    num_corrupt: int  # packets that the container itself reports as damaged; they are not in the table

    @property
    def num_frames(self) -> int:
        return len(self.pts)

    @property
    def duration(self) -> float:
        """Seconds from the first frame's start to the last frame's end."""
        return float((self.end_pts - int(self.pts[0])) * self.time_base)

    def seconds(self) -> np.ndarray:
        """Presentation times in seconds from the first frame."""
        return (self.pts - self.pts[0]) * self.time_base.numerator / self.time_base.denominator

    def index_of(self, pts: int | None) -> int | None:
        """The number of the frame shown at exactly ``pts``."""
        if pts is None:
            return None
        index = bisect_left(self.pts, pts)
        return index if index < len(self.pts) and self.pts[index] == pts else None


def video_info(path: Path, backend: str, table: PacketTable) -> VideoInfo:
    """What the table tells of the video, for the reader ``backend``."""
    return VideoInfo(
        path=path,
        backend=backend,
        duration=table.duration,
        num_frames=table.num_frames,
        fps=table.num_frames / table.duration,
        width=table.width,
        height=table.height,
        rotation=table.quarter_turns * 90,
        has_audio=table.has_audio,
        num_corrupt=table.num_corrupt,
    )


class _Packet(NamedTuple):
    pts: int
    dts: int
    duration: int
    is_key: bool


_tables: OrderedDict[tuple[str, int, int], PacketTable] = OrderedDict()
_tables_lock = threading.Lock()


def packet_table(path: Path) -> PacketTable:
    """The table of ``path``, read once in this process for each version of the file. Raises VideoError."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(f"{path}: can't be read ({error.strerror}): check the path") from None
    if not S_ISREG(status.st_mode):
        raise VideoError(f"{path}: is no regular file: give the path of a video file")
    if not status.st_size:
        raise VideoError(f"{path}: the file is empty (0 bytes): download or copy it again")
    version = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    with _tables_lock:
        if version in _tables:
            _tables.move_to_end(version)
            return _tables[version]
    table = _scan(path)
    with _tables_lock:
        _tables[version] = table
        while len(_tables) > CACHE_SIZE:
            _tables.popitem(last=False)
    return table


def open_container(path: Path) -> InputContainer:
    """FFmpeg's view of a local file. Raises VideoError."""
    try:
        # "file:" keeps a colon in a file's name from being read as a protocol; the list keeps playlists off the network.
        return av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise VideoError(f"{path}: is not a readable video ({_why(path, error)}") from None


def _why(path: Path, error: av.FFmpegError) -> str:
    if isinstance(error, av.InvalidDataError):
        with path.open("rb") as file:
            if file.read(8)[4:] == b"ftyp":
                return "an mp4 whose index is missing or damaged): it was cut off or is incomplete, download it again"
    return f"{error.strerror}): {PLAYABLE}"


def pick_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first true video track (a song's cover picture is none), the others switched off. Raises VideoError."""
    covers = [stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic]
    videos = [stream for stream in container.streams.video if stream not in covers]
    # FFmpeg's "tty" format would show any text file as a picture of a terminal.
    if not videos or container.format.name == "tty":
        kinds = {"cover picture" if stream in covers else stream.type for stream in container.streams}
        raise VideoError(f"{path}: has no video track (found: {', '.join(sorted(kinds)) or 'nothing'}): {PLAYABLE}")
    chosen = videos[0]
    if chosen.codec_context is None:
        raise VideoError(f"{path}: its video codec is unknown to this FFmpeg: convert it to H.264 in mp4")
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def _scan(path: Path) -> PacketTable:
    with open_container(path) as container:
        stream = pick_stream(container, path)
        tick = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step = max(1, round(1 / (rate * tick)))
        packets, num_corrupt, counted = _read_packets(container, stream, step)
        has_audio = any(track.codec_context is not None for track in container.streams.audio)
    if not packets:
        raise VideoError(f"{path}: its video track holds no pictures: convert or download it again")
    with open_container(path) as container:
        stream = pick_stream(container, path)
        codec = stream.codec_context.name
        first = next(decoded(container, stream), None)
    if first is None:
        raise VideoError(f"{path}: none of its {len(packets)} pictures can be decoded: convert or download it again")
    quarter_turns, mirrored = _orientation(first)
    width, height = (first.height, first.width) if quarter_turns % 2 else (first.width, first.height)
    pts = np.array([packet.pts for packet in packets], dtype=np.int64)
    is_key = np.array([packet.is_key for packet in packets])
    last = packets[-1].duration or (int(np.median(np.diff(pts))) if len(pts) > 1 else step)
    return PacketTable(
        pts=pts,
        dts=np.array([packet.dts for packet in packets], dtype=np.int64),
        key=np.maximum.accumulate(np.where(is_key & (not counted), np.arange(len(pts)), 0)),
        end_pts=int(pts[-1]) + last,
        time_base=tick,
        counted=counted,
        width=width,
        height=height,
        quarter_turns=quarter_turns,
        mirrored=mirrored,
        has_audio=has_audio,
        codec=codec,
        num_corrupt=num_corrupt,
    )


def _read_packets(container: InputContainer, stream: VideoStream, step: int) -> tuple[list[_Packet], int, bool]:
    """All shown packets in presentation order, how many are damaged, and whether frames must be counted."""
    raw: list[tuple[int | None, int | None, int, bool]] = []
    num_corrupt = 0
    try:
        for packet in demux(container, stream):
            if packet.is_corrupt:
                num_corrupt += 1
            elif packet.size and not packet.is_discard:  # empty: end of stream; discard: cut off by an edit list
                raw.append((packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe))
    except av.FFmpegError:  # the rest of the file is damaged: what was read so far stands
        num_corrupt += 1
    timed = [_Packet(p, p if d is None else d, length, key) for p, d, length, key in raw if p is not None]
    if 2 * len(timed) < len(raw):  # a bare stream, such as .h264, has no times: take the nominal rate
        return [_Packet(i * step, i * step, step, i == 0) for i in range(len(raw))], num_corrupt, True
    # AVI stores the order of decoding only: if the codec reorders, the times belong to other frames.
    reorders = container.format.name == "avi" and stream.codec_context.has_b_frames
    counted = bool(reorders) and len({p - d for p, d, *_ in raw if p is not None and d is not None}) == 1
    unique = {packet.pts: packet for packet in reversed(timed)}
    return [unique[pts] for pts in sorted(unique)], num_corrupt, counted


def demux(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The track's packets in the order stored, then an empty one. Raises av.FFmpegError where the file breaks."""
    while True:
        try:
            yield from container.demux(stream)
            return
        except IndexError:  # PyAV's answer to a track that begins in mid-file; the next packets are fine
            continue


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The pictures from where the container stands, in the order shown; packets that don't decode are passed over."""
    try:
        for packet in demux(container, stream):
            yield from decode_packet(stream, packet)
    except av.FFmpegError:
        return  # the file ends or breaks here


def decode_packet(stream: VideoStream, packet: av.Packet) -> list[VideoFrame]:
    """What comes out of the decoder when ``packet`` goes in: often an earlier picture, nothing if it is damaged."""
    try:
        return stream.decode(packet)  # type: ignore[return-value]
    except av.FFmpegError:
        return []


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise and left-right flip that the file asks of a player."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), dtype=np.int32)
    mirrored = int(a) * int(d) - int(b) * int(c) < 0
    if mirrored:
        a, b = -a, -b
    return round(float(np.degrees(np.arctan2(-float(b), float(a)))) / 90) % 4, bool(mirrored)
