"""The model that comes with the installation, on the sample video, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hawkeye.cli.main import main
from hawkeye.models.base import load_model
from hawkeye.models.hawkeye.mini import SHIPPED
from hawkeye.spans import Span

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


def _ground(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    with pytest.raises(SystemExit) as ended:
        main(["ground", str(SAMPLE), *arguments, "--model", "mini", "--device", "cpu", "--json"])
    assert not ended.value.code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_weights_are_small_and_complete():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 60e6
    model = load_model("mini", device="cpu")
    assert model.name == "hawkeye-mini"
    assert model.config.num_visual_tokens == 8


def test_it_finds_scenes_of_the_sample_video(capsys: pytest.CaptureFixture[str]):
    """The curve finds what is plainly there; the recursion goes turn by turn and tells every choice."""
    rows = [json.loads(line) for line in (ROOT / "examples" / "queries.jsonl").read_text().splitlines()]
    (found,) = _ground(capsys, *(row["query"] for row in rows), "--strategy", "direct")
    spans = [Span(*result["span"]) for result in found["results"]]
    truth = [Span(row["start"], row["end"]) for row in rows]
    assert sum(span.iou(true) for span, true in zip(spans, truth, strict=True)) / len(rows) > 0.3
    (recursive,) = _ground(capsys, rows[0]["query"], "--strategy", "recursive")
    turns = recursive["results"][0]["turns"]
    assert 1 <= len(turns) <= 4
    assert all(set(turn["options"]) == {"beginning", "middle", "end", "throughout"} for turn in turns)
