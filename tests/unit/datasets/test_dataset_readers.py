"""Readers that no recording of the reference covers, and the way round: what is written can be read again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.conftest import read_rows

from hawkeye.datasets.convert import Wording, evaluation_items, training_items
from hawkeye.datasets.registry import REGISTRY, load_dataset
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.records import GroundingExample
from hawkeye.spans import Span


def write(path, value):
    lines = isinstance(value, list) and path.suffix == ".jsonl"
    text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_registered_reader_is_there():
    for entry in REGISTRY.values():
        with pytest.raises(ConfigError, match="needs its annotations"):
            load_dataset(entry.name)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"video": "a.mp4", "query": "x"}, GroundingExample("a.mp4#0", "a.mp4", "x")),
        ({"vid": "a", "sentence": " x\n y", "timestamp": [1, 2]}, GroundingExample("a#0", "a", "x y", (Span(1, 2),))),
        (
            {"id": 7, "video": "a", "question": "x", "answer": [[1, 2], [4, 6]], "duration": 9},
            GroundingExample("7", "a", "x", (Span(1, 2), Span(4, 6)), 9.0),
        ),
        ({"video": "a", "caption": "x", "start": 1, "end": "2.5"}, GroundingExample("a#0", "a", "x", (Span(1, 2.5),))),
        ({"video": "a", "query": "x", "spans": None, "note": 1}, GroundingExample("a#0", "a", "x", extra={"note": 1})),
    ],
)
def test_generic_rows(row, expected, tmp_path):
    for path in (write(tmp_path / "rows.jsonl", [row]), write(tmp_path / "list.json", [row])):
        assert load_dataset("jsonl", path).examples == (expected,)


def test_generic_row_whose_spans_are_all_broken_is_dropped(tmp_path):
    rows = [{"video": "a", "query": "x", "span": [3, 1]}, {"video": "a", "query": "y", "spans": [[3, 1], [1, 2]]}]
    loaded = load_dataset("jsonl", write(tmp_path / "rows.jsonl", rows))
    assert [(e.id, e.spans) for e in loaded.examples] == [("a#1", (Span(1, 2),))]
    assert loaded.dropped == {"reversed span": 2}


def test_timelens(tmp_path):
    bench = {"v1": {"duration": 20, "spans": [[1, 2], [5, 30]], "queries": [" A man\n runs. ", "A dog."]}}
    loaded = load_dataset("timelens", write(tmp_path / "charades-timelens.json", bench))
    assert [(e.id, e.video, e.query, e.spans, e.duration) for e in loaded.examples] == [
        ("v1#0", "v1", "A man runs", (Span(1, 2),), 20),
        ("v1#1", "v1", "A dog", (Span(5, 30),), 20),
    ]
    rows = [{"video_path": "x/v1.mp4", "duration": 9, "source": "s", "events": [{"query": "A cat.", "span": [[0, 4]]}]}]
    loaded = load_dataset("timelens", write(tmp_path / "timelens-100k.jsonl", rows))
    assert [(e.id, e.query, e.spans) for e in loaded.examples] == [("x/v1.mp4#0", "A cat", (Span(0, 4),))]
    bench["v1"]["queries"].pop()
    with pytest.raises(AnnotationError, match="v1: has 2 spans and 1 queries"):
        load_dataset("timelens", write(tmp_path / "bad.json", bench))


def test_qvhighlights_test_split_has_no_spans(tmp_path):
    rows = [{"qid": 3, "query": "x ", "duration": 150, "vid": "a_0.0_150.0"}]
    (example,) = load_dataset("qvhighlights", write(tmp_path / "highlight_test_release.jsonl", rows)).examples
    assert (example.id, example.video, example.query, example.spans) == ("3", "a_0.0_150.0.mp4", "x", ())
    assert load_dataset("qvhighlights", tmp_path, split="test").examples == (example,)


def test_internvid_rows_outside_their_context_are_dropped(tmp_path):
    row = {
        "video": "a",
        "duration": 9,
        "start_sec": 1,
        "end_sec": 2,
        "neg_start_sec": 0,
        "neg_end_sec": 5,
        "caption": "a.",
    }
    rows = [row, row | {"neg_start_sec": 1.5}, row | {"neg_end_sec": 1.5}]
    loaded = load_dataset("internvid-g", write(tmp_path / "rows.jsonl", rows))
    assert [(e.id, e.query, e.extra) for e in loaded.examples] == [("a#0", "A", {"context": [0.0, 5.0]})]
    assert loaded.dropped == {"context does not hold the span": 2}


def test_instruction_rows_of_every_kind_in_the_recordings(tmp_path):
    rows = [row["anno"] for row in read_rows("item_text.jsonl")]
    rows.append({"image": "b.jpg", "QA": [{"q": "What?", "a": "A dog."}, {"i": "", "q": "Where?", "a": "There."}]})
    rows.append({"video": "c.mp4", "QA": []})
    loaded = load_dataset("instruction", write(tmp_path / "it.json", rows))
    assert loaded.dropped == {"no question and answer": 1}
    assert len(loaded.examples) == len(rows) - 1
    for row, example in zip(rows, loaded.examples, strict=False):
        first = row["QA"][0]
        assert example.media == row.get("video", row.get("image"))
        assert [(r["i"], r["q"], r["a"]) for r in example.rounds] == [
            (r.get("i", ""), r["q"], r["a"]) for r in row["QA"]
        ]
        assert example.span == ((first["start_sec"], first["end_sec"]) if "start_sec" in first else None)
        assert example.extra == ({"clip": [row["start"], row["end"]]} if "start" in row else {})
    assert loaded.examples[-1].kind == "image"
    assert sum(example.negative_span is not None for example in loaded.examples) > 50


def test_row_with_two_temporal_rounds_gives_two_examples(tmp_path):
    def turn(start, end):
        return {"i": "", "q": "x", "a": "y", "start_sec": start, "end_sec": end}

    rows = [{"video": "a.mp4", "QA": [turn(1, 2), {"q": "p", "a": "r"}, turn(3, 4), turn(5, 5)]}]
    loaded = load_dataset("instruction", write(tmp_path / "it.json", rows))
    assert [(e.id, e.span, len(e.rounds), e.negative_span) for e in loaded.examples] == [
        ("a.mp4#0", Span(1, 2), 2, None),
        ("a.mp4#0.1", Span(3, 4), 1, None),
    ]
    assert loaded.dropped == {"zero-length span": 1}


EXAMPLES = (
    GroundingExample("a#0", "a.mp4", "a 50% sign", (Span(1.0, 2.5),), 9.0),
    GroundingExample("b#0", "b.mp4", "{query} %s", (Span(0.0, 3.0), Span(5.0, 6.0)), 9.0, {"context": [0.0, 8.0]}),
)


def test_written_evaluation_files_can_be_read(tmp_path):
    path = write(tmp_path / "items.json", evaluation_items("jsonl", EXAMPLES))
    read = load_dataset("jsonl", path).examples
    assert [(e.video, e.query, e.spans, e.duration) for e in read] == [
        (e.video, e.query, e.spans, e.duration) for e in EXAMPLES
    ]


@pytest.mark.parametrize("task", ["choice", "grounding", "caption", "choice_caption"])
def test_written_training_files_can_be_read(task, tmp_path):
    path = write(tmp_path / "items.json", training_items(EXAMPLES, task))
    read = load_dataset("instruction", path).examples
    assert [(e.media, e.span, e.negative_span) for e in read] == [
        ("a.mp4", (1.0, 2.5), (0.0, 9.0)),
        ("b.mp4", (0.0, 3.0), (0.0, 8.0)),
        ("b.mp4", (5.0, 6.0), (0.0, 8.0)),
    ]
    said = [example.rounds[0]["a" if "caption" in task else "q"] for example in read]
    assert all(query in text for query, text in zip(["a 50% sign", "{query} %s", "{query} %s"], said, strict=True))


def test_training_needs_a_duration_and_good_questions():
    with pytest.raises(AnnotationError, match="a#0: the video's duration is needed"):
        training_items([replace(EXAMPLES[0], duration=None)])
    for question in ("When?", "When does %s or {query} happen?"):
        with pytest.raises(ConfigError, match="exactly once"):
            Wording(questions=[question])
    with pytest.raises(ConfigError, match="training data already"):
        evaluation_items("instruction", [])
