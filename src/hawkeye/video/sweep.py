"""One forward pass through a video file: find the key frame, decode from it, tell each picture's number.

Successive requests that go forward are served by the same pass. It does not replace damaged pictures; `pyav.py` does.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

import av
from av.video.frame import VideoFrame

from hawkeye.video.packets import PacketTable, decode_packet, demux, open_container, pick_stream

MAX_THREADS = 4  # more only add delay: a window needs a few dozen frames
_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
CARRY_ON = 8  # frames that are quicker to decode than to seek over


def set_decoder_threads(count: int) -> None:
    """Of each decoder that this process opens from now on: one where processes decode side by side, for two cost more in all."""
    global _num_threads
    _num_threads = count


class Sweep:
    """An open file and a decoder that moves forward. Not for use by two threads at once. Raises VideoError."""

    def __init__(self, path: Path, table: PacketTable) -> None:
        self._path, self._table = path, table
        self._frames: Iterator[tuple[int, VideoFrame]] | None = None
        self._needed: frozenset[int] = frozenset()
        self._last_needed = self._reached = -1  # frames up to the second have come out or were left out
        # Only for H.264 "not a reference" means that no other picture, of any layer, is made from it.
        self._may_skip = table.codec == "h264" and not table.counted
        self._open()

    def close(self) -> None:
        self._frames = None
        self._container.close()

    def frames(self, first: int, needed: Collection[int] = ()) -> Iterator[tuple[int, VideoFrame]]:
        """``(number, picture)`` in the order shown, beginning at or before frame ``first``, up to the end of the file.

        With ``needed``, others before the last of them may be left out (quicker). Damaged pictures never come.
        """
        key = int(self._table.key[first])
        if self._frames is None or not self._reached < first or key > self._reached + CARRY_ON:
            self._reached = -1
            self._frames = self._numbered(self._packets_from(key))
        self._needed, self._last_needed = frozenset(needed), max(needed, default=-1)
        for index, frame in self._frames:
            self._reached = max(index, self._last_needed)  # what was left out can't be had any more
            yield index, frame
        self._frames = None

    def _numbered(self, packets: Iterator[av.Packet]) -> Iterator[tuple[int, VideoFrame]]:
        count = 0
        for packet in packets:
            if self._may_skip:
                self._choose(packet)
            for frame in decode_packet(self._stream, packet):
                index = count if self._table.counted else self._table.index_of(frame.pts)
                count += 1
                if index is not None and index < self._table.num_frames and not frame.is_corrupt:
                    yield index, frame

    def _choose(self, packet: av.Packet) -> None:
        """Have the decoder leave out this packet's picture if neither we nor other pictures need it."""
        index = self._table.index_of(packet.pts)
        leave_out = index is not None and index < self._last_needed and index not in self._needed
        self._stream.codec_context.skip_frame = "NONREF" if leave_out else "DEFAULT"

    def _packets_from(self, key: int) -> Iterator[av.Packet]:
        """Packets from key frame ``key`` on, or from an earlier key frame if the container can't do better."""
        table = self._table
        if key > 0 and not table.counted:
            # Some containers seek by presentation time, some by decoding time, and some land anywhere before it.
            for target in (table.pts[key], table.dts[key], table.dts[table.key[key - 1]]):
                packets = self._seek(int(target))
                head = next((packet for packet in packets if packet.is_keyframe and packet.size), None)
                if head is None or head.pts is None or head.pts > table.pts[key]:
                    continue  # too far
                if head.pts == table.pts[key] or target < table.dts[key]:
                    return chain([head], packets)
        if not self._fresh:
            self._container.close()
            self._open()
        return self._demux()

    def _seek(self, target: int) -> Iterator[av.Packet]:
        self._fresh = False
        try:
            self._container.seek(target, stream=self._stream)
        except av.FFmpegError:
            return iter(())
        return self._demux()

    def _demux(self) -> Iterator[av.Packet]:
        self._fresh = False
        try:
            yield from demux(self._container, self._stream)
        except av.FFmpegError:
            return  # the file ends or breaks here

    def _open(self) -> None:
        self._fresh = True
        self._container = open_container(self._path)
        self._stream = pick_stream(self._container, self._path)
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = _num_threads
