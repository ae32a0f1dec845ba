"""Damaged files, and files that are no videos: what can be had of them, with true times, or one clear VideoError."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from hawkeye.errors import MissingDependency, VideoError
from hawkeye.video import torchcodec_reader
from hawkeye.video.reader import Frames, VideoReader, open_video
from hawkeye.video.synthetic import numbered_frame, read_numbers, write_video

COUNT, FPS = 60, 25.0
DAMAGED = 20  # number of the frame whose data is destroyed


def torchcodec_loads() -> bool:
    try:
        torchcodec_reader.load_torchcodec()
    except MissingDependency:
        return False
    return True


needs_torchcodec = pytest.mark.skipif(not torchcodec_loads(), reason="torchcodec does not load here")


def write(path: Path, **options: int) -> Path:
    """Groups of 12 frames, without B-frames."""
    return write_video(path, (numbered_frame(i, 80, 64) for i in range(COUNT)), fps=FPS, g=12, bf=0, **options)


def assert_exact(reader: VideoReader, asked: Sequence[int]) -> None:
    frames = reader.read(asked)
    assert read_numbers(frames) == list(asked)
    assert frames.times == pytest.approx([i / FPS for i in asked], abs=1.1e-3)


def read_all(path: Path, backend: str) -> Frames:
    with open_video(path, backend) as reader:  # type: ignore[arg-type]
        return reader.read(range(reader.info.num_frames))


# ---- damage ----------------------------------------------------------------------------------------------------------


def destroy_packet(path: Path, number: int) -> None:
    """Overwrite the data of the packet of frame ``number`` (its length stays)."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    packet = sorted(packets, key=lambda p: p.pts or 0)[number]
    assert packet.pos is not None
    data = bytearray(path.read_bytes())
    data[packet.pos + 4 : packet.pos + packet.size] = bytes([0xFF]) * (packet.size - 4)
    path.write_bytes(data)


@pytest.mark.parametrize("number", [DAMAGED, 24, 0], ids=["inside a group", "key frame", "first frame"])
def test_destroyed_packet(tmp_path: Path, number: int) -> None:
    """What comes after the damage up to the next key frame may be smeared."""
    path = write(tmp_path / "damaged.mp4", sc_threshold=0)
    destroy_packet(path, number)
    with open_video(path) as reader:
        assert reader.info.num_frames == COUNT
        group_end = (number // 12 + 1) * 12
        frames = reader.read([number])
        shown = round(frames.times[0] * FPS)
        assert shown == number - 1 if number else 0 < shown <= group_end  # the time tells which frame it really is
        assert reader.info.num_corrupt == 1
        sound = [i for i in range(COUNT) if i < number or i >= group_end]
        assert_exact(reader, sound)
        everything = reader.read(range(COUNT))
        assert [n for i, n in enumerate(read_numbers(everything)) if i in sound] == sound
        assert reader.read([number]).times == frames.times  # the same question has the same answer
        if number:
            assert read_numbers(frames) == [number - 1]


def test_nothing_decodable(tmp_path: Path) -> None:
    path = write(tmp_path / "rubbish.mp4", sc_threshold=0)
    for number in range(COUNT):
        destroy_packet(path, number)
    with pytest.raises(VideoError, match="none of its 60 pictures can be decoded"):
        open_video(path)


@pytest.mark.parametrize(("name", "kept"), [("cut.mkv", 0.6), ("cut.ts", 0.6), ("cut.avi", 0.8), ("cut.mp4", 0.6)])
def test_truncated_file_is_read_up_to_where_it_ends(tmp_path: Path, name: str, kept: float) -> None:
    path = write(tmp_path / name)
    if name.endswith(".mp4"):
        path = put_index_first(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with open_video(path) as reader:
        count = reader.info.num_frames
        assert 10 < count < 50
        assert_exact(reader, range(count))
        assert reader.info.duration == pytest.approx(count / FPS, abs=0.05)


@needs_torchcodec
@pytest.mark.parametrize("damage", ["truncated", "destroyed packet"])
def test_torchcodec_on_damaged_files(tmp_path: Path, damage: str) -> None:
    """It replaces nothing: exact frames, or an error that points to the backend that copes."""
    path = put_index_first(write(tmp_path / "damaged.mp4", sc_threshold=0))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    else:
        destroy_packet(path, DAMAGED)
    with pytest.raises(VideoError, match="use backend='pyav'"):
        read_all(path, "torchcodec")


def put_index_first(path: Path) -> Path:
    """The same mp4 with its index before its pictures, as on the web."""
    target = path.with_name(f"first_{path.name}")
    with av.open(str(path)) as read, av.open(str(target), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return target


def test_picture_that_does_not_decode_in_a_folder(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(numbered_frame(number, 80, 64)).save(tmp_path / f"{number}.png")
    for number in (0, 3):
        data = (tmp_path / f"{number}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(data[: len(data) // 2])
    with open_video(tmp_path, fps=1.0) as reader:
        frames = reader.read([0, 1, 2, 3, 4])
        assert read_numbers(frames) == [1, 1, 2, 2, 4]
        assert frames.times == (1.0, 1.0, 2.0, 2.0, 4.0)
        assert reader.info.num_corrupt == 2


# ---- what is no video ------------------------------------------------------------------------------------------------


def write_sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])


def write_song(path: Path) -> None:
    """Sound with a cover picture, which FFmpeg shows as a video track."""
    cover = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(cover, "JPEG")
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=48000, layout="mono")
        video = container.add_stream("mjpeg")
        video.width, video.height, video.pix_fmt, video.disposition = 64, 64, "yuvj420p", Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        packets = [*sound.encode(frame), *sound.encode(None)]
        picture = av.Packet(cover.getvalue())
        picture.stream, picture.pts, picture.dts = video, 0, 0
        container.mux([picture, *packets])


def write_cut_mp4(path: Path) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:2000])  # the index, at the end, is gone


