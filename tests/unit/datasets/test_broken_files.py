"""Whatever is wrong in an annotation file, the answer is one AnnotationError that names the file; never another exception."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from hawkeye.datasets.registry import load_dataset
from hawkeye.errors import AnnotationError, ConfigError

# A small good file of each JSON data set, as the official ones are laid out.
GOOD = {
    "activitynet-captions": {"v_a": {"duration": 9.5, "timestamps": [[0, 3]], "sentences": [" A man runs. "]}},
    "timelens": {"v_a": {"duration": 9.5, "spans": [[0, 3]], "queries": ["a man runs."]}},
    "qvhighlights": [
        {"qid": 1, "query": "a man runs", "duration": 9, "vid": "a_0.0_9.0", "relevant_windows": [[0, 2], [4, 6]]}
    ],
    "internvid-g": [
        {
            "video": "a.mp4",
            "duration": 9.0,
            "start_sec": 1.0,
            "end_sec": 2.0,
            "neg_start_sec": 0.0,
            "neg_end_sec": 5.0,
            "caption": "a man.",
        }
    ],
    "jsonl": [{"video": "a.mp4", "query": "a man runs", "span": [1, 2], "duration": 9}],
    "mvbench": [
        {"video": "a.mp4", "question": "q?", "candidates": ["x", "y"], "answer": "y", "start": 0.0, "end": 3.0}
    ],
    "star": [
        {
            "question_id": "Interaction_T1_1",
            "question": "q?",
            "video_id": "A",
            "start": 1.0,
            "end": 2.0,
            "answer": "y",
            "choices": [{"choice_id": 1, "choice": "y"}, {"choice_id": 0, "choice": "x"}],
        }
    ],
    "tvqa": [
        {
            "a0": "a",
            "a1": "b",
            "a2": "c",
            "a3": "d",
            "a4": "e",
            "q": "q?",
            "qid": 7,
            "show_name": "Castle",
            "ts": "1.5-3",
            "vid_name": "castle_s01",
            "answer_idx": 3,
        }
    ],
    "instruction": [
        {
            "video": "a.mp4",
            "start": 0,
            "end": 4,
            "QA": [
                {
                    "i": "Look.",
                    "q": "When?",
                    "a": [["end", "(A) At the end."], ["middle", "(B) In the middle."]],
                    "start_sec": 1,
                    "end_sec": 2,
                    "neg_start_sec": 0,
                    "neg_end_sec": 9,
                }
            ],
        }
    ],
}
FILE_NAMES = {"mvbench": "action_count.json"}
WRONG = (None, True, "", "word", -1, 3.7, 1e999, 10**400, [], [1, 2], [["x"]], {}, {"a": 1})


def places(value, path=()):
    """The path of every value inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(document, path, value, remove=False):
    document = copy.deepcopy(document)
    *parents, last = path
    place = document
    for parent in parents:
        place = place[parent]
    if remove:
        del place[last]
    else:
        place[last] = value
    return document


def load(name, document, folder):
    path = folder / FILE_NAMES.get(name, f"{name}.json")
    path.write_text(json.dumps(document), encoding="utf-8")
    return load_dataset(name, path)


@pytest.mark.parametrize("name", GOOD)
def test_good_files_load(name, tmp_path):
    loaded = load(name, GOOD[name], tmp_path)
    assert len(loaded.examples) == 1
    assert not loaded.dropped


@pytest.mark.parametrize("name", GOOD)
def test_any_wrong_value_is_an_annotation_error_or_harmless(name, tmp_path):
    refused = 0
    for path in places(GOOD[name]):
        for document in [changed(GOOD[name], path, value) for value in WRONG] + [changed(GOOD[name], path, None, True)]:
            try:
                load(name, document, tmp_path)
            except AnnotationError as error:
                refused += 1
                text = str(error)
                assert str(tmp_path) in text
                assert "\n" not in text
    assert refused > 40


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"[{}]",
        b'{"a": 1}',
        b"\xff\xfe",
        b"3",
        b"null",
        b'["a"]',
        b"[" * 99999,
        b'[{"a": %s}]' % (b"9" * 9999),
    ],
    ids=range(11),
)
def test_other_files_are_refused(name, data, tmp_path):
    path = tmp_path / FILE_NAMES.get(name, "file.json")
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match=str(path)):
        load_dataset(name, path)


