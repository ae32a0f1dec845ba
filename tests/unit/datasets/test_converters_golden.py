"""What the reference's converters wrote from the same input; random parts are checked for what they may be."""

from __future__ import annotations

import csv
import json
import math

import pytest
from tests.conftest import GOLDEN, read_rows

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.datasets.captions import normalise_caption
from hawkeye.datasets.convert import SPAN_SENTENCES, Wording, evaluation_items, share_of_videos, training_items
from hawkeye.datasets.registry import load_dataset
from hawkeye.errors import AnnotationError
from hawkeye.prompts import question_with_options

ROWS = read_rows("data/converters.jsonl")
TRAINING = ("grounding", "caption", "choice", "choice_caption")


def rows_of(converter, *functions):
    return [row for row in ROWS if row["converter"] == converter and row["func"] in functions and row["output"]]


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def without_span(items):
    """The reference's keys only: ``span`` is ours (one name for spans in every file), as is ``duration`` where it is known."""
    return [{key: value for key, value in item.items() if key != "span"} for item in items]


def load_training(row, folder):
    """The examples of a training row, by the reader of its data set."""
    if row["converter"] == "charades_sta":
        lengths = write_json(folder / "lengths.json", row["video_lengths"])
        path = folder / "lines.txt"
        path.write_text("\n".join(row["input_lines"]) + "\n", encoding="utf-8")
        return load_dataset("charades-sta", path, lengths=lengths)
    if row["converter"] == "activitynet_captions":
        return load_dataset("activitynet-captions", write_json(folder / "train.json", row["input"]), split="train")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in row["input"]), encoding="utf-8")
    return load_dataset("internvid-g", path)


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r["func"] in TRAINING and r["output"]], ids=lambda r: f"{r['converter']}-{r['func']}"
)
def test_training_items_equal_the_reference_but_for_its_dice(row, tmp_path):
    loaded = load_training(row, tmp_path)
    wording = Wording(row["instructions"], row["questions"])
    sentence = row["time_span_sentence"]
    sentence = SPAN_SENTENCES["frame"] if sentence in (None, "(default)") else sentence
    ours = training_items(loaded.examples, row["func"], 7, wording, sentence)
    # Reversed and zero-length spans, and those after the video, are dropped (quirk 15); blanks around a sentence go (48).
    durations = [item.get("duration", math.inf) for item in row["input"]] if row["converter"] == "internvid_g" else None
    theirs = [
        item
        for item, duration in zip(row["output"], durations or [math.inf] * len(row["output"]), strict=True)
        if item["QA"][0]["start_sec"] < min(item["QA"][0]["end_sec"], duration)
    ]
    assert len(row["output"]) - len(theirs) == sum(loaded.dropped.values())
    assert len(ours) == len(theirs) > 0
    fixed = ("start_sec", "end_sec", "neg_start_sec", "neg_end_sec")
    for mine, recorded in zip(ours, theirs, strict=True):
        assert mine["video"] == recorded["video"]
        (turn,), (expected,) = mine["QA"], recorded["QA"]
        assert {key: turn[key] for key in fixed} == {key: expected[key] for key in fixed}
        assert turn["i"] in row["instructions"]
        check_words(row, turn, expected)


def query_of(row, text):
    """The sentence between the quotes of a question made from one of the row's templates."""
    for template in row["questions"]:
        before, after = template.split("%s")
        if text.startswith(before) and text.endswith(after):
            return text[len(before) : len(text) - len(after)]
    raise AssertionError(f"{text!r} follows no template")


def check_words(row, turn, expected):
    match row["func"]:
        case "grounding":
            assert query_of(row, turn["q"]) == query_of(row, expected["q"]).strip()
            assert turn["a"] == expected["a"]
        case "caption":
            assert (turn["q"], turn["a"]) == (expected["q"], expected["a"].strip())
        case "choice_caption":
            assert dict(turn["q"]) == dict(expected["q"])
            assert turn["a"] == expected["a"]
        case "choice":
            names = [name for name, _ in turn["a"]]
            lines = option_lines([OPTION_TEXT[Choice(name)] for name in names])
            assert sorted(names) == sorted(Choice)
            assert [line for _, line in turn["a"]] == lines
            question = turn["q"].removeprefix("Question: ").split("\nOptions:\n")[0]
            wanted = expected["q"].removeprefix("Question: ").split("\nOptions:\n")[0]
            assert query_of(row, question) == query_of(row, wanted).strip()
            assert turn["q"] == question_with_options(question, lines)


def test_training_dice_follow_the_seed_and_the_example_alone(tmp_path):
    (row, *_) = rows_of("charades_sta", "choice")
    examples = load_training(row, tmp_path).examples
    first = training_items(examples, "choice", 3)
    assert training_items(examples, "choice", 3) == first
    assert training_items(examples[10:], "choice", 3) == first[10:]
    assert training_items(examples, "choice", 4) != first
    orders = {tuple(name for name, _ in item["QA"][0]["a"]) for item in first}
    assert len(orders) > 10  # of 24 possible


