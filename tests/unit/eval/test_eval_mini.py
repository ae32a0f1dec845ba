"""The miniature benchmark with the embedded default, through the command line: the numbers of docs/evaluation.md."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from hawkeye.cli.main import main
from hawkeye.eval.drawings import DRAWINGS
from hawkeye.eval.mini import FPS, NUM_VIDEOS, plan_video
from hawkeye.video.reader import open_video


def test_plan_has_every_kind_of_query() -> None:
    plans = [plan_video(number) for number in range(NUM_VIDEOS)]
    assert plans == [plan_video(number) for number in range(NUM_VIDEOS)]
    assert {shot.query for shots in plans for shot in shots} == set(DRAWINGS)
    twice = [len(shots) - len({shot.query for shot in shots}) for shots in plans]
    assert twice == [1, 0, 0, 0, 1, 0]  # two true spans
    for shots in plans:
        assert all(a.span.end == b.span.start for a, b in pairwise(shots))


def test_numbers_of_the_embedded_default(tmp_path: Path, capsys) -> None:
    out = tmp_path / "mini"
    with pytest.raises(SystemExit) as exit_:
        main(["eval", "mini", "--out", str(out), "--draws", "100"])
    assert exit_.value.code == 0
    assert "oracle, 4 turns, best choices" in capsys.readouterr().out
    score = json.loads((out / "score.json").read_text())
    metrics = {name: metric["value"] for name, metric in score["overall"]["metrics"].items()}
    assert score["counts"] | {"scored": 22, "errors": 0, "missing": 0} == score["counts"]
    # Pillow and FFmpeg may paint and encode a little differently elsewhere: one query of 22 may go another way.
    assert metrics["mIoU"] == pytest.approx(0.834, abs=0.05)
    assert metrics["R1@0.5"] == pytest.approx(0.955, abs=0.05)
    assert metrics["mAP"] == pytest.approx(0.685, abs=0.07)
    references = {row["label"]: row["metrics"]["mIoU"]["value"] for row in score["references"]}
    assert references["throughout"] == pytest.approx(0.2630, abs=1e-3)
    assert references["oracle, 3 turns, best choices"] == pytest.approx(0.8181, abs=1e-3)
    for number in range(NUM_VIDEOS):
        with open_video(out / "videos" / f"mini_{number}.mp4") as reader:
            assert reader.info.duration == pytest.approx(plan_video(number)[-1].span.end, abs=0.5 / FPS)
