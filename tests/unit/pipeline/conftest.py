"""Tiny videos of plain colours, made once, and the settings that take them through the pipeline in a blink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawkeye.pipeline.config import InternVidGConfig, load_config
from hawkeye.video.synthetic import write_video

FPS = 10.0
COLOURS = {
    "red": (200, 30, 30),
    "blue": (40, 70, 200),
    "green": (40, 150, 50),
    "yellow": (240, 230, 50),
    "white": (255, 255, 255),
}
QUICK = [
    *("similarity.embedder=colours", "similarity.weights=null", "captions.captioner=colours", "captions.weights=null"),
    *("frames.short_side=32", "scenes.min_scene_frames=5"),
]


def paint(scenes: list[tuple[str, int]], width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Frames (H, W, 3) of scenes (colour, number of frames), with a bar that moves so that no two frames are equal."""
    frames = []
    for colour, count in scenes:
        for i in range(count):
            picture = np.full((height, width, 3), COLOURS[colour], dtype=np.uint8)
            picture[:4, : 1 + i % width] = 128
            frames.append(picture)
    return frames


VIDEOS = {
    "a.mp4": [("red", 20), ("blue", 25), ("red", 15)],
    "b.mp4": [("green", 30)],
    "sub/c.mp4": [("yellow", 16), ("white", 22), ("green", 20), ("blue", 14)],
    "d.mp4": [("blue", 18), ("red", 24)],
}


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_videos")
    (folder / "sub").mkdir()
    for name, scenes in VIDEOS.items():
        write_video(folder / name, paint(scenes), fps=FPS, crf=10)
    return folder


@pytest.fixture(scope="session")
def quick() -> InternVidGConfig:
    return load_config(preset="paper", overrides=QUICK)
