"""Files for the servers of STAR, TVQA and QVHighlights, against what the reference wrote from the same replies."""

from __future__ import annotations

import json

import pytest
from tests.conftest import read_rows

from hawkeye.errors import AnnotationError
from hawkeye.eval.submissions import (
    choose,
    qvhighlights_submission,
    read_ranked,
    read_replies,
    star_submission,
    tvqa_submission,
)
from hawkeye.records import GroundingExample, QAExample
from hawkeye.spans import Span

ROWS = [row for row in read_rows("data/converters.jsonl") if row["converter"].endswith("_submission") and row["output"]]


def questions(ids, num_options):
    """The recordings hold no options; the replies name them by their letters."""
    return [QAExample(str(qid), "v", "?", tuple(f"option {i}" for i in range(num_options))) for qid in ids]


def readable(reply, num_options):
    """A capital letter in its place, and in range: what the reference reads; it draws all others at random (quirk 51)."""
    return reply[1:2] in "ABCDE"[:num_options]


@pytest.mark.parametrize("row", [r for r in ROWS if r["func"] == "star_output"], ids=lambda r: f"seed {r['seed']}")
def test_star(row):
    examples = questions([source["qid"] for source in row["source"]], 4)
    replies = {e.id: p["pred"] for e, p in zip(examples, row["predictions"], strict=True)}
    chosen = choose(examples, replies)
    ours = star_submission(chosen.options)
    assert {task: [r["question_id"] for r in rows] for task, rows in ours.items()} == {
        task: [r["question_id"] for r in rows] for task, rows in row["output"].items()
    }
    recorded = {r["question_id"]: r["answer"] for rows in row["output"].values() for r in rows}
    for qid, reply in replies.items():
        if readable(reply, 4):
            assert chosen.options[qid] == recorded[qid]
    by_reply = {reply: chosen.options[qid] for qid, reply in replies.items()}
    assert (by_reply["(a) lower case"], by_reply["( B) space"], by_reply["B is the one"]) == (0, 1, 1)
    assert [replies[qid] for qid in chosen.guessed] == ["(E) out of range"]


@pytest.mark.parametrize("row", [r for r in ROWS if r["func"] == "tvqa_output"], ids=lambda r: f"seed {r['seed']}")
def test_tvqa(row):
    test, validation = questions(row["test_qids"], 5), questions(row["val_qids"], 5)
    replies = {e.id: p["pred"] for e, p in zip(test, row["predictions"], strict=False)}
    replies |= {e.id: "(A)" for e in test if e.id not in replies}
    chosen = choose(test, replies)
    drawn = choose(validation, {example.id: None for example in validation})
    files = tvqa_submission(chosen.options, drawn.options, "outputs/tv.jsonl")
    assert files["meta.json"] == row["output"]["meta.json"]
    assert list(files) == list(row["output"])
    for name in ("prediction_test_public.json", "prediction_val.json"):
        assert list(files[name]) == list(row["output"][name])
        assert all(0 <= option < 5 for option in files[name].values())
    recorded = row["output"]["prediction_test_public.json"]
    for qid, prediction in zip(row["test_qids"], row["predictions"], strict=False):
        if readable(prediction["pred"], 5):
            assert files["prediction_test_public.json"][str(qid)] == recorded[str(qid)]
    assert len(drawn.guessed) == len(validation)
    assert len(set(drawn.options.values())) > 1
    with pytest.raises(AnnotationError, match="no field 'authors': expected model_name"):
        tvqa_submission({}, {}, "m", authors="me")


def test_draws_depend_on_the_seed_and_the_question_alone():
    examples = questions(range(40), 5)
    nothing = {example.id: None for example in examples}
    first = choose(examples, nothing, seed=1).options
    assert choose(examples[::-1], nothing, seed=1).options == first
    assert choose(examples, nothing, seed=2).options != first


def test_one_character_and_missing_replies():
    """Both end the reference with another exception."""
    examples = questions(["Interaction_1", "Sequence_2"], 4)
    chosen = choose(examples, {"Interaction_1": "B", "Sequence_2": "("})
    assert chosen.options["Interaction_1"] == 1
    assert chosen.guessed == ("Sequence_2",)
    assert choose(examples, {"Interaction_1": 3, "Sequence_2": 4}).guessed == ("Sequence_2",)
    with pytest.raises(AnnotationError, match="1 of 2 questions have no prediction, the first is Sequence_2"):
        choose(examples, {"Interaction_1": "B"})
    with pytest.raises(AnnotationError, match="question id 'Other_1'"):
        star_submission({"Other_1": 0})


def test_replies_are_read_from_our_rows_and_from_the_references(tmp_path):
    examples = questions(["a", "b", "c"], 3)
    path = tmp_path / "predictions.jsonl"
    ours = [{"id": "b", "choice": 2, "reply": "(A)"}, {"id": "a", "choice": None, "reply": "(B)"}]
    ours.append({"id": "c", "choice": None, "error": "x"})
    path.write_text("\n".join(map(json.dumps, ours)))
    assert read_replies(path, examples) == {"b": 2, "a": "(B)", "c": None}
    theirs = [{"video_fname": "v", "pred": reply} for reply in ("(A) x", "(B) x", "")]
    path.write_text(json.dumps(theirs))
    assert read_replies(path, examples) == {"a": "(A) x", "b": "(B) x", "c": ""}
    path.write_text(json.dumps(theirs[:1]))
    with pytest.raises(AnnotationError, match="holds 1 replies without ids, expected one for each of 3"):
        read_replies(path, examples)


def test_qvhighlights(tmp_path):
    examples = [
        GroundingExample(str(qid), "v_0.0_9.0.mp4", "a man", (), 9.0, {"qid": qid, "vid": "v_0.0_9.0"})
        for qid in (1, 2, 3)
    ]
    path = tmp_path / "predictions.jsonl"
    rows = [
        {"id": "2", "span": [1, 2], "spans": [{"span": [0, 2], "score": 0.2}, {"span": [4, 6.5], "score": 0.9}]},
        {"id": 1, "span": [3, 4]},
        {"id": "3", "span": None, "spans": [], "error": "x"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    ranked = read_ranked(path)
    assert qvhighlights_submission(examples, ranked) == [
        {"qid": 1, "query": "a man", "vid": "v_0.0_9.0", "pred_relevant_windows": [[3, 4, 1.0]]},
        {"qid": 2, "query": "a man", "vid": "v_0.0_9.0", "pred_relevant_windows": [[4, 6.5, 0.9], [0, 2, 0.2]]},
        {"qid": 3, "query": "a man", "vid": "v_0.0_9.0", "pred_relevant_windows": []},
    ]
    assert ranked["2"][1] == (Span(4, 6.5), 0.9)
    with pytest.raises(AnnotationError, match="1 of 3 queries have no prediction, the first is 3"):
        qvhighlights_submission(examples, {"1": [], "2": []})
