"""Numbered frames, written videos and exact cuts, read back from the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hawkeye.errors import VideoError
from hawkeye.video.cut import cut_clip
from hawkeye.video.reader import open_video
from hawkeye.video.synthetic import numbered_frame, pattern_frame, read_number, read_numbers, write_video

TONES = (440.0, 880.0)


@settings(deadline=None)
@given(st.integers(0, 65535), st.integers(30, 400), st.integers(24, 300))
def test_number_is_read_back(number: int, width: int, height: int) -> None:
    picture = numbered_frame(number, width, height)
    assert picture.shape == (height, width, 3)
    assert read_number(picture) == number
    turned = read_number(picture[::-1])
    assert turned != number or np.array_equal(picture, picture[::-1])


def test_pictures_without_a_number() -> None:
    for level in (0, 128, 255):
        assert read_number(np.full((48, 64, 3), level, np.uint8)) is None
    one_block_wrong = numbered_frame(7, 80, 64)
    one_block_wrong[:16, :16] = 255 - one_block_wrong[:16, :16]
    assert read_number(one_block_wrong) is None


def test_pattern_frame_follows_its_formula() -> None:
    picture = pattern_frame(10)
    assert picture.shape == (36, 48, 3)
    assert picture[20, 30, 2] == (37 * 10 + 5 * 20 + 3 * 30 + 61 * 2 + 20 * 30 // 7) % 256


def test_nothing_to_write_and_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no frames to write"):
        write_video(tmp_path / "a.mp4", [])
    with pytest.raises(VideoError, match=r"'\.xyz' is no video format"):
        write_video(tmp_path / "a.xyz", [numbered_frame(0, 80, 64)])
    with pytest.raises(VideoError, match="can't be written"):
        write_video(tmp_path / "a.webm", [numbered_frame(0, 80, 64)], codec="libx264")  # webm holds no H.264
    assert list(tmp_path.iterdir()) == []


def test_interrupted_writing_leaves_no_file(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield numbered_frame(0, 80, 64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames())
    assert list(tmp_path.iterdir()) == []


# ---- cutting ---------------------------------------------------------------------------------------------------------


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    """Mono samples and their rate."""
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate(blocks, axis=1).mean(0), container.streams.audio[0].rate


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * rate / len(samples))


@pytest.mark.parametrize("name", ["video.mp4", "video.webm", "video.ts"])
def test_cut_is_exact_and_keeps_the_sound(tmp_path: Path, name: str) -> None:
    options = {"codec": "libvpx-vp9"} if name.endswith("webm") else {"bf": 2}
    source = write_video(tmp_path / name, (numbered_frame(i, 80, 64) for i in range(100)), tone=440.0, g=40, **options)
    target = cut_clip(source, (1.0, 2.6), tmp_path / "new" / "cut.mp4")
    with open_video(target) as reader:
        assert read_numbers(reader.read(range(reader.info.num_frames))) == list(range(25, 65))
        assert reader.info.duration == pytest.approx(1.6, abs=0.05)
        assert reader.info.has_audio
    samples, rate = sound_of(target)
    assert len(samples) / rate == pytest.approx(1.6, abs=0.06)
    assert loudest_hertz(samples, rate) == pytest.approx(440, abs=3)
    assert np.abs(samples[: rate // 10]).max() > 0.1  # it begins at once
    assert [path.name for path in target.parent.iterdir()] == ["cut.mp4"]


def test_cut_takes_the_sound_of_its_own_stretch(tmp_path: Path) -> None:
    """Silence up to 1 s, then a tone: the cut around that second has both, in their places."""
    source = tmp_path / "late.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 80, 64, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(75):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered_frame(number, 80, 64), format="rgb24")))
        container.mux(video.encode(None))
        tone = np.sin(2 * np.pi * 440 * np.arange(3 * 48000) / 48000) * (np.arange(3 * 48000) >= 48000)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux([*audio.encode(frame), *audio.encode(None)])
    samples, rate = sound_of(cut_clip(source, (0.5, 1.5), tmp_path / "cut.mp4"))
    begins = int(np.argmax(np.abs(samples) > 0.2)) / rate
    assert begins == pytest.approx(0.5, abs=0.03)
    assert np.abs(samples[: int(0.4 * rate)]).max() < 0.05
    assert np.abs(samples[int(0.6 * rate) : int(0.9 * rate)]).max() > 0.5


def test_cut_of_variable_rate_keeps_the_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.6, 1.5, 1.6, 2.0]
    source = write_video(tmp_path / "a.mp4", (numbered_frame(i, 80, 64) for i in range(7)), times=times)
    with open_video(cut_clip(source, (0.55, 1.7), tmp_path / "cut.mkv")) as reader:
        assert read_numbers(reader.read(range(4))) == [2, 3, 4, 5]  # 2 is the one on screen at 0.55 s
        assert reader.times == pytest.approx([0.0, 0.05, 0.95, 1.05])


def test_cut_of_a_folder_with_odd_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        Image.fromarray(numbered_frame(number, 81, 65)).save(folder / f"{number}.png")
    with open_video(cut_clip(folder, (1.0, 2.0), tmp_path / "cut.mp4")) as reader:  # 3 pictures a second
        assert read_numbers(reader.read(range(3))) == [3, 4, 5]
        assert (reader.info.width, reader.info.height) == (80, 64)


@pytest.mark.parametrize(
    ("span", "out", "message"),
    [
        ((5.0, 6.0), "cut.mp4", "nothing to cut at"),
        ((0.3, 0.1), "cut.mp4", "nothing to cut at"),
        ((float("nan"), 0.2), "cut.mp4", "nothing to cut at"),
        ((0.0, 0.2), "cut.gif", "expected a name that ends in .mp4"),
        ((0.0, 0.2), "video.mp4", "is the video itself"),
    ],
)
def test_impossible_cuts(tmp_path: Path, span: tuple[float, float], out: str, message: str) -> None:
    source = write_video(tmp_path / "video.mp4", (numbered_frame(i, 80, 64) for i in range(10)))
    before = source.read_bytes()
    with pytest.raises(VideoError, match=message):
        cut_clip(source, span, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]
    assert source.read_bytes() == before
