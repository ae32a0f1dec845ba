"""Where the video of an example is looked for: recorded name rules, known suffixes, fewer folders."""

from __future__ import annotations

import json

import pytest
from tests.conftest import GOLDEN

from hawkeye.datasets.registry import load_dataset, resolve_video
from hawkeye.datasets.videos import STORED_AS, bare_name, clevrer_name, stored_name, webvid_name
from hawkeye.errors import AnnotationError, ConfigError, VideoError
from hawkeye.records import GroundingExample, InstructionExample

MAPPING = json.loads((GOLDEN / "data/path_mapping.json").read_text(encoding="utf-8"))


def example(video):
    return GroundingExample("x", video, "q")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_recorded_names():
    for name, stored in MAPPING["activitynet"]:
        assert bare_name(name) == stored
    for name, stored in MAPPING["clevrer"]:
        assert clevrer_name(name) == stored
    rules = {"webvid": webvid_name, "anet_path_mapping": bare_name, "clevrer_path_mapping": clevrer_name}
    assert {name: rules[rule] for name, rule in MAPPING["mapping_by_dataset_name"].items()} == STORED_AS


def test_recorded_webvid_names_and_the_missing_one(tmp_path):
    for name in MAPPING["webvid"]["available_ids"]:
        (tmp_path / name[:3] / name).mkdir(parents=True)
    for name, stored in MAPPING["webvid"]["cases"]:
        annotations = tmp_path / "it.json"
        annotations.write_text(json.dumps([{"video": name, "QA": [{"q": "?", "a": "!"}]}]), encoding="utf-8")
        (read,) = load_dataset("instruction", annotations, stored_as="caption_webvid").examples
        if stored is None:
            with pytest.raises(VideoError, match="/missing: no such video"):
                resolve_video(read, tmp_path)
        else:
            assert resolve_video(read, tmp_path) == tmp_path / stored


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("AO8RW.mp4", "AO8RW.mp4"),
        ("AO8RW.mp4", "AO8RW.webm"),
        ("v_uqiMw7tQ1Cc", "v_uqiMw7tQ1Cc.mkv"),
        ("NUsG9BgSes0_210.0_360.0.mp4", "NUsG9BgSes0_210.0_360.0.avi"),
        ("NUsG9BgSes0_210.0_360.0", "NUsG9BgSes0_210.0_360.0.mp4"),
        ("1021/4129080039.mp4", "1021/4129080039.mp4"),
        ("1021/4129080039.mp4", "4129080039.mp4"),
        ("star/Charades_v1_480/ZS9XR.mp4", "Charades_v1_480/ZS9XR.mp4"),
        ("vlnqa/left/4504_frame52.mp4", "left/4504_frame52.mp4"),
        ("tgif.gif", "tgif.gif"),
    ],
)
def test_names_that_are_tried(name, there, tmp_path):
    path = touch(tmp_path / there)
    assert resolve_video(example(name), tmp_path) == path


def test_order_whole_name_first_and_folders_of_pictures(tmp_path):
    frames = tmp_path / "castle_frames/castle_s01"
    touch(frames / "00001.jpg")
    assert resolve_video(example("castle_frames/castle_s01"), tmp_path) == frames
    assert resolve_video(example("castle_frames/castle_s01.mp4"), tmp_path) == frames
    touch(tmp_path / "castle_s01.mp4")
    assert resolve_video(example("castle_frames/castle_s01"), tmp_path) == frames
    here = touch(tmp_path / "elsewhere/a.mp4")
    assert resolve_video(example(str(here)), tmp_path) == here
    assert resolve_video(InstructionExample("x", "elsewhere/a.mp4", ()), tmp_path) == here


def test_errors(tmp_path):
    with pytest.raises(VideoError, match=r"a\.mp4: no such video under .*tried a\.mp4, a\.mkv, a\.webm and 6 more"):
        resolve_video(example("a.mp4"), tmp_path)
    with pytest.raises(VideoError, match="no such video"):
        resolve_video(example("a" * 300), tmp_path)
    with pytest.raises(VideoError, match="no such folder of videos"):
        resolve_video(example("a.mp4"), tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no rule of file names for 'webvid'"):
        stored_name("a.mp4", "webvid")
    with pytest.raises(AnnotationError, match="expected a CLEVRER name"):
        clevrer_name("movie.mp4")
