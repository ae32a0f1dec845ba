"""Every official file that is at hand, read completely: how many examples, what is dropped and what is odd."""

from __future__ import annotations

import json

import pytest
from tests.conftest import GOLDEN

from hawkeye.datasets.mvbench import FOLDERS
from hawkeye.datasets.registry import load_dataset

OUT = "span reaches out of the video"
COUNTS = [
    # name, file or folder, options, examples, videos, dropped, noted
    ("charades-sta", "charades_sta", {}, 3720, 1334, {}, {OUT: 562}),
    ("charades-sta", "charades_sta", {"split": "train"}, 12404, 5336, {"reversed span": 4}, {OUT: 1802}),
    ("activitynet-captions", "activitynet_captions", {}, 34536, 4917, {}, {OUT: 245}),
    ("activitynet-captions", "activitynet_captions", {"split": "val_1"}, 17505, 4917, {}, {OUT: 134}),
    ("activitynet-captions", "activitynet_captions/val_2.json", {}, 17031, 4885, {}, {OUT: 111}),
    (
        "activitynet-captions",
        "activitynet_captions",
        {"split": "train"},
        37419,
        10009,
        {"zero-length span": 2},
        {OUT: 261},
    ),
    ("nextgqa", "nextgqa", {}, 5553, 990, {}, {OUT: 36, "answer stands in several options": 1}),
    ("nextgqa", "nextgqa", {"split": "val"}, 3358, 567, {}, {OUT: 3}),
    ("qvhighlights", "qvhighlights", {}, 1550, 1519, {}, {}),
    ("nextqa", "nextqa", {}, 8564, 1000, {}, {}),
    ("nextqa", "nextqa/val.csv", {"id_map": "nextgqa/map_vid_vidorID.json"}, 4996, 570, {}, {}),
    ("star", "star/star_layout_from_mvbench.json", {}, 180, 165, {}, {}),
    ("star", "star/star_real_example.json", {}, 1, 1, {}, {}),
    ("tvqa", "tvqa/tvqa_test_public_sample.jsonl", {}, 400, 349, {}, {}),
    ("tvqa-plus", "tvqa_plus/tvqa_plus_val_sample.json", {}, 300, 221, {}, {}),
    ("mvbench", "mvbench", {}, 4000, 3687, {}, {"only one option": 5}),
    ("mvbench", "mvbench", {"tasks": "action_count,state_change"}, 400, 400, {}, {}),
    ("jsonl", "../videos/queries.jsonl", {}, 104, 15, {}, {}),
]


@pytest.mark.parametrize(("name", "path", "options", "examples", "videos", "dropped", "noted"), COUNTS)
def test_counts(shared, name, path, options, examples, videos, dropped, noted):
    root = shared / "data/annotations"
    if "id_map" in options:
        options = options | {"id_map": root / options["id_map"]}
    loaded = load_dataset(name, root / path, **options)
    assert (len(loaded.examples), loaded.dropped, loaded.noted) == (examples, dropped, noted)
    assert len({example.video for example in loaded.examples}) == videos
    for example in loaded.examples:
        assert example.video
        if loaded.kind == "grounding":
            assert example.query == example.query.strip()
            assert all(span.start < span.end for span in example.spans)
        elif example.answer is not None:
            assert 0 <= example.answer < len(example.options)
    assert all(len(digest) == 64 for digest in loaded.sources.values())


def test_counts_of_the_reference(shared):
    counts = json.loads((GOLDEN / "data/converters_full_counts.json").read_text(encoding="utf-8"))
    for name in ("nextgqa", "nextqa"):
        assert len(load_dataset(name, shared / "data/annotations" / name).examples) == counts[f"{name}_test"]["count"]


def test_details_of_real_rows(shared):
    root = shared / "data/annotations"
    highlights = load_dataset("qvhighlights", root / "qvhighlights").examples
    assert max(len(example.spans) for example in highlights) == 25
    assert sum(len(example.spans) > 1 for example in highlights) == 530
    gqa = load_dataset("nextgqa", root / "nextgqa").examples
    assert {len(example.spans) for example in gqa} >= {1, 16}
    mvbench = load_dataset("mvbench", root / "mvbench").examples
    assert {example.task for example in mvbench} == set(FOLDERS)
    bounded = {example.task for example in mvbench if example.window}
    assert bounded == {
        "action_localization",
        "action_prediction",
        "action_sequence",
        "episodic_reasoning",
        "object_interaction",
    }
    assert {example.extra.get("fps") for example in mvbench} == {None, 3.0}
    plus = load_dataset("tvqa-plus", root / "tvqa_plus/tvqa_plus_val_sample.json").examples
    assert all(example.answer is not None and example.window for example in plus)
    captions = load_dataset("activitynet-captions", root / "activitynet_captions", split="val_2").examples
    assert sum("%" in example.query for example in captions) == 2
