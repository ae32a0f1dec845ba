"""A miniature of the data that the recipes train on: the same layout and file formats, videos of a few kilobytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hawkeye.choices import OPTION_TEXT, option_lines
from hawkeye.prompts import grounding_prompt
from hawkeye.train.tokenizers import make_tokenizers
from hawkeye.video.synthetic import write_video

SECONDS, FPS = 12, 4
NAMES = ["AAAAA", "BBBBB", "CCCCC", "DDDDD"]
COLOURS = [(220, 30, 30), (30, 200, 30), (40, 40, 230), (220, 210, 40)]
INSTRUCTION_SETS = [
    *("caption/textvr", "caption/videochat", "caption/webvid", "caption/youcook2", "classification/k710"),
    *("classification/ssv2", "conversation/videochat1", "conversation/videochat2", "conversation/videochatgpt"),
    *("reasoning/next_qa", "reasoning/clevrer_qa", "reasoning/clevrer_mc", "vqa/ego_qa", "vqa/tgif_frame_qa"),
    *("vqa/tgif_transition_qa", "vqa/webvid_qa"),
]


def colour_frames(colour: tuple[int, int, int], start: float, end: float) -> list[np.ndarray]:
    """Grey frames, with a coloured square from ``start`` to ``end`` seconds."""
    frames = []
    for number in range(SECONDS * FPS):
        frame = np.full((48, 64, 3), 90, dtype=np.uint8)
        if start <= number / FPS < end:
            frame[8:40, 16:48] = colour
        frames.append(frame)
    return frames


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``data`` folder of the recipes: annotations/, HawkEye-IT/ and videos/."""
    root = tmp_path_factory.mktemp("mini")
    clips = root / "clips"
    spans = [(1.0, 4.0), (5.0, 8.0), (8.5, 11.0), (2.0, 10.0)]
    for name, colour, span in zip(NAMES, COLOURS, spans, strict=True):
        write_video(clips / f"{name}.mp4", colour_frames(colour, *span), fps=FPS)
    for folder in ("charades", "activitynet", "internvid-g", "webvid", "textvr", "youcook2", "kinetics", "ssv2"):
        link(root / "videos" / folder, clips)
    for folder in ("nextqa", "clevrer", "tgif", "ego_qa", "images"):
        link(root / "videos" / folder, clips)

    charades = root / "annotations" / "charades_sta"
    charades.mkdir(parents=True)
    lines = [
        f"{name} {start} {end}##person shows colour {i}."
        for i, (name, (start, end)) in enumerate(zip(NAMES, spans, strict=True))
    ]
    (charades / "charades_sta_train.txt").write_text("\n".join([*lines, "AAAAA 9.0 3.0##reversed."]) + "\n")
    (charades / "charades_sta_test.txt").write_text(lines[0] + "\n")
    write_json(charades / "video_lengths.json", {name: float(SECONDS) for name in NAMES})
    videos = {
        f"v_{name}": {"duration": float(SECONDS), "timestamps": [list(span)], "sentences": ["  A square shows. "]}
        for name, span in zip(NAMES, spans, strict=True)
    }
    for name in NAMES:
        (clips / f"v_{name}.mp4").symlink_to(clips / f"{name}.mp4")
    write_json(root / "annotations/activitynet_captions/train_modified.json", videos)
    write_json(root / "annotations/activitynet_captions/val_1.json", videos)

    toy = [
        {"video": f"charades/{name}.mp4", "query": f"shape {n}", "span": span, "duration": float(SECONDS)}
        for n, (name, span) in enumerate(zip(NAMES, spans, strict=True))
    ]
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in toy))

    choices = [["middle", "(A) In the middle of the video."], ["end", "(B) At the end of the video."]]
    choices += [["throughout", "(C) Throughout the entire video."], ["beginning", "(D) At the beginning of the video."]]
    where = [[name, text[4:]] for name, text in choices]
    plain, grounding, captions = [], [], []
    for name, (start, end) in zip(NAMES, spans, strict=True):
        rounds = [{"i": "Watch.", "q": f"What colour {n}?", "a": "It is red."} for n in range(2)]
        plain.append({"video": f"{name}.mp4", "QA": rounds})
        place = {
            "start_sec": start,
            "end_sec": end,
            "neg_start_sec": 0,
            "neg_end_sec": float(SECONDS),
            "i": "Pick one.",
        }
        grounding.append({"video": f"{name}.mp4", "QA": [{**place, "q": "When does 'it' show?", "a": choices}]})
        captions.append({"video": f"{name}.mp4", "QA": [{**place, "q": where, "a": "A square shows"}]})
    video = root / "HawkEye-IT" / "video"
    for source in INSTRUCTION_SETS:
        write_json(video / source / "train.json", plain)
    write_json(video / "temporal/internvid_grounding/train.json", grounding)
    write_json(video / "temporal/internvid_caption/train.json", captions)
    return root


def link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.fixture(scope="session")
def toy_tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both tokenizers' files, made from a few prompts."""
    folder = tmp_path_factory.mktemp("tokenizers")
    prompt = grounding_prompt("person shows colour 0123456789", option_lines(list(OPTION_TEXT.values())), [0.5, 1.5])
    texts = [prompt.before_video + prompt.after_video, 'From second <frame_3> to frame <Image></Image> ?!%"/']
    make_tokenizers(texts * 8, folder, 400, 300)
    return folder


@pytest.fixture
def settings(mini: Path, toy_tokenizers: Path, tmp_path: Path) -> dict[str, Any]:
    """A run of 4 steps on four videos, without dropout, as plain values for `TrainConfig.from_dict`."""
    return {
        "output": str(tmp_path / "run"),
        "device": "cpu",
        "model": {
            "start": "hawkeye-tiny",
            "tokenizers": str(toy_tokenizers),
            "settings": {
                "qformer.dropout": 0.0,
                "qformer.attention_dropout": 0.0,
                "qformer.drop_path": 0.0,
                "language.lora.dropout": 0.0,
            },
        },
        "data": {
            "root": str(mini),
            "num_frames": 4,
            "workers": 0,
            "sources": [
                {
                    "name": "charades",
                    "dataset": "charades-sta",
                    "annotations": "annotations/charades_sta/charades_sta_train.txt",
                    "videos": "videos/charades",
                    "representation": "choice",
                }
            ],
        },
        "batch": {"size": 2},
        "optimizer": {"lr": 1e-3},
        "schedule": {"epochs": 2, "warmup_epochs": 0.5},
        "checkpoint": {"every_steps": 2, "keep": 3},
        "log": {"every_steps": 1},
    }
