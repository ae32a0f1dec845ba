"""``hawkeye prepare``: from official files to JSON, the check of a folder of videos, files for servers."""

from __future__ import annotations

import json

import pytest
from tests.conftest import read_rows

from hawkeye.cli.main import main
from hawkeye.datasets.registry import REGISTRY


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command in an empty folder with a cache of its own; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run_command(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["prepare", *arguments])
        printed = capsys.readouterr()
        return exit_.value.code or 0, printed.out, printed.err

    return run_command


@pytest.fixture
def charades(tmp_path):
    lines = ["A 5 3##reversed.", "A 1 4##a man runs.", "A 2 12##a dog. it barks.", "B 0 2##a 50% sign"]
    (tmp_path / "charades_sta_test.txt").write_text("\n".join(lines))
    (tmp_path / "video_lengths.json").write_text('{"A": 10.0, "B": 4}')
    return tmp_path


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_list_names_every_data_set(run):
    code, out, _ = run("list")
    assert code == 0
    assert all(name in out for name in REGISTRY)


def test_write_for_evaluation(run, charades):
    code, out, _ = run("charades-sta", "-a", ".", "--out", "out/test.json")
    assert code == 0
    assert "out/test.json: 3 items of 2 videos" in out
    assert "dropped: 1 x reversed span" in out
    assert "odd but kept: 1 x span reaches out of the video" in out
    items = read(charades / "out/test.json")
    assert items[1] == {
        "video": "A.mp4",
        "question": "a dog it barks",
        "duration": 10.0,
        "span": [2.0, 12.0],
        "answer": [2.0, 12.0],
    }
    assert len((charades / "out/test.json").read_text().splitlines()) == 5  # one item a line


def test_write_for_training_with_own_words(run, charades):
    (charades / "instructions.txt").write_text("Look.\n\nWatch.\n")
    (charades / "questions.json").write_text("[\"When: '%s'?\"]")
    arguments = ["charades-sta", "-a", ".", "--for", "training", "--seed", "3"]
    own = ["--instructions", "instructions.txt", "--questions", "questions.json"]
    assert run(*arguments, *own, "--out", "a.json")[0] == 0
    turns = [item["QA"][0] for item in read(charades / "a.json")]
    assert {turn["i"] for turn in turns} <= {"Look.", "Watch."}
    assert turns[2]["q"].startswith("Question: When: 'a 50% sign'?\nOptions:\n(A) ")
    assert sorted(name for name, _ in turns[2]["a"]) == ["beginning", "end", "middle", "throughout"]
    assert run(*arguments, *own, "--out", "b.json")[0] == 0
    assert (charades / "a.json").read_bytes() == (charades / "b.json").read_bytes()
    assert run(*arguments, "--task", "grounding", "--time", "frame", "--share", "0.5", "--out", "c.json")[0] == 0
    items = read(charades / "c.json")
    assert len({item["video"] for item in items}) == 1
    assert {item["QA"][0]["a"] for item in items} == {"From frame %d to frame %d."}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["charades", "-a", ".", "--out", "x"], 2, "data set 'charades' is unknown: did you mean charades-sta?"),
        (["charades-sta", "-a", "gone.txt", "--out", "x"], 1, "gone.txt: no such file or folder"),
        (["charades-sta", "-a", ".", "--out", "x", "-o", "splat=1"], 2, "no option 'splat': it knows lengths, split"),
        (["charades-sta", "-a", ".", "--out", "x", "-o", "split"], 2, "override 'split': expected key=value"),
        (["charades-sta", "-a", ".", "--out", "x", "--share", "0"], 2, "share is 0.0: expected more than 0"),
        (["charades-sta", "-a", ".", "--out", "x", "--for", "fun"], 2, "evaluation"),
        (["star", "-a", "star.json", "--out", "x", "--for", "training"], 2, "star has no spans to train grounding on"),
        (["charades-sta", "-a", ".", "--out", "x", "--for", "training", "--questions", "q.txt"], 2, "exactly once"),
        (["submit", "tvqa", "-a", "tvqa.jsonl", "--predictions", "p.jsonl", "--out", "x"], 2, "give --val-annotations"),
        (["submit", "star", "-a", "star.json", "--predictions", "gone", "--out", "x"], 1, "gone: can't be read"),
    ],
)
def test_errors(arguments, code, message, run, charades):
    rows = read_rows("data/converters.jsonl")
    (charades / "q.txt").write_text("When?\n")
    (charades / "star.json").write_text(json.dumps(next(r for r in rows if r["func"] == "star")["input"][:5]))
    (charades / "tvqa.jsonl").write_text(json.dumps(next(r for r in rows if r["func"] == "tvqa")["input"][0]))
    (charades / "p.jsonl").write_text('{"id": "137292", "choice": 0}')
    found, out, err = run(*arguments)
    assert found == code
    assert message in err
    assert not (charades / "x").exists()
    assert "Traceback" not in out + err