def test_charades_evaluation(tmp_path):
    (row,) = rows_of("charades_sta", "test_grounding")
    path = tmp_path / "test.txt"
    path.write_text("\r\n".join(row["input_lines"]), encoding="utf-8")
    items = evaluation_items("charades-sta", load_dataset("charades-sta", path).examples)
    assert without_span(items) == row["output"]
    assert all(item["span"] == item["answer"] for item in items)


def test_activitynet_evaluation_joined(tmp_path):
    both, part, single = (r for r in ROWS if r["converter"] == "activitynet_captions" and r["func"] == "test_grounding")
    files = [write_json(tmp_path / f"val_{i}.json", both[key]) for i, key in ((1, "input"), (2, "input2"))]
    loaded = load_dataset("activitynet-captions", files)
    items = evaluation_items("activitynet-captions", loaded.examples)
    assert len(items) == both["output_count"]
    by_video: dict[str, list] = {}
    for item in items:
        by_video.setdefault(item["video"], []).append({key: item[key] for key in ("video", "question", "answer")})
    assert by_video == both["output_by_video"]
    assert list(by_video) == list(both["input"])  # not in the order of a set (quirk 49)
    assert len(load_dataset("activitynet-captions", tmp_path).examples) == len(items)
    alone = evaluation_items("activitynet-captions", load_dataset("activitynet-captions", files[0]).examples)
    assert [{key: item[key] for key in ("video", "question", "answer")} for item in alone] == single["output"]
    shared = share_of_videos(loaded.examples, part["sample_ratio"], seed=5)
    assert len({example.video for example in shared}) == round(part["sample_ratio"] * len(by_video))
    assert [example for example in loaded.examples if example in shared] == shared


def test_nextgqa_evaluation(tmp_path):
    (row,) = rows_of("nextgqa", "test_grounding")
    path = write_csv(tmp_path / "test.csv", row["input_rows"])
    write_json(tmp_path / "gsub_test.json", row["grounding"])
    write_json(tmp_path / "map_vid_vidorID.json", row["video_mapping"])
    loaded = load_dataset("nextgqa", path)
    assert without_span(evaluation_items("nextgqa", loaded.examples)) == row["output"]
    assert [e.extra["options"][e.extra["answer"]] for e in loaded.examples] == [
        f"{source['answer']}." for source in row["input_rows"]
    ]


def test_nextqa_evaluation(tmp_path):
    (row,) = rows_of("nextqa", "nextqa-test")
    path = write_csv(tmp_path / "test.csv", row["input_rows"])
    write_json(tmp_path / "map_vid_vidorID.json", row["video_mapping"])
    assert evaluation_items("nextqa", load_dataset("nextqa", tmp_path).examples) == row["output"]
    (tmp_path / "map_vid_vidorID.json").unlink()
    assert load_dataset("nextqa", path).examples[0].video == f"{row['input_rows'][0]['video']}.mp4"


def test_tvqa_evaluation(tmp_path):
    (row,) = rows_of("tvqa", "tvqa")
    path = tmp_path / "tvqa.jsonl"
    path.write_text("\n".join(json.dumps(item) for item in row["input"]), encoding="utf-8")
    loaded = load_dataset("tvqa", path)
    assert evaluation_items("tvqa", loaded.examples) == row["output"]
    assert loaded.noted == {"no time stamps: whole video": 2}
    assert all(example.extra["fps"] == 3 for example in loaded.examples)


def test_star_evaluation(tmp_path):
    (row,) = rows_of("star", "star")
    # The recorded rows end with four of the questions again, without answers, as the test split has them.
    for name, part in (("val", slice(None, -4)), ("test", slice(-4, None))):
        path = write_json(tmp_path / f"{name}.json", row["input"][part])
        loaded = load_dataset("star", path)
        assert evaluation_items("star", loaded.examples) == row["output"][part]
        assert all((example.answer is None) == (name == "test") for example in loaded.examples)
        assert all(example.window is None and example.spans for example in loaded.examples)
        assert all(e.window == e.spans[0] for e in load_dataset("star", path, bounds=True).examples)
    path = write_json(tmp_path / "all.json", row["input"])
    with pytest.raises(AnnotationError, match=r"Interaction_T1_3772.*more than once"):
        load_dataset("star", path)


def test_empty_internvid_caption_is_dropped(tmp_path):
    """The reference crashes on it (quirk 50)."""
    (row,) = (r for r in ROWS if r.get("note") == "empty caption")
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps(row["input"][0]) + "\n" + json.dumps(row["input"][0] | {"caption": "a dog"}), encoding="utf-8"
    )
    loaded = load_dataset("internvid-g", path)
    assert loaded.dropped == {"empty query": 1}
    assert [example.query for example in loaded.examples] == ["A dog"]


def test_caption_normalisation():
    for case in json.loads((GOLDEN / "data/caption_normalise.json").read_text(encoding="utf-8")):
        assert normalise_caption(case["text"], case["max_words"]) == case["out"]