BAD = {
    "sound only": ("sound.mp4", write_sound_only, "has no video track (found: audio)"),
    "song": ("song.mp3", write_song, "has no video track (found: audio, cover picture)"),
    "empty": ("empty.mp4", lambda path: path.touch(), "is empty (0 bytes)"),
    "text": ("text.mp4", lambda path: path.write_text("not a video\n" * 100), "is not a readable video"),
    "text as text": ("notes.txt", lambda path: path.write_text("not a video\n" * 100), "has no video track"),
    "cut mp4": ("cut.mp4", write_cut_mp4, "cut off or is incomplete, download it again"),
    "missing": ("missing.mp4", lambda path: None, "no such file or folder"),
    "no pictures": ("folder", lambda path: path.mkdir(), "holds no pictures"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("backend", ["auto", "pyav", pytest.param("torchcodec", marks=needs_torchcodec), "frames"])
def test_what_is_no_video_gets_one_clear_line(tmp_path: Path, backend: str, name: str) -> None:
    file, make, message = BAD[name]
    path = tmp_path / file
    make(path)
    with pytest.raises(VideoError) as caught:
        open_video(path, backend)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert len(text) < len(str(path)) + 200
    fits = path.is_dir() == (backend == "frames") or backend == "auto" or not path.exists()
    assert message in text if fits else "backend" in text


def test_pictures_of_different_size(tmp_path: Path) -> None:
    for number, width in enumerate((80, 80, 96)):
        Image.fromarray(numbered_frame(number, width, 64)).save(tmp_path / f"{number}.png")
    with open_video(tmp_path) as reader:
        assert read_numbers(reader.read([0, 1])) == [0, 1]
        with pytest.raises(VideoError, match=r"2\.png: is 96x64, but .* 80x64: make all the same size"):
            reader.read([2])


def test_folder_without_a_sound_picture_or_rate(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(VideoError, match="none of its 1 pictures can be decoded"):
        open_video(tmp_path)
    with pytest.raises(VideoError, match="expected a number above 0"):
        open_video(tmp_path, fps=0.0)
