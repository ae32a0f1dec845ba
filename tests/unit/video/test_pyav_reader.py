"""The default reader's inner promises: any request is exact, one sweep, one table for a file, threads, colours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkeye.errors import VideoError
from hawkeye.video import packets, sweep
from hawkeye.video.packets import packet_table
from hawkeye.video.pyav import PyAVReader, _Painter, describe_ffmpeg
from hawkeye.video.synthetic import numbered_frame, read_number, read_numbers, write_video
from hawkeye.video.transforms import resize

COUNT = 120


def numbered(count: int = COUNT) -> Iterator[np.ndarray]:
    return (numbered_frame(number, 80, 64) for number in range(count))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups of 30 frames, with B-frames that other B-frames are made from."""
    path = tmp_path_factory.mktemp("pyav") / "video.mp4"
    return write_video(path, numbered(), g=30, bf=3, b_pyramid="normal", sc_threshold=0)


@pytest.fixture(scope="module")
def reader(video: Path) -> Iterator[PyAVReader]:
    with PyAVReader(video) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(requests=st.lists(st.lists(st.integers(0, COUNT - 1), max_size=12), min_size=1, max_size=4))
def test_any_sequence_of_requests_is_exact(reader: PyAVReader, requests: list[list[int]]) -> None:
    """The reader carries on from where the last request ended if it can: that must never show."""
    for asked in requests:
        frames = reader.read(asked)
        assert read_numbers(frames) == asked
        assert list(frames.times) == [float(reader.times[i]) for i in asked]


@settings(max_examples=20, deadline=None)
@given(step=st.integers(1, 20), batch=st.integers(1, 30), first=st.integers(0, 50))
def test_rising_requests_are_exact(video: Path, step: int, batch: int, first: int) -> None:
    asked = list(range(first, COUNT, step))
    with PyAVReader(video) as opened:
        for low in range(0, len(asked), batch):
            assert read_numbers(opened.read(asked[low : low + batch])) == asked[low : low + batch]


