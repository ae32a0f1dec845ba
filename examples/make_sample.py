"""Make ``space_cat_coffee.mp4`` and ``queries.jsonl``: six free photographs, shown with camera moves, cuts and fades.

The photographs ship inside scikit-image (``pip install scikit-image``); their origin and licences are in README.md beside
this file. Run:  python examples/make_sample.py
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hawkeye.records import atomic_write
from hawkeye.video.synthetic import write_video

HERE = Path(__file__).parent
SIZE, FPS, FADE = (640, 360), 25, 12  # a fade takes 12 frames, half in each shot


@dataclass(frozen=True)
class Shot:
    """``start`` and ``end``: (centre x, centre y, width) of the camera's view, as fractions of the picture's size."""

    picture: str
    seconds: float
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    fades_in: bool
    queries: tuple[str, ...]


SHOTS = (
    Shot(
        "hubble_deep_field.jpg",
        7.0,
        (0.5, 0.5, 1.0),
        (0.45, 0.4, 0.5),
        False,
        ("Many distant galaxies in the night sky.",),
    ),
    Shot("rocket.jpg", 8.0, (0.5, 0.75, 0.8), (0.5, 0.45, 0.8), True, ("A rocket lifts off from the launch pad.",)),
    Shot(
        "astronaut.png",
        7.0,
        (0.5, 0.35, 1.0),
        (0.45, 0.3, 0.7),
        False,
        ("An astronaut in an orange space suit smiles.",),
    ),
    Shot("coffee.png", 8.0, (0.35, 0.5, 0.75), (0.62, 0.5, 0.75), True, ("A cup of coffee on a wooden table.",)),
    Shot("chelsea.png", 8.0, (0.5, 0.5, 1.0), (0.45, 0.5, 0.6), False, ("A cat looks into the camera.",)),
    Shot("motorcycle_left.png", 8.0, (0.3, 0.5, 0.7), (0.65, 0.5, 0.7), True, ("A motorcycle stands in a garage.",)),
)


def pictures_folder() -> Path:
    """The data folder inside scikit-image, found without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("scikit-image is not installed: run  pip install scikit-image")
    return Path(spec.submodule_search_locations[0]) / "data"


def shot_frames(shot: Shot, folder: Path) -> list[np.ndarray]:
    """The shot's frames, uint8 (H, W, 3): the camera glides from one view to the other."""
    picture = Image.open(folder / shot.picture).convert("RGB")
    count = round(shot.seconds * FPS)
    frames = []
    for i in range(count):
        t = i / max(1, count - 1)
        ease = t * t * (3 - 2 * t)
        x, y, width = (a + (b - a) * ease for a, b in zip(shot.start, shot.end, strict=True))
        w = width * picture.width
        h = w * SIZE[1] / SIZE[0]
        if h > picture.height:
            w, h = picture.height * SIZE[0] / SIZE[1], float(picture.height)
        left = min(max(x * picture.width - w / 2, 0), picture.width - w)
        top = min(max(y * picture.height - h / 2, 0), picture.height - h)
        view = picture.resize(SIZE, Image.Resampling.BICUBIC, box=(left, top, left + w, top + h))
        frames.append(np.asarray(view))
    return frames


def video_frames(folder: Path) -> Iterator[np.ndarray]:
    """All shots one after another; a fade mixes the last frames of one with the first of the next, around the border."""
    shots = [shot_frames(shot, folder) for shot in SHOTS]
    for number, frames in enumerate(shots):
        for i, frame in enumerate(frames):
            yield _faded(shots, number, i, frame)


def _faded(shots: list[list[np.ndarray]], number: int, i: int, frame: np.ndarray) -> np.ndarray:
    half, left_in_shot = FADE // 2, len(shots[number]) - i
    if SHOTS[number].fades_in and i < half:
        other, weight = shots[number - 1][-1], 0.5 - i / FADE
    elif number + 1 < len(SHOTS) and SHOTS[number + 1].fades_in and left_in_shot <= half:
        other, weight = shots[number + 1][0], 0.5 - (left_in_shot - 1) / FADE
    else:
        return frame
    return (frame * (1 - weight) + other * weight).round().astype(np.uint8)


def main() -> None:
    write_video(HERE / "space_cat_coffee.mp4", video_frames(pictures_folder()), fps=FPS, crf=27)
    start = 0.0
    with atomic_write(HERE / "queries.jsonl") as file:
        for shot in SHOTS:
            for query in shot.queries:
                row = {"video": "space_cat_coffee.mp4", "query": query, "start": start, "end": start + shot.seconds}
                file.write(json.dumps(row) + "\n")
            start += shot.seconds


if __name__ == "__main__":
    main()
