"""Folders in, folders out: the four layouts, and ``hawkeye synth`` with its bad inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from hawkeye.cli.main import main
from hawkeye.errors import AnnotationError
from hawkeye.synth.pictures import read_pictures
from hawkeye.video.reader import open_video


def _picture(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)


def test_captions_in_one_file(tmp_path: Path):
    _picture(tmp_path / "a.png")
    _picture(tmp_path / "in" / "b.png")
    rows = [{"image": "in/b.png", "captions": ["one", " two  words "]}, {"image": "a.png", "caption": "three"}]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [(p.id, p.captions) for p in read_pictures(tmp_path)] == [
        ("a.png", ("three",)),
        ("in/b.png", ("one", "two words")),
    ]


def test_a_text_file_beside_each_picture_and_class_folders(tmp_path: Path):
    _picture(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("A red thing.\n\nA plain wall.\n")
    _picture(tmp_path / "b.jpg")  # has no text: left out
    _picture(tmp_path / "207" / "x.jpg")
    _picture(tmp_path / "coffee_cup" / "y.jpg")
    found = {p.id: p for p in read_pictures(tmp_path)}
    assert set(found) == {"a.jpg", "207/x.jpg", "coffee_cup/y.jpg"}
    assert found["a.jpg"].captions == ("A red thing.", "A plain wall.")
    assert found["207/x.jpg"].subject == "Golden Retriever"
    assert found["coffee_cup/y.jpg"].subject == "coffee cup"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "gone.png", "caption": "x"}', "record 1: gone.png is not in"),
        ('{"image": "gone.png"}', "expected image and caption"),
        ("", "no captioned pictures"),
    ],
)
def test_broken_captions(tmp_path: Path, content: str, message: str):
    (tmp_path / "captions.jsonl").write_text(content)
    with pytest.raises(AnnotationError, match=message):
        read_pictures(tmp_path)


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_command_writes_the_same_bytes_again(
    class_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    first, second = tmp_path / "one", tmp_path / "two"
    for out in (first, second):
        assert _run("synth", class_pictures, out, "-n", 1, "--seed", 4, "--fps", 4) == 0
    assert _bytes(first) == _bytes(second)
    assert "1 videos" in capsys.readouterr().out
    rows = [json.loads(line) for line in (first / "grounding.jsonl").read_text().splitlines()]
    with open_video(first / "videos" / rows[0]["video"]) as reader:
        assert reader.info.duration == pytest.approx(rows[0]["duration"])
        assert (reader.info.width, reader.info.height) == (320, 240)
    for row in rows:
        assert 0 <= row["neg_start_sec"] <= row["start_sec"] < row["end_sec"] <= row["neg_end_sec"] <= row["duration"]
    # A second run goes on: the video that is there stays as it is.
    video = first / "videos" / rows[0]["video"]
    before = video.stat().st_mtime_ns
    assert _run("synth", class_pictures, first, "-n", 1, "--seed", 4, "--fps", 4) == 0
    assert video.stat().st_mtime_ns == before


def test_records_without_files(class_pictures: Path, tmp_path: Path):
    out = tmp_path / "records"
    assert _run("synth", class_pictures, out, "-n", 5, "--no-files", "--held-out", 3, "--part", "held-out") == 0
    assert not (out / "videos").exists()
    captions, questions = (json.loads((out / f"{name}.json").read_text()) for name in ("captions", "qa"))
    assert all(row["QA"][0]["a"] for row in captions)
    assert all(row["QA"][0]["a"].removeprefix("Answer: ") in row["QA"][0]["q"].splitlines() for row in questions)
    for line in (out / "queries.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert 0 <= row["span"][0] < row["span"][1] <= row["duration"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-n", "0"], 2, "--count is 0"),
        (["--part", "held-out"], 2, "say which subjects are held out|--held-out N"),
        (["--held-out", "8"], 1, "too few to hold out 8"),
    ],
)
def test_impossible_settings(
    class_pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
):
    assert _run("synth", class_pictures, tmp_path / "out", *arguments) == code
    import re

    assert re.search(message, capsys.readouterr().err)


def test_a_folder_with_something_else_in_it_is_left_alone(
    class_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "notes.txt").write_text("mine")
    assert _run("synth", class_pictures, tmp_path, "--no-files") == 1
    assert "is not empty" in capsys.readouterr().err
    out = tmp_path / "out"
    assert _run("synth", class_pictures, out, "-n", 2, "--no-files") == 0
    assert _run("synth", class_pictures, out, "-n", 3, "--no-files") == 1
    assert "made with other settings (count)" in capsys.readouterr().err
