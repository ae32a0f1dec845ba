"""The scorer against the reference's recorded numbers (tests/golden/data/metrics.json)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hawkeye.eval.conventions import find_convention
from hawkeye.eval.grounding_score import score_grounding
from hawkeye.eval.metrics import best_iou, pack_spans
from hawkeye.eval.oracle import as_numbers, windows_after
from hawkeye.eval.predictions import Predicted, Predictions
from hawkeye.eval.replies import read_decimal_span, read_frame_span, read_letter
from hawkeye.records import GroundingExample
from hawkeye.spans import Span


@pytest.fixture(scope="module")
def recorded(golden) -> dict:
    return json.loads((golden / "data" / "metrics.json").read_text())


def spans_of(gold: list) -> list:
    return gold if isinstance(gold[0], list) else [gold]


def test_iou(recorded) -> None:
    rows = recorded["iou"]
    predicted = np.array([row["pred"] for row in rows], dtype=float)
    gold = pack_spans([[row["gold"]] for row in rows])
    assert best_iou(predicted, gold) == pytest.approx([row["value"] for row in rows], abs=1e-6)


def test_best_of_several_spans(recorded) -> None:
    rows = [row for row in recorded["best_iou_over_gold_spans"] if "value" in row["notebook"]]
    assert len(rows) == 9
    gold = pack_spans([spans_of(row["gold_spans"]) for row in rows])
    predicted = np.array([row["pred"] for row in rows], dtype=float)
    assert best_iou(predicted, gold) == pytest.approx([row["notebook"]["value"] for row in rows], abs=1e-6)


def test_iou_after_each_turn(recorded) -> None:
    rows = recorded["per_turn"]
    windows = windows_after(
        as_numbers([row["answers"] for row in rows], 4), np.array([row["duration"] for row in rows])
    )
    gold = pack_spans([spans_of(row["gt"]) for row in rows])
    ious = np.stack([best_iou(after, gold) for after in windows], axis=1)
    assert ious == pytest.approx(np.array([row["iou_per_turn"] for row in rows]), abs=1e-6)


def test_aggregate_of_a_whole_run(recorded) -> None:
    """By position, in the reference's own convention: > instead of >=, failed examples left out."""
    for case in recorded["aggregate"]:
        examples = [
            GroundingExample(f"{i}", "v", "q", tuple(Span(*s) for s in spans_of(gold["answer"])))
            for i, gold in enumerate(case["gold"])
        ]
        rows = [
            Predicted(
                id=f"{i}",
                choices=tuple(p["pred_answer_list"]),
                duration=p["duration"],
                error=None if p["duration"] is not None else "failed",
            )
            for i, p in enumerate(case["predictions"])
        ]
        score = score_grounding(
            examples, Predictions("reference", rows), find_convention("hawkeye"), max_turns=4, draws=0
        )
        assert score.counts["scored"] == case["used_examples"]
        for row, wanted in zip(score.sections["per turn"], case["per_turn"], strict=True):
            assert row.label == str(wanted["turn"])
            assert row.metrics["mIoU"].value == pytest.approx(wanted["mean_iou"], abs=1e-6)
            for threshold in (0.3, 0.5, 0.7):
                assert row.metrics[f"R1@{threshold}"].value == pytest.approx(wanted[f"recall_{threshold}"], abs=1e-6)


def test_replies_that_name_an_option(recorded) -> None:
    """As the reference counts, but for replies that name none: there every option is right (quirk 64)."""
    names_nothing = {"", "(", ".", " (A) x"}  # the last one only because of its blank, which we forgive
    for row in recorded["choice_check"]:
        letter = read_letter(row["pred"])
        right = letter is not None and letter == read_letter(row["gt_answer"])
        if row["pred"] not in names_nothing:
            assert right is row["result"]["value"], row
        elif row["pred"] == " (A) x":
            assert right is row["gt_answer"].startswith("(A)")
        else:
            assert not right


def test_spans_in_text(recorded) -> None:
    for row in recorded["span_text_check"]:
        gold = read_decimal_span(row["gt_answer"])
        if row["mode"] == "grounding_sec":
            found = read_decimal_span(row["pred"])
        else:
            found = read_frame_span(row["pred"], row["video_secs"], row["num_frames"])
        if row["result"]["value"] is None:
            assert found is None, row
        else:
            assert found is not None
            assert gold is not None
            assert Span(*found).iou(gold) == pytest.approx(row["result"]["value"], abs=1e-6), row
