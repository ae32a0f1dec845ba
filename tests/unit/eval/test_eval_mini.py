"""The miniature benchmark with the embedded default, through the command line: the numbers of docs/evaluation.md."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hawkeye.cli.main import main
from hawkeye.eval.drawings import DRAWINGS
from hawkeye.eval.mini import FPS, NUM_VIDEOS, frames, plan_video
from hawkeye.video.reader import open_video


def test_plan_has_every_kind_of_query() -> None:
    plans = [plan_video(number) for number in range(NUM_VIDEOS)]
    assert plans == [plan_video(number) for number in range(NUM_VIDEOS)]
    assert {query for plan in plans for query in plan.spans()} == set(DRAWINGS)
    assert [max(len(spans) for spans in plan.spans().values()) for plan in plans] == [2, 1, 1, 2, 1, 1]
    assert any(shot.dissolves for plan in plans for shot in plan.shots)
    assert any(len(shot.views) == 4 for plan in plans for shot in plan.shots)
    for plan in plans:
        assert all(a.span.end == b.span.start for a, b in pairwise(plan.shots))
        assert 0 < plan.inset.span.start < plan.inset.span.end < plan.duration


def test_frames_show_what_is_planned() -> None:
    """Far from borders and insets a frame is the drawing of its shot; where the inset lies, it is the inset's."""
    plan = plan_video(1)
    shown = list(frames(plan))
    assert len(shown) == round(plan.duration * FPS)
    left, top, width = plan.inset.place
    middle = int((plan.inset.span.start + plan.inset.span.end) / 2 * FPS)
    small = np.asarray(DRAWINGS[plan.inset.query]().resize((width, width * 3 // 4)))
    assert (shown[middle][top : top + width * 3 // 4, left : left + width] == small).all()
    colours = [np.asarray(DRAWINGS[shot.query]()).reshape(-1, 3).mean(axis=0) for shot in plan.shots]
    for number, shot in enumerate(plan.shots):
        frame = shown[int((shot.span.start + shot.span.end) / 2 * FPS)].reshape(-1, 3).mean(axis=0)
        assert np.argmin([np.abs(frame - colour).sum() for colour in colours]) == number


def test_numbers_of_the_embedded_default(tmp_path: Path, capsys) -> None:
    out = tmp_path / "mini"
    with pytest.raises(SystemExit) as exit_:
        main(["eval", "mini", "--out", str(out), "--draws", "100"])
    assert exit_.value.code == 0
    assert "oracle, 4 turns, best choices" in capsys.readouterr().out
    score = json.loads((out / "score.json").read_text())
    metrics = {name: metric["value"] for name, metric in score["overall"]["metrics"].items()}
    assert score["counts"] | {"scored": 24, "errors": 0, "missing": 0} == score["counts"]
    # Pillow and FFmpeg may paint and encode a little differently elsewhere: one query of 24 may go another way.
    assert metrics["mIoU"] == pytest.approx(0.740, abs=0.05)
    assert metrics["R1@0.5"] == pytest.approx(0.792, abs=0.05)
    assert metrics["mAP"] == pytest.approx(0.562, abs=0.06)
    references = {row["label"]: row["metrics"]["mIoU"]["value"] for row in score["references"]}
    assert references["throughout"] == pytest.approx(0.2999, abs=1e-3)
    assert references["oracle, 3 turns, best choices"] == pytest.approx(0.7884, abs=1e-3)
    for number in range(NUM_VIDEOS):
        with open_video(out / "videos" / f"mini_{number}.mp4") as reader:
            assert reader.info.duration == pytest.approx(plan_video(number).duration, abs=0.5 / FPS)
