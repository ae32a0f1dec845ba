"""Every backend on every kind of good file: the exact frames with their exact times (bad files: test_video_bad_files.py).

All files are made here, from frames that carry their own number, so a wrong frame can't pass for the right one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hawkeye.errors import MissingDependency, VideoError
from hawkeye.video.reader import Frames, VideoReader, indices_at, open_video, read_at
from hawkeye.video.synthetic import numbered_frame, read_numbers, write_video

COUNT, FPS = 60, 25.0
CONSTANT = [i / FPS for i in range(COUNT)]
VARIABLE = list(np.cumsum([0.0, *random.Random(1).choices((0.02, 0.04, 0.1, 0.5), k=COUNT - 1)]).round(3))
GIF_DELAYS = [20, 50, 100, 20, 300, 70] * 2  # milliseconds


def torchcodec_loads() -> bool:
    from hawkeye.video import torchcodec_reader

    try:
        torchcodec_reader.load_torchcodec()
    except MissingDependency:
        return False
    return True


FILE_BACKENDS = [
    "pyav",
    pytest.param(
        "torchcodec", marks=pytest.mark.skipif(not torchcodec_loads(), reason="torchcodec does not load here")
    ),
]


@dataclass(frozen=True)
class Good:
    """A file that every backend reads exactly (or, for those in ``refused``, says clearly that it does not)."""

    make: Callable[[Path], object]
    name: str = "video.mp4"
    times: Sequence[float] = field(default_factory=lambda: CONSTANT)
    size: tuple[int, int] = (80, 64)  # width, height as shown
    rotation: int = 0
    refused: tuple[str, ...] = ()


def numbered(size: tuple[int, int] = (80, 64), count: int = COUNT, turn: int = 0) -> Iterator[np.ndarray]:
    """Numbered frames, stored turned clockwise so that a player has to turn them back."""
    for number in range(count):
        yield np.rot90(numbered_frame(number, *size), -turn // 90)


def write(path: Path, **options: object) -> Path:
    return write_video(path, numbered(), fps=FPS, **{"g": 12, "bf": 0, **options})  # type: ignore[arg-type]


def write_bare_stream(path: Path) -> None:
    """H.264 without a container: no times at all."""
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        for picture in numbered():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_edited(path: Path) -> None:
    """An mp4 cut without re-encoding: it holds frames 12 to 59, and an edit list that hides those before 20."""
    source = write(path.with_name("whole.mp4"))
    with av.open(str(source)) as read, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.pts is not None and packet.pts >= 12 * 512:
                packet.pts, packet.dts, packet.stream = packet.pts - 20 * 512, packet.dts - 20 * 512, stream
                container.mux(packet)


def write_gif(path: Path) -> None:
    pictures = [Image.fromarray(numbered_frame(i, 80, 64)) for i in range(len(GIF_DELAYS))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=GIF_DELAYS)


GOOD = {
    "constant rate": Good(write),
    "b-frames": Good(lambda path: write(path, g=25, bf=3)),
    "b-frames, open groups": Good(lambda path: write(path, **{"g": 15, "bf": 2, "x264-params": "open-gop=1"})),
    "no key frame but the first": Good(lambda path: write(path, g=1000, bf=2, sc_threshold=0)),
    "variable rate": Good(lambda path: write(path, bf=2, times=VARIABLE), times=VARIABLE),
    "late start": Good(lambda path: write(path, bf=2, times=[t + 1.5 for t in CONSTANT])),
    "with sound": Good(lambda path: write(path, tone=440.0)),
    "29.97 a second": Good(
        lambda path: write_video(path, numbered(), fps=30000 / 1001, g=12),
        times=[i * 1001 / 30000 for i in range(COUNT)],
    ),
    "transport stream": Good(lambda path: write(path, bf=2), "video.ts", refused=("torchcodec",)),
    "matroska": Good(lambda path: write(path, bf=2), "video.mkv"),
    "webm, vp9, odd size": Good(
        lambda path: write_video(path, numbered((71, 53)), fps=FPS, codec="libvpx-vp9", g=12), "odd.webm", size=(71, 53)
    ),
    "hevc, open groups": Good(
        lambda path: write_video(path, numbered(), codec="libx265", **{"x265-params": "log-level=none:keyint=15"})
    ),
    "mpeg-4 in avi": Good(
        lambda path: write_video(path, numbered(), codec="mpeg4", g=12, bf=2), "video.avi", refused=("torchcodec",)
    ),
    "b-frames in avi": Good(lambda path: write(path, bf=2), "video.avi", refused=("torchcodec",)),
    "bare stream": Good(write_bare_stream, "video.h264", refused=("torchcodec",)),
    "one frame": Good(lambda path: write_video(path, numbered(count=1), fps=FPS), times=[0.0]),
    "two frames": Good(lambda path: write_video(path, numbered(count=2), fps=FPS), times=[0.0, 0.04]),
    **{
        f"turned {turn}": Good(
            lambda path, turn=turn: write_video(path, numbered(turn=turn), fps=FPS, rotation=turn, g=12), rotation=turn
        )
        for turn in (90, 180, 270)
    },
    "a name with : and ünïcode": Good(write, "a: wéird näme?.mp4"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a good file by its name in GOOD, made when first asked for."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("good") / GOOD[name].name
            GOOD[name].make(made[name])
        return made[name]

    return get


def assert_exact(reader: VideoReader, asked: Sequence[int], times: Sequence[float]) -> None:
    frames = reader.read(asked)
    assert read_numbers(frames) == list(asked)
    assert frames.times == pytest.approx([times[i] for i in asked], abs=1.1e-3)


def read_all(path: Path, backend: str) -> Frames:
    with open_video(path, backend) as reader:  # type: ignore[arg-type]
        return reader.read(range(reader.info.num_frames))


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("backend", FILE_BACKENDS)
def test_good_file_is_read_exactly(files: Callable[[str], Path], backend: str, name: str) -> None:
    case, path = GOOD[name], files(name)
    count = len(case.times)
    if backend in case.refused:
        with pytest.raises(VideoError, match="use backend='pyav'"):
            read_all(path, backend)
        return
    with open_video(path, backend) as reader:
        info = reader.info
        assert (info.num_frames, info.width, info.height) == (count, *case.size)
        assert (info.rotation, info.num_corrupt, info.has_audio) == (case.rotation, 0, name == "with sound")
        assert info.duration > case.times[-1]
        assert reader.times == pytest.approx(np.array(case.times), abs=1.1e-3)
        assert reader.times[0] == 0
        assert_exact(reader, range(count), case.times)  # one sweep
        for index in range(count - 1, -1, -7):  # backwards, alone
            assert_exact(reader, [index], case.times)
        chosen = [i % count for i in (57, 3, 3, 24, 12, 11, 35, 36, 0, 59)]  # in any order, with repeats
        assert_exact(reader, chosen, case.times)
        assert read_numbers(read_at(reader, [case.times[i] + 1e-4 for i in chosen])) == chosen
    with open_video(path, backend) as reader:  # a fresh reader, straight to the end
        assert_exact(reader, [count - 1], case.times)


def test_frames_hidden_by_an_edit_list_do_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "edited.mp4"
    write_edited(path)
    with open_video(path) as reader:
        assert reader.info.num_frames == 40
        assert read_numbers(reader.read([0, 39, 17, 4])) == [20, 59, 37, 24]
        assert reader.read([39]).times == pytest.approx([39 / FPS])


def test_gif_keeps_its_delays(tmp_path: Path) -> None:
    path = tmp_path / "video.gif"
    write_gif(path)
    with open_video(path) as reader:
        starts = np.cumsum([0, *GIF_DELAYS])
        assert reader.times == pytest.approx(starts[:-1] / 1000)
        assert reader.info.duration == pytest.approx(starts[-1] / 1000)
        assert_exact(reader, [11, 4, 4, 0, 7], [float(t) for t in starts[:-1] / 1000])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_folder_of_pictures(tmp_path: Path, suffix: str) -> None:
    for number in range(12):  # frame2 must come before frame10
        Image.fromarray(numbered_frame(number, 80, 64)).save(tmp_path / f"frame{number}.{suffix}")
    (tmp_path / "notes.txt").write_text("not a picture")
    with open_video(tmp_path, fps=2.0) as reader:
        assert reader.info.duration == 6.0
        assert_exact(reader, [11, 2, 10, 10, 0], [i / 2 for i in range(12)])
        assert indices_at(reader, [-1.0, 0.49, 0.5, 100.0]) == [0, 0, 1, 11]
        small = reader.read([5, 6], short_side=32)
        assert small.pixels.shape == (2, 3, 32, 40)
        assert read_numbers(small) == [5, 6]


@pytest.mark.parametrize("backend", FILE_BACKENDS)
@pytest.mark.parametrize(
    ("name", "shape"), [("b-frames", (32, 40)), ("turned 90", (32, 40)), ("webm, vp9, odd size", (32, 42))]
)
def test_short_side_scales_while_decoding(
    files: Callable[[str], Path], backend: str, name: str, shape: tuple[int, int]
) -> None:
    with open_video(files(name), backend) as reader:
        frames = reader.read([40, 7], short_side=32)
        assert frames.pixels.shape == (2, 3, *shape)
        assert read_numbers(frames) == [40, 7]
        assert reader.read([7], short_side=1000).pixels.shape[2:] == (reader.info.height, reader.info.width)
        assert reader.read([], short_side=32).pixels.shape == (0, 3, *shape)


@pytest.mark.parametrize("backend", FILE_BACKENDS)
def test_frames_outside_and_closed_reader(files: Callable[[str], Path], backend: str) -> None:
    reader = open_video(files("constant rate"), backend)
    with pytest.raises(VideoError, match=rf"frame 60 was asked .* frames 0 to 59 \(backend {backend}\)"):
        reader.read([0, 60])
    with pytest.raises(VideoError, match="frame -1 was asked"):
        reader.read([-1])
    reader.close()
    reader.close()
    with pytest.raises(VideoError, match="is closed"):
        reader.read([0])


def test_unknown_backend(files: Callable[[str], Path]) -> None:
    with pytest.raises(VideoError, match="backend 'opencv' is unknown"):
        open_video(files("constant rate"), "opencv")  # type: ignore[arg-type]
