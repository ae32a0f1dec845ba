"""Small captioned pictures that the tests draw themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan", "white", "orange")
CLASSES = (207, 281, 407, 555, 805, 970, 980, 1)  # a dog, a cat, two vehicles, a ball, two landscapes, a fish


@pytest.fixture(scope="session")
def class_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labels.jsonl: eight ImageNet classes, one plain colour each, some upright and some lying."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number, (colour, index) in enumerate(zip(COLOURS, CLASSES, strict=True)):
        picture = Image.new("RGB", (80, 60) if number % 2 else (60, 90), colour)
        ImageDraw.Draw(picture).rectangle((20, 20, 40, 40), fill="black")
        picture.save(folder / f"{number}.png")
        rows.append({"image": f"{number}.png", "class_index": index})
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder
