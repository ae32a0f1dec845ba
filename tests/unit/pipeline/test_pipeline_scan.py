"""The one pass: what it keeps, what it holds, and bad files."""

from __future__ import annotations

import numpy as np
import pytest

from hawkeye.errors import VideoError
from hawkeye.pipeline.config import load_config
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.positions import similarity_frames
from hawkeye.pipeline.scan import _Keeper, buffer_size, from_jpeg, nearest, scan
from hawkeye.pipeline.scenes import scenes_from_cuts
from hawkeye.video.reader import open_video
from hawkeye.video.synthetic import numbered_frame, read_number, write_video


def test_scenes_and_the_pictures_of_each(tiny_videos, quick):
    result = scan(tiny_videos / "a.mp4", quick)
    assert result.scenes == [[0.0, 2.0], [2.0, 4.5], [4.5, 6.0]]
    assert (result.num_frames, result.num_corrupt, result.duration) == (60, 0, pytest.approx(6.0))
    wanted = {n for start, end in result.scenes for n in similarity_frames(start, end, result.fps)}
    assert wanted <= set(result.kept)
    with open_video(tiny_videos / "a.mp4") as reader:
        for number, jpeg in result.kept.items():
            picture = from_jpeg(jpeg).astype(float)
            exact = reader.read([number], 32).pixels[0].permute(1, 2, 0).numpy()
            assert picture.shape == (32, 42, 3)
            assert np.abs(picture - exact).mean() < 4  # JPEG


def test_every_frame_is_decoded_once(tiny_videos, quick, monkeypatch):
    from hawkeye.video import packets

    decoded = []
    original = packets.decode_packet
    monkeypatch.setattr(packets, "decode_packet", lambda s, p: decoded.extend(f := original(s, p)) or f)
    scan(tiny_videos / "b.mp4", quick)
    assert len(decoded) - 1 <= 30  # the packet table decodes the first picture, to learn its size
    assert len(decoded) >= 30


def test_a_video_without_cuts_is_one_scene(tiny_videos, quick):
    assert scan(tiny_videos / "b.mp4", quick).scenes == [[0.0, 3.0]]


def test_a_long_scene_is_thinned_evenly_and_short_ones_after_it_are_exact(tmp_path, quick):
    """Frames say their own number, so the kept picture can be told."""
    frames = [numbered_frame(i, 64, 48) for i in range(300)]
    path = write_video(tmp_path / "v.mp4", frames, fps=25, crf=10, preset="ultrafast")
    config = load_config(
        overrides=["scenes.threshold=250", "frames.short_side=48", "similarity.frames_per_scene=5", "device=cpu"]
    )
    result = scan(path, config)
    assert result.scenes == [[0.0, 12.0]]
    for wanted in similarity_frames(0.0, 12.0, result.fps, 5):
        kept = nearest(sorted(result.kept), wanted)
        assert abs(kept - wanted) <= 4  # 300 frames in a buffer of 64: every 8th is held
        assert read_number(from_jpeg(result.kept[kept])) == kept


class Counted:
    """A frame as far as `_Keeper` goes, that counts how many of its kind are alive."""

    alive = 0

    def __init__(self, index, nbytes):
        self.index, self.time, self.nbytes = index, index / 25, nbytes
        Counted.alive += 1

    def __del__(self):
        Counted.alive -= 1

    def picture(self, short_side):
        return np.zeros((8, 8, 3), dtype=np.uint8)


def test_no_more_frames_are_held_however_long_the_scene(quick):
    for nbytes in (640 * 360 * 3 // 2, 1920 * 1080 * 3 // 2, 7680 * 4320 * 3 // 2):
        keeper, most = _Keeper(quick, 25.0), 0
        for index in range(20_000):
            keeper.add(Counted(index, nbytes))
            most = max(most, Counted.alive)
        assert most <= buffer_size(nbytes) + 1
        assert most * nbytes < 450 * 2**20
        keeper.end(800.0)
        numbers = sorted(keeper.kept)
        for wanted in similarity_frames(0.0, 800.0, 25.0):
            assert abs(nearest(numbers, wanted) - wanted) <= 20_000 / buffer_size(nbytes) * 2
        del keeper
        assert Counted.alive == 0


def test_ten_thousand_cuts(quick):
    scenes = scenes_from_cuts([i / 2 for i in range(1, 10_001)], 5001.0)
    assert len(scenes) == 10_001
    merged, similarity = merge_scenes(scenes, np.eye(100))
    assert len(merged) == len(similarity) == 100
    keeper = _Keeper(quick, 2.0)
    for index in range(2000):
        keeper.cut(index / 2 + 0.5, __import__("collections").deque([Counted(index, 100)])) if index else None
    assert len(keeper.kept) <= 100 * 4


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"no video at all" * 50, "not a readable video|no video track")],
)
def test_files_that_are_no_video(tmp_path, quick, content, message):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=message):
        scan(path, quick)


def test_a_truncated_video_gives_what_there_is(tiny_videos, tmp_path, quick):
    whole = write_video(tmp_path / "whole.mkv", [numbered_frame(i, 64, 48) for i in range(100)], fps=25, g=10)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    result = scan(broken, quick)
    assert result.scenes
    assert 30 < result.num_frames < 100


def test_nearest_takes_the_earlier_of_two():
    assert nearest([2, 4, 10], 3) == 2
    assert nearest([2, 4, 10], 99) == 10