def test_check_reports_and_sets_the_exit_code(run, charades):
    (charades / "videos").mkdir()
    (charades / "videos/B.mp4").write_text("no video")
    code, out, _ = run(
        "check", "charades-sta", "-a", ".", "--videos", "videos", "--workers", "1", "--out", "problems.jsonl"
    )
    assert code == 1
    assert "missing\tA.mp4\t2 examples" in out
    assert "unreadable\tB.mp4\t1 examples" in out
    assert "charades-sta: 2 videos, 1 missing, 1 unreadable, 0 short; 1 opened" in out
    problems = [json.loads(line) for line in (charades / "problems.jsonl").read_text().splitlines()]
    assert [(problem["kind"], problem["video"], problem["num_examples"]) for problem in problems] == [
        ("missing", "A.mp4", 2),
        ("unreadable", "B.mp4", 1),
    ]
    assert "missing\t... and 1 more" in run("check", "charades-sta", "-a", ".", "--videos", "videos", "--show", "0")[1]


def test_check_of_real_videos(run, shared, tmp_path):
    videos = shared / "data/videos"
    code, out, _ = run("check", "jsonl", "-a", str(videos / "queries.jsonl"), "--videos", str(videos))
    assert code == 0
    assert "jsonl: 15 videos, 0 missing, 0 unreadable, 0 short; 15 opened" in out
    assert "; 0 opened" in run("check", "jsonl", "-a", str(videos / "queries.jsonl"), "--videos", str(videos))[1]
    durations = read(tmp_path / "cache/hawkeye/durations.json")["durations"]
    assert len(durations) == 15


def test_submit_star_and_tvqa_and_qvhighlights(run, tmp_path):
    rows = read_rows("data/converters.jsonl")
    star = next(row for row in rows if row["func"] == "star")["input"][:-4]
    (tmp_path / "star.json").write_text(json.dumps(star))
    replies = ["(A) " for _ in star[:-1]] + ["?"]
    (tmp_path / "star.jsonl").write_text(
        "\n".join(json.dumps({"video_fname": "v", "pred": reply}) for reply in replies)
    )
    code, out, _ = run("submit", "star", "-a", "star.json", "--predictions", "star.jsonl", "--out", "star_out.json")
    assert code == 0
    assert f"1 of {len(star)} answers were drawn at random" in out
    written = read(tmp_path / "star_out.json")
    assert [entry["answer"] for entry in written["Interaction"]].count(0) == len(written["Interaction"])
    assert sum(map(len, written.values())) == len(star)

    tvqa = next(row for row in rows if row["func"] == "tvqa")["input"]
    test, validation = tvqa[:30], tvqa[30:40]
    for name, part in (("test", test), ("val", validation)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
    (tmp_path / "tvqa_predictions.jsonl").write_text(
        "\n".join(json.dumps({"id": str(row["qid"]), "choice": row["qid"] % 5}) for row in test)
    )
    arguments = ["submit", "tvqa", "-a", "test.jsonl", "--predictions", "tvqa_predictions.jsonl", "--model", "m"]
    code, out, _ = run(*arguments, "--val-annotations", "val.jsonl", "--out", "folder")
    assert code == 0
    assert "val.jsonl: 10 of 10 answers were drawn at random" in out
    assert read(tmp_path / "folder/meta.json")["model_name"] == "m"
    assert read(tmp_path / "folder/prediction_test_public.json") == {str(row["qid"]): row["qid"] % 5 for row in test}
    assert len(read(tmp_path / "folder/prediction_val.json")) == 10

    (tmp_path / "q.jsonl").write_text('{"qid": 4, "query": "x", "duration": 9, "vid": "v"}')
    (tmp_path / "p.jsonl").write_text('{"id": "4", "span": [1, 2]}')
    assert run("submit", "qvhighlights", "-a", "q.jsonl", "--predictions", "p.jsonl", "--out", "s.jsonl")[0] == 0
    assert read(tmp_path / "s.jsonl")["pred_relevant_windows"] == [[1.0, 2.0, 1.0]]