def test_successive_requests_are_one_sweep(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    original = sweep.Sweep._packets_from
    monkeypatch.setattr(sweep.Sweep, "_packets_from", lambda self, key: starts.append(key) or original(self, key))
    with PyAVReader(video) as opened:
        for low in range(0, COUNT, 10):
            opened.read(range(low, low + 10))
        assert starts == [0]
        opened.read([95, 119])
        assert starts == [0, 90]
        opened.read([5, 70])  # far apart: two
        assert starts == [0, 90, 0, 60]


def test_pictures_that_nobody_needs_are_not_decoded(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    original = sweep.decode_packet

    def counting(stream: av.VideoStream, packet: av.Packet) -> list[av.VideoFrame]:
        frames = original(stream, packet)
        decoded.append(len(frames))
        return frames

    monkeypatch.setattr(sweep, "decode_packet", counting)
    with PyAVReader(video) as opened:
        assert read_numbers(opened.read([29])) == [29]
    assert 0 < sum(decoded) < 25  # of 30 in its group


def test_packet_table_is_read_once_for_each_version_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[Path] = []
    original = packets._scan
    monkeypatch.setattr(packets, "_scan", lambda path: scans.append(path) or original(path))
    path = write_video(tmp_path / "video.mp4", numbered(10))
    for _ in range(3):
        with PyAVReader(path) as opened:
            opened.read([3])
    assert len(scans) == 1
    write_video(path, numbered(20))
    with PyAVReader(path) as opened:
        assert opened.info.num_frames == 20
    assert len(scans) == 2
    assert packet_table(path) is packet_table(path)


def test_number_of_kept_tables_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "CACHE_SIZE", 2)
    for name in "abc":
        packet_table(write_video(tmp_path / f"{name}.mp4", numbered(2)))
    assert len(packets._tables) == 2


def test_two_readers_of_one_file_and_two_threads_on_one_reader(video: Path) -> None:
    wrong: list[object] = []

    def work(opened: PyAVReader, seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(15):
            asked = generator.integers(0, COUNT, 6).tolist()
            if read_numbers(opened.read(asked)) != asked:
                wrong.append(asked)

    with PyAVReader(video) as one, PyAVReader(video) as two:
        threads = [threading.Thread(target=work, args=(r, s)) for s, r in enumerate((one, two, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong


def test_reading_goes_on_after_an_interrupt(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PyAVReader(video) as opened:
        opened.read([2])
        with monkeypatch.context() as patched:
            patched.setattr(sweep, "decode_packet", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                opened.read([9])
        assert read_numbers(opened.read([9, 40])) == [9, 40]
        assert opened.info.num_corrupt == 0


def test_file_that_goes_away_between_opening_and_reading(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.mp4", numbered(5))
    opened = PyAVReader(path)
    path.unlink()
    with pytest.raises(VideoError, match="No such file"):
        opened.read([0])


def test_scaling_while_decoding_is_close_to_scaling_afterwards(video: Path) -> None:
    y, x = np.mgrid[:240, :320]
    smooth = np.stack([x * 255 // 320, y * 255 // 240, (x + y) * 255 // 560], axis=2).astype(np.uint8)
    path = write_video(video.with_name("smooth.mp4"), [smooth] * 2, crf=5)
    with PyAVReader(path) as opened:
        small = opened.read([0], short_side=60).pixels
        after = resize(opened.read([0]).pixels, 60, 80)
    assert small.shape == (1, 3, 60, 80)
    assert (small.float() - after.float()).abs().mean() < 1.5


@pytest.mark.parametrize(("space", "tag"), [("ITU709", 1), ("ITU601", 6)])
def test_colours_follow_the_files_own_colour_space(tmp_path: Path, space: str, tag: int) -> None:
    """A saturated picture, tagged BT.709 or BT.601: read with the other's matrix it would be off by 20 and more."""
    path = tmp_path / "colour.mp4"
    picture = np.zeros((64, 80, 3), np.uint8)
    picture[:, :40], picture[:, 40:] = (220, 30, 30), (30, 180, 60)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.codec_context.colorspace = tag
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p", dst_colorspace=space)
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with PyAVReader(path) as opened:
        shown = opened.read([0]).pixels[0]
    expected = torch.from_numpy(picture).permute(2, 0, 1)
    assert (shown[:, 20, 20].int() - expected[:, 20, 20].int()).abs().max() <= 6
    assert (shown[:, 20, 60].int() - expected[:, 20, 60].int()).abs().max() <= 6


def test_colour_space_that_does_not_exist(video: Path) -> None:
    frame = av.VideoFrame.from_ndarray(numbered_frame(7, 80, 64), format="rgb24").reformat(format="yuv420p")
    frame.colorspace = 3  # "reserved" in the standard
    assert read_number(_Painter(video, packet_table(video), None)(frame)) == 7


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_all_eight_orientations(tmp_path: Path, degrees: int, hflip: bool) -> None:
    path = tmp_path / "turned.mp4"
    stored = np.random.default_rng(1).integers(0, 2, (4, 5), dtype=np.uint8).repeat(16, 0).repeat(16, 1) * 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.set_display_rotation(degrees, hflip=hflip)
        frame = av.VideoFrame.from_ndarray(np.repeat(stored[..., None], 3, 2), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    shown = np.rot90(stored, degrees // 90)  # counter-clockwise, then mirrored
    shown = shown[:, ::-1] if hflip else shown
    with PyAVReader(path) as opened:
        pixels = opened.read([0]).pixels[0, 0].numpy()
    assert pixels.shape == shown.shape
    assert ((pixels > 127) == (shown > 127)).mean() > 0.98


def test_describe_ffmpeg_names_versions() -> None:
    assert av.__version__ in describe_ffmpeg()
    assert "libavcodec" in describe_ffmpeg()
