"""Sources, shards and items, from real files through the real decoder."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch

from hawkeye.errors import AnnotationError, ConfigError, VideoError
from hawkeye.train.dataset import TrainingSet, augment
from hawkeye.train.mixture import Entry
from hawkeye.train.shards import INDEX_NAME, open_shards, write_shards
from hawkeye.train.sources import Source, SourceConfig, load_source


def charades(mini: Path, **changes: object) -> SourceConfig:
    values: dict = {
        "name": "charades",
        "dataset": "charades-sta",
        "annotations": "annotations/charades_sta/charades_sta_train.txt",
        "videos": "videos/charades",
        "representation": "choice",
    }
    return SourceConfig.from_dict({**values, **changes}).below(mini)


def items(sources: list[Source], **options: object) -> TrainingSet:
    return TrainingSet(sources, seed=3, image_size=32, num_frames=4, **options)  # type: ignore[arg-type]


def test_a_source_counts_what_it_drops(mini: Path) -> None:
    source = load_source(charades(mini), seed=1)
    assert [example.id for example in source.examples] == ["AAAAA#0", "BBBBB#0", "CCCCC#0", "DDDDD#0"]
    assert source.dropped == {"reversed span": 1}
    assert source.examples[0].duration == 12.0


def test_a_limit_draws_the_same_subset_on_every_rank(mini: Path) -> None:
    picked = [[e.id for e in load_source(charades(mini, limit=2), seed=5).examples] for _ in range(2)]
    assert len(picked[0]) == 2
    assert picked[0] == picked[1]


def test_an_item_depends_on_seed_and_entry_alone(mini: Path) -> None:
    data = items([load_source(charades(mini), 1)])
    one, again, other = data[Entry(0, 0, 1)], data[Entry(0, 0, 1)], data[Entry(1, 0, 1)]
    assert one.text == again.text
    assert torch.equal(one.pixels, again.pixels)
    assert one.drawn.window != other.drawn.window
    assert one.pixels.shape == (4, 3, 32, 32)
    assert one.pixels.dtype == torch.uint8
    assert "The video contains 4 frames sampled at " in one.text


def test_frames_come_from_the_window_that_the_answer_is_about(mini: Path) -> None:
    """The square shows from 1 s to 4 s; each frame is red or grey as its time says."""
    data = items([load_source(charades(mini), 1)], augmented=False)
    for epoch in range(12):
        item = data[Entry(epoch, 0, 0)]
        window = item.drawn.window
        assert window is not None
        told = item.text.split("sampled at ")[1].split(" seconds.")[0].split(", ")
        for frame, seconds in zip(item.pixels, told, strict=True):
            red = int(frame[0, 16, 16]) - int(frame[1, 16, 16]) > 60
            at = round(window.start * 4) / 4 + float(seconds)
            if min(abs(at - 1.0), abs(at - 4.0)) > 0.3:
                assert red == (1.0 < at < 4.0)


def test_crop_and_mirror_are_the_same_for_all_frames() -> None:
    frame = torch.randint(0, 255, (1, 3, 40, 60), dtype=torch.uint8)
    shown = augment(frame.expand(5, -1, -1, -1), 16, random.Random(2))
    assert shown.shape == (5, 3, 16, 16)
    assert all(torch.equal(shown[0], other) for other in shown[1:])


def test_an_unreadable_video_replaces_the_whole_item(mini: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(mini / "videos/charades", videos)
    (videos / "AAAAA.mp4").write_bytes(b"not a video")
    source = load_source(charades(mini, videos=videos), 1)
    item = items([source])[Entry(0, 0, 0)]
    assert item.id != "AAAAA#0"
    number = [example.id for example in source.examples].index(item.id)
    assert f"colour {number}" in item.text  # text and video are of the same example
    assert len(item.unreadable) >= 1
    assert item.unreadable[0].startswith("AAAAA#0: ")
    for path in videos.glob("*.mp4"):
        path.unlink()
    with pytest.raises(VideoError, match="source charades: 3 items in a row can't be read"):
        items([source], max_replacements=2)[Entry(0, 0, 0)]


def test_shards_give_the_same_items_as_loose_files(mini: Path, tmp_path: Path) -> None:
    loose = load_source(charades(mini), 1)
    pairs = [(loose.path(i), [example]) for i, example in enumerate(loose.examples)]
    assert write_shards(pairs, tmp_path, shard_bytes=4000) > 1
    packed = load_source(
        SourceConfig(name="charades", dataset="shards", annotations=tmp_path, representation="choice"),  # type: ignore[arg-type]
        1,
    )
    assert packed.examples == loose.examples
    assert (tmp_path / INDEX_NAME).is_file()
    assert open_shards(tmp_path).members == packed.members  # from the index that was kept
    a, b = items([loose])[Entry(2, 0, 3)], items([packed])[Entry(2, 0, 3)]
    assert a.text == b.text
    assert torch.equal(a.pixels, b.pixels)


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"holds no \.tar shards"):
        open_shards(tmp_path)
    (tmp_path / "00000.tar").write_bytes(b"x" * 2000)
    with pytest.raises(AnnotationError, match=r"00000.tar: is not a readable shard"):
        open_shards(tmp_path)


def test_bad_sources_are_named(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"source charades: .*no such folder of videos"):
        load_source(charades(mini, videos=tmp_path / "none"), 1)
    with pytest.raises(AnnotationError, match="no such file or folder"):
        load_source(charades(mini, annotations=tmp_path / "none.txt"), 1)
    with pytest.raises(AnnotationError, match=r"nothing to train on .*set a representation"):
        load_source(charades(mini, representation=None), 1)
    with pytest.raises(ConfigError, match=r"every question must hold \{query\}"):
        load_source(charades(mini, questions=["When is it?"]), 1)
    with pytest.raises(ConfigError, match="videos: name the folder of videos"):
        charades(mini, videos=None)


def test_plain_and_temporal_rows_of_instruction_data(mini: Path) -> None:
    def source(path: str, **more: object) -> Source:
        annotations = f"HawkEye-IT/video/{path}/train.json"
        values = {"name": path, "annotations": annotations, "videos": "videos/webvid", **more}
        return load_source(SourceConfig.from_dict(values), 1, mini)

    data = items([source("caption/webvid"), source("temporal/internvid_caption", representation="choice")])
    plain, caption = data[Entry(0, 0, 0)], data[Entry(0, 1, 0)]
    assert plain.drawn.window is None
    assert plain.text.count("###Assistant: It is red. ") == 2
    assert caption.text.startswith("Pick one. ###Human: <Video></Video> ")
    assert caption.text.endswith("###Assistant: A square shows ###")
