"""Every kind of data set, in one run: official files, JSON lines, rows of the pipeline, instruction data, pictures, shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from hawkeye.train.config import TrainConfig
from hawkeye.train.distributed import World
from hawkeye.train.loop import train
from hawkeye.train.mixture import Entry
from hawkeye.train.run import Run
from hawkeye.train.shards import write_shards
from hawkeye.train.sources import SourceConfig, load_source

WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture
def sources(mini: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """One source of each kind, each with four examples or more."""
    rows = [
        {
            "video": f"{name}.mp4",
            "start_sec": a,
            "end_sec": b,
            "neg_start_sec": 0.5,
            "neg_end_sec": 11.5,
            "duration": 12,
            "caption": "a shape",
        }
        for name, a, b in (("AAAAA", 1, 4), ("BBBBB", 5, 8), ("CCCCC", 8.5, 11), ("DDDDD", 2, 10))
    ]
    (tmp_path / "internvid_g.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pictures = []
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        Image.new("RGB", (40 + number, 48), (60 * number, 90, 200)).save(tmp_path / f"pictures/{number}.jpg")
        said = [{"i": "Look.", "q": "Which picture?", "a": f"Picture {number}."}]
        pictures.append({"image": f"{number}.jpg", "QA": said})
    (tmp_path / "pictures.json").write_text(json.dumps(pictures))
    videos = {"videos": "videos/charades"}
    charades = {
        "dataset": "charades-sta",
        "annotations": "annotations/charades_sta/charades_sta_train.txt",
        "representation": "choice",
        **videos,
    }
    loose = load_source(SourceConfig.from_dict({**charades, "name": "loose"}), 1, mini)
    write_shards([(loose.path(i), [example]) for i, example in enumerate(loose.examples)], tmp_path / "shards")
    activitynet = "annotations/activitynet_captions/train_modified.json"
    return [
        {**charades, "name": "charades"},
        {**charades, "name": "shards", "dataset": "shards", "annotations": str(tmp_path / "shards"), "videos": None},
        {
            "name": "lines",
            "dataset": "jsonl",
            "annotations": "train.jsonl",
            "videos": "videos",
            "representation": "frame",
        },
        {
            "name": "anet",
            "dataset": "activitynet-captions",
            "annotations": activitynet,
            "representation": "second",
            **videos,
        },
        {
            "name": "pipeline",
            "dataset": "internvid-g",
            "annotations": str(tmp_path / "internvid_g.jsonl"),
            "representation": "choice",
            "task": "caption",
            **videos,
        },
        {"name": "captions", "annotations": "HawkEye-IT/video/caption/webvid/train.json", **videos},
        {"name": "pictures", "annotations": str(tmp_path / "pictures.json"), "videos": str(tmp_path / "pictures")},
    ]


def test_all_kinds_train_together_and_each_loss_is_logged(
    settings: dict[str, Any], sources: list[dict[str, Any]]
) -> None:
    settings["data"]["sources"] = sources
    settings["schedule"] = {"epochs": 1}
    settings["log"] = {"every_steps": 100}
    result = train(TrainConfig.from_dict(settings))
    assert result.step == 14  # 28 examples in pairs
    assert not result.unreadable
    logged = {name.removeprefix("loss/") for name in result.values if name.startswith("loss/")}
    assert logged == {source["name"] for source in sources}


def test_a_batch_never_mixes_pictures_and_videos(settings: dict[str, Any], sources: list[dict[str, Any]]) -> None:
    settings["data"]["sources"] = sources
    run = Run(TrainConfig.from_dict(settings), WORLD)
    frames = {loaded.batch.pixels.shape[1] for chunk in run.batches() for loaded in chunk}
    assert frames == {1, 4}


def test_a_context_that_the_row_names_is_never_left(
    mini: Path, sources: list[dict[str, Any]], settings: dict[str, Any]
) -> None:
    settings["data"]["sources"] = sources
    run = Run(TrainConfig.from_dict(settings), WORLD)
    items = run.items()
    number = [source["name"] for source in sources].index("pipeline")
    for epoch in range(6):
        item = items[Entry(epoch, number, epoch % 4)]
        assert item.drawn.window is not None
        assert 0.5 <= item.drawn.window.start < item.drawn.window.end <= 11.5
        assert item.text.endswith("###Assistant: A shape ###")


def test_a_picture_is_one_frame_without_times(settings: dict[str, Any], sources: list[dict[str, Any]]) -> None:
    settings["data"]["sources"] = sources
    item = Run(TrainConfig.from_dict(settings), WORLD).items()[Entry(0, len(sources) - 1, 2)]
    assert item.pixels.shape == (1, 3, 32, 32)
    assert item.text.startswith("Look. ###Human: <Image></Image> ###Human: Which picture? ###Assistant: Picture 2. ")
    assert "frames sampled" not in item.text
