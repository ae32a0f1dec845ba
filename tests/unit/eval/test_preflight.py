"""The check of videos before a run, on real small files: good, broken, short, missing, and one that kills its worker."""

from __future__ import annotations

import json
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from hawkeye.eval import preflight
from hawkeye.eval.preflight import check_videos
from hawkeye.records import GroundingExample, QAExample
from hawkeye.spans import Span


def write_video(path, seconds, fps=8):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=Fraction(fps))
        stream.width = stream.height = 32
        for number in range(int(seconds * fps)):
            picture = np.full((32, 32, 3), number * 5 % 256, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def grounding(video, *span, duration=None):
    return GroundingExample(f"{video}{span}", video, "q", (Span(*span),), duration)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    for name, seconds in (("good.mp4", 4), ("short.mp4", 2), ("late.avi", 3)):
        write_video(root / name, seconds)
    (root / "cut.mp4").write_bytes((root / "good.mp4").read_bytes()[:700])
    (root / "text.mp4").write_text("no video")
    (root / "frames").mkdir()
    for number in range(6):
        Image.new("RGB", (16, 16)).save(root / f"frames/{number:05d}.jpg")
    return root


EXAMPLES = [
    grounding("good.mp4", 1, 2, duration=4.0),
    grounding("good.mp4", 3, 4.2, duration=4.5),  # a little shorter than annotated: as the real files are
    grounding("short", 0, 1, duration=3.5),
    grounding("late.avi", 0, 1),
    QAExample("q1", "late.avi", "?", window=Span(5, 6)),
    grounding("cut.mp4", 0, 1),
    grounding("gone.mp4", 0, 1),
    grounding("gone.mp4", 1, 2),
    QAExample("q2", "bbt_frames/frames", "?", window=Span(0.5, 1.5)),
    grounding("text.mp4", 0, 1),
]


def test_every_kind_of_problem_then_from_the_cache(folder, tmp_path):
    cache = tmp_path / "cache/durations.json"
    seen = []
    found = check_videos(EXAMPLES, folder, 2, cache, on_progress=lambda done, total: seen.append((done, total)))
    assert [(p.kind, p.video, p.num_examples) for p in found.problems] == [
        ("missing", "gone.mp4", 2),
        ("short", "short", 1),
        ("short", "late.avi", 1),
        ("unreadable", "cut.mp4", 1),
        ("unreadable", "text.mp4", 1),
    ]
    details = {problem.video: problem.detail for problem in found.problems}
    assert details["short"] == "is 2.00 s long, annotated are 3.50 s"
    assert details["late.avi"] == "is 3.00 s long, a span starts at 5.00 s"
    assert "cut.mp4" in details["cut.mp4"]
    assert found.durations == pytest.approx({"good.mp4": 4.0, "short": 2.0, "late.avi": 3.0, "bbt_frames/frames": 2.0})
    assert (found.num_videos, found.num_opened) == (7, 6)
    assert seen == [(number, 6) for number in range(1, 7)]
    again = check_videos(EXAMPLES, folder, 2, cache)
    assert again.problems == found.problems
    assert again.num_opened == 2  # only the unreadable ones are tried again
    facts = (folder / "good.mp4").stat()
    os.utime(folder / "good.mp4", ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert check_videos(EXAMPLES[:2], folder, 2, cache).num_opened == 1


def test_decoding_finds_what_opening_does_not(folder, tmp_path):
    data = bytearray((folder / "good.mp4").read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    third = start + (end - start) // 3
    data[third:end] = bytes(end - third)
    (folder / "rotten.mp4").write_bytes(data)
    examples = [grounding("rotten.mp4", 0, 1), grounding("good.mp4", 0, 1)]
    assert not check_videos(examples, folder, 1).problems
    found = check_videos(examples, folder, 1, decode=True)
    assert [(problem.kind, problem.video) for problem in found.problems] == [("unreadable", "rotten.mp4")]
    assert "2 of its pictures are broken" in found.problems[0].detail


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 0}', '{"version": 1, "durations": {"a": "b"}}'])
def test_a_foreign_cache_is_replaced(text, folder, tmp_path):
    cache = tmp_path / "durations.json"
    cache.write_text(text)
    assert check_videos(EXAMPLES[:1], folder, 1, cache).num_opened == 1
    assert list(json.loads(cache.read_text())["durations"].values()) == [pytest.approx(4.0)]


def dies(path, decode):
    if "late" in path:
        os._exit(9)
    return 4.5


def test_a_file_that_kills_its_worker_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "_duration", dies)
    found = check_videos(EXAMPLES, folder, 2, tmp_path / "durations.json")
    assert [(p.video, p.detail) for p in found.problems if p.kind == "unreadable"] == [
        ("late.avi", f"{folder / 'late.avi'}: the decoder crashed on it")
    ]
    assert set(found.durations) == {"good.mp4", "short", "cut.mp4", "bbt_frames/frames", "text.mp4"}


def test_what_is_known_survives_an_interrupt(folder, tmp_path):
    cache = tmp_path / "durations.json"

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    good = [grounding(name, 0, 1) for name in ("good.mp4", "short.mp4", "late.avi")]
    with pytest.raises(KeyboardInterrupt):
        check_videos(good, folder, 1, cache, on_progress=interrupt)
    assert check_videos(good, folder, 1, cache).num_opened == 1