def test_line_of_broken_json_lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    good = json.dumps(GOOD["jsonl"][0])
    path.write_text(f"{good}\n\n{good[:-5]}\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"rows\.jsonl, line 3: is not valid JSON"):
        load_dataset("jsonl", path)
    path.write_text(f'{good}\n{{"video": "b.mp4", "query": "x", "span": [1, "two"]}}\n', encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"line 2: expected a number in 'span', got 'two'"):
        load_dataset("jsonl", path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("AKKWU 1.0##no end", "line 2: expected 'VIDEO START END##sentence'"),
        ("AKKWU 1.0 2.0 no marks", "line 2: expected 'VIDEO START END##sentence'"),
        ("AKKWU 1.0 soon##a man", "line 2: expected a number in 'end', got 'soon'"),
        ("AKKWU nan 2.0##a man", "line 2: expected a number in 'start', got 'nan'"),
    ],
)
def test_charades_lines(line, message, tmp_path):
    path = tmp_path / "charades_sta_test.txt"
    path.write_text(f"AO8RW 0.0 6.9##a person is putting a book on a shelf.\n{line}\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        load_dataset("charades-sta", path)


def test_dropped_spans_are_counted_by_reason(tmp_path):
    path = tmp_path / "charades_sta_test.txt"
    lines = ["A 5 3##a.", "A 3 3##a.", "A 12 13##a.", "A 1 2##...", "A 9 12##a.", "A 1 2##last."]
    path.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "video_lengths.json").write_text('{"A": 10.0}', encoding="utf-8")
    loaded = load_dataset("charades-sta", path)
    assert loaded.dropped == {"reversed span": 1, "zero-length span": 1, "span out of the video": 1, "empty query": 1}
    assert loaded.noted == {"span reaches out of the video": 1}
    assert [(e.id, e.spans, e.duration) for e in loaded.examples] == [("A#4", ((9, 12),), 10), ("A#5", ((1, 2),), 10)]
    assert {Path(source).name for source in loaded.sources} == {"charades_sta_test.txt", "video_lengths.json"}


HEADER = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: columns .* are missing: found an empty file"),
        (HEADER.replace(",qid", "") + "\n", "line 1: columns qid are missing"),
        (HEADER + "\n1,2,3,4,what,9,1,CW,a,b,c,d,e\n", "line 2: expected the number of an option, 0 to 4"),
        (HEADER + "\n1,2,3,4,what,1,1,CW,a,b,c,d\n", "line 2: expected 13 columns"),
        (HEADER + '\n1,2,3,4,"two\nlines",1,1,CW,a,b,c,d,e,f\n', "line 3: expected 13 columns"),
        (HEADER + '\n1,2,3,4,"open,1,1,CW,a,b,c,d,e\n', "is not valid CSV"),
        (HEADER + "\n", "no usable example"),
    ],
)
def test_csv(text, message, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        load_dataset("nextqa", path)


def test_what_the_caller_does_wrong(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(GOOD["star"]), encoding="utf-8")
    with pytest.raises(ConfigError, match="'chrades-sta' is unknown: did you mean charades-sta"):
        load_dataset("chrades-sta", path)
    with pytest.raises(ConfigError, match="star has no option 'bound': it knows bounds"):
        load_dataset("star", path, bound=True)
    with pytest.raises(ConfigError, match=r"star needs its annotations: .*STAR_val\.json"):
        load_dataset("star")
    with pytest.raises(ConfigError, match="star is read from one file or folder, got 2"):
        load_dataset("star", [path, path])
    with pytest.raises(AnnotationError, match=r"nowhere: no such file or folder: star wants"):
        load_dataset("star", tmp_path / "nowhere")
    with pytest.raises(AnnotationError, match="holds no MVBench task file"):
        load_dataset("mvbench", tmp_path)
    with pytest.raises(ConfigError, match="MVBench has no task 'count'"):
        load_dataset("mvbench", tmp_path, tasks="count")
    with pytest.raises(AnnotationError, match="the file name is no MVBench task"):
        load_dataset("mvbench", path)
    with pytest.raises(AnnotationError, match="can't be read"):
        load_dataset("star", tmp_path)
