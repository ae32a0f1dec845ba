"""Other people's prediction files: read, matched to the annotations, and counted as their authors count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hawkeye.cli.main import main
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.eval.conventions import CONVENTIONS, find_convention
from hawkeye.eval.grounding_score import score_grounding
from hawkeye.eval.predictions import Predictions, read_predictions
from hawkeye.eval.replies import read_option, read_percent_span, read_span
from hawkeye.eval.score import Score
from hawkeye.records import GroundingExample
from hawkeye.spans import Span

EXAMPLES = [
    GroundingExample("a#0", "a.mp4", "A dog runs.", (Span(0, 10),), 20.0),
    GroundingExample("a#1", "a.mp4", "A cat sleeps", (Span(10, 20),), 20.0),
    GroundingExample("b#0", "b.mp4", "A dog runs", (Span(5, 10),), 40.0),
    GroundingExample("b#1", "b.mp4", "A dog runs", (Span(30, 40),), 40.0),  # the same sentence happens twice
]


def write(path: Path, rows: list[Any] | dict) -> Path:
    text = json.dumps(rows) if isinstance(rows, dict) else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def score(predictions: Predictions, convention: str = "ours", examples=EXAMPLES) -> Score:
    return score_grounding(examples, predictions, find_convention(convention), draws=0)


def metric(found: Score, name: str) -> float:
    return found.overall.metrics[name].value


def reference_row(video: str, query: str, answers: list[str | None], span: list[float], duration: float | None) -> dict:
    return {
        "video_fname": f"data/videos/{video}",
        "duration": duration,
        "question": f"Question: During which part of the video does '{query}' occur?",
        "pred_span": span,
        "gt_span": None,
        "pred_answer_list": answers,
        "iou": 0,
    }


def test_reference_rows_stand_in_the_order_of_the_examples(tmp_path: Path) -> None:
    rows = [
        reference_row("a.mp4", "A dog runs", ["beginning", "throughout"], [0, 10], 20.0),
        reference_row("a.mp4", "A cat sleeps", ["beginning"], [0, 10], 20.0),
        reference_row("b.mp4", "A dog runs", [None], [0, 0], None),
        reference_row("b.mp4", "A dog runs", ["end", "end"], [30, 40], 40.0),
    ]
    found = score(read_predictions(write(tmp_path / "p.jsonl", rows)))
    assert (found.format, found.matched_by) == ("reference", "position")
    assert (found.counts["errors"], found.counts["scored"]) == (1, 4)
    assert metric(found, "R1@0.7") == 0.5  # the failed one is a miss
    assert [row.metrics["mIoU"].value for row in found.sections["per turn"]] == pytest.approx([0.375, 0.5])
    theirs = score(read_predictions(tmp_path / "p.jsonl"), "hawkeye")
    assert theirs.counts["scored"] == 3  # the reference leaves it out
    assert metric(theirs, "R1@0.7") == pytest.approx(2 / 3)


def test_reference_rows_of_a_part_are_matched_by_sentence(tmp_path: Path) -> None:
    rows = [reference_row("b.mp4", "A dog runs", ["end", "end"], [30, 40], 40.0)]
    found = score(read_predictions(write(tmp_path / "p.jsonl", rows)))
    assert (found.matched_by, found.counts["missing"]) == ("video and sentence", 3)


def test_moment_retrieval_rows(tmp_path: Path) -> None:
    examples = [GroundingExample("7", "v_0.0_150.0.mp4", "q", (Span(0, 10), Span(50, 80)), 150.0)]
    row = {"qid": 7, "query": "q", "vid": "v_0.0_150.0", "pred_relevant_windows": [[50, 80, 0.2], [0, 9, 0.9]]}
    found = score(read_predictions(write(tmp_path / "p.jsonl", [row])), examples=examples)
    assert found.format == "moment-retrieval"
    assert metric(found, "mIoU") == pytest.approx(0.9)  # by score, not by place
    assert metric(found, "R5@0.7") == 1
    assert metric(found, "mAP") == pytest.approx(0.925)  # nine times 1; at IoU 0.95 only the second is a hit: (1/2) / 2
    assert metric(found, "mAP@0.5") == 1


def test_timelens_and_lmms_eval_files(tmp_path: Path) -> None:
    """Equal sentences are told apart by the true span in the key."""
    rows = {
        "b.mp4>>>A dog runs>>>[30.0, 40.0]": {"timestamps": [[30.0, 40.0]], "answers": "..."},
        "b.mp4>>>A dog runs>>>[5.0, 10.0]": {"answers": "The event happens in 10.0 - 5.0 seconds."},
        "a.mp4>>>A dog runs>>>[0.0, 10.0]": "It starts at 0:00 and ends at 0:10.",
        "a.mp4>>>A cat sleeps>>>[10.0, 20.0]": "I can't tell.",
    }
    found = score(read_predictions(write(tmp_path / "p.json", rows)))
    assert (found.format, found.matched_by) == ("timelens", "video and sentence")
    assert found.counts["no span in the reply"] == 1
    assert found.counts["reversed or empty spans"] == 1
    assert metric(found, "mIoU") == 0.5
    assert metric(score(read_predictions(tmp_path / "p.json"), "lmms-eval"), "mIoU") == 0.75  # turned round


def test_vtimellm_logs(tmp_path: Path) -> None:
    rows = [
        {"video_id": "a", "task": "captioning", "query_id": 0, "answer": "[]"},
        {
            "video_id": "a",
            "task": "grounding",
            "query_id": 0,
            "answer": "From 00 to 39.",
            "info": {"sentence_id": 0, "iou": 0.78},
        },
        {"video_id": "a", "task": "grounding", "query_id": 0, "answer": "No.", "info": {"sentence_id": 1, "iou": 0}},
        {
            "video_id": "b",
            "task": "grounding",
            "query_id": 0,
            "answer": "75 to 99",
            "info": {"sentence_id": 1, "iou": 0.96},
        },
    ]
    found = score(read_predictions(write(tmp_path / "p.jsonl", rows)))
    assert found.format == "vtimellm"
    assert (found.counts["missing"], found.counts["no span in the reply"]) == (1, 1)
    assert metric(found, "mIoU") == pytest.approx((0.78 + 0.96) / 4)
    theirs = score(read_predictions(tmp_path / "p.jsonl"), "vtimellm")
    assert theirs.counts["scored"] == 3  # a video without a line is left out
    assert metric(theirs, "mIoU") == pytest.approx((0.78 + 0 + 0.96) / 3)


def test_nextgqa_spans_and_answers(tmp_path: Path) -> None:
    extra = {"options": ["one.", "two."], "answer": 1}
    examples = [
        GroundingExample("1_0", "x/1.mp4", "why?", (Span(0, 10),), 40.0, extra),
        GroundingExample("1_1", "x/1.mp4", "how?", (Span(20, 30),), 40.0, extra),
    ]
    found = score(read_predictions(write(tmp_path / "p.json", {"1_0": [2.0, 4.0], "1_1": [0, 40]})), examples=examples)
    assert (metric(found, "mIoP"), metric(found, "IoP@0.5")) == (pytest.approx(0.625), 0.5)
    assert "Acc@GQA" not in found.overall.metrics
    rows = [
        {"id": "1_0", "span": [2.0, 4.0], "choice": 1, "error": None},
        {"id": "1_1", "span": [0, 40], "choice": 1, "error": None},
    ]
    found = score(read_predictions(write(tmp_path / "p.jsonl", rows)), examples=examples)
    assert (metric(found, "Acc@QA"), metric(found, "Acc@GQA")) == (1, 0.5)  # right, but on too wide a span


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions_differ_only_where_they_say(convention: str) -> None:
    """IoU 0.30 exactly, an IoU that rounds up to 0.70, a failure, a missing one."""
    examples = [GroundingExample(f"{i}", "v", "q", (Span(0, 10),), 20.0) for i in range(4)]
    rows = [
        {"id": "0", "span": [0, 3], "error": None},
        {"id": "1", "span": [0, 6.96], "error": None},
        {"id": "2", "span": None, "error": "broken file"},
    ]
    found = score(Predictions("hawkeye", [_ours(row) for row in rows]), convention, examples)
    hits = {m: round(metric(found, m) * found.counts["scored"]) for m in ("R1@0.3", "R1@0.5", "R1@0.7")}
    assert (found.counts["scored"], *hits.values()) == {
        "ours": (4, 2, 1, 0),
        "hawkeye": (2, 1, 1, 0),
        "lmms-eval": (3, 2, 1, 0),
        "vtimellm": (2, 2, 1, 1),
    }[convention]


def _ours(row: dict) -> Any:
    from hawkeye.eval.predictions import FORMATS

    return next(read for name, _, read in FORMATS if name == "hawkeye")(row)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("The event happens in 20.8 - 30.0 seconds.", (20.8, 30.0)),
        ("from 3s to 7s", (3, 7)),
        ("Between 1:05 and 2:00", (65, 120)),
        ("00:00:18 to 00:00:23", (18, 23)),
        ("The start time is 0 seconds, and the end time is 12 seconds.", (0, 12)),
        ("It begins around 4.5s. It ends at 1:10.", (4.5, 70)),
        ("12", None),
        ("", None),
    ],
)
def test_spans_in_replies(text: str, span: tuple[float, float] | None) -> None:
    assert read_span(text) == span


def test_percent_spans_have_two_digits() -> None:
    assert read_percent_span("From 05 to 25.") == (0.05, 0.25)
    assert read_percent_span("From 5 to 25.") is None


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ("(B) the cup", 1),
        ("b", 1),
        ("B.", 1),
        ("B is right", 1),
        ("A man runs", None),
        ("the cup", 1),
        ("He takes the cup.", 1),
        ("cup and box", None),
        ("", None),
        ("(", None),
        ("(D) none", None),
    ],
)
def test_a_reply_counts_only_if_it_names_an_option(reply: str, option: int | None) -> None:
    assert read_option(reply, ["the box.", "the cup.", "the bag"]) == option


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no predictions"),
        ([{"video": "a", "answer": 1}], "which is no known format: expected one of reference"),
        ([{"id": "a#0", "span": [1, 2]}, {"id": "a#1", "span": "?"}], "a row is not of format hawkeye"),
        ([{"id": "zzz", "span": [1, 2]}], "are these the annotations that were predicted on"),
    ],
)
def test_files_that_are_not_predictions(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        score(read_predictions(write(tmp_path / "p.jsonl", rows)))


def test_score_command(tmp_path: Path, capsys) -> None:
    annotations = write(
        tmp_path / "mine.jsonl",
        [{"video": e.video, "query": e.query, "span": list(e.spans[0]), "duration": e.duration} for e in EXAMPLES],
    )
    rows = [{"id": f"{e.video}#{e.id[-1]}", "span": list(e.spans[0]), "error": None} for e in EXAMPLES]
    predictions = write(tmp_path / "p.jsonl", rows)
    out = tmp_path / "score.json"
    with pytest.raises(SystemExit) as exit_:
        main(["score", str(predictions), "-a", str(annotations), "--out", str(out), "--draws", "50"])
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "100.0 (100.0 to 100.0)" in printed
    assert "throughout" in printed
    assert json.loads(out.read_text())["overall"]["metrics"]["mIoU"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    with pytest.raises(SystemExit) as exit_:
        main(["score", str(predictions), "-a", str(annotations), "--convention", "theirs"])
    assert exit_.value.code == 2
    assert "expected one of ours, hawkeye, lmms-eval, vtimellm" in capsys.readouterr().err


def test_unknown_convention() -> None:
    with pytest.raises(ConfigError, match="expected one of ours"):
        find_convention("mine")
