"""``hawkeye eval`` as it is typed: grounding, questions, both at once, a task file, shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hawkeye.cli.main import main


def hawkeye(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


@pytest.fixture
def evaluate(benchmark_data, red_in_registry):
    def run(task: str, *arguments: object) -> int:
        return hawkeye(
            "eval",
            task,
            *("--model", red_in_registry, "--videos", benchmark_data.videos),
            *("--draws", 50, "--workers", 0),
            *arguments,
        )

    return run


def spans_of(benchmark_data) -> dict[str, list[float]]:
    return {row["video"]: row["span"] for row in map(json.loads, benchmark_data.annotations.read_text().splitlines())}


def test_charades_sta_with_a_training_split(evaluate, benchmark_data, tmp_path: Path, capsys) -> None:
    spans = spans_of(benchmark_data)
    lines = [f"{video[:-4]} {start} {end}##it is red." for video, (start, end) in spans.items()]
    for split in ("test", "train"):
        (tmp_path / f"charades_sta_{split}.txt").write_text("\n".join(lines))
    (tmp_path / "video_lengths.json").write_text(json.dumps({video[:-4]: 6.0 for video in spans}))
    arguments = ["-a", tmp_path, "--train", tmp_path, "--out", tmp_path / "run"]
    assert evaluate("charades-sta", *arguments) == 0
    printed = capsys.readouterr()
    assert "10 rows, 10 of them new, 0 of these failed" in printed.err
    for row in ("mIoU", "random", "throughout", "train prior, fixed", "oracle, 4 turns, best choices", "Per turn"):
        assert row in printed.out
    score = json.loads((tmp_path / "run" / "score.json").read_text())
    values = {name: metric["value"] for name, metric in score["overall"]["metrics"].items()}
    ceiling = next(r for r in score["references"] if r["label"] == "oracle, 4 turns, best choices")
    assert 0.5 < values["mIoU"] <= ceiling["metrics"]["mIoU"]["value"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["run"]["model"]["class"].endswith("RedModel")
    assert set(manifest["run"]["data"]["files"]) == {"charades_sta_test.txt", "video_lengths.json"}
    assert "Only give the best option." in manifest["run"]["prompt"]["grounding"]
    assert evaluate("charades-sta", *arguments) == 0
    assert "0 of them new" in capsys.readouterr().err
    assert evaluate("charades-sta", *arguments, "--seed", 1) == 2
    assert "holds another run, so this one can't go on there: seed is 1 here and 0 there" in capsys.readouterr().err


def test_shards_are_merged_and_scored(evaluate, benchmark_data, tmp_path: Path, capsys) -> None:
    task = tmp_path / "own.yaml"
    task.write_text(f"name: red\ndataset: jsonl\nannotations: {benchmark_data.annotations}\nmax_turns: 2\n")
    for i in (1, 2):
        out = tmp_path / f"part{i}"
        assert evaluate("own", "--task-file", task, "--out", out, "--shard", f"{i}/2") == 0
    assert hawkeye("eval", "merge", tmp_path / "all", tmp_path / "part1", tmp_path / "part2") == 0
    capsys.readouterr()
    assert hawkeye("score", tmp_path / "all", "-a", benchmark_data.annotations, "--json", "--draws", 20) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["counts"]["scored"] == 20
    assert len(score["sections"]["per turn"]) == 2
    assert hawkeye("eval", "merge", tmp_path / "again", tmp_path / "part1") == 2
    assert "shards 2/2 are missing" in capsys.readouterr().err


def test_task_file_comes_first(evaluate, benchmark_data, tmp_path: Path, red_in_registry, capsys) -> None:
    task = tmp_path / "own.yaml"
    task.write_text(f"name: red\ndataset: jsonl\nannotations: {benchmark_data.annotations}\nmax_turns: 9\nturns: 3\n")
    arguments = ["--model", red_in_registry, "--videos", benchmark_data.videos, "--out", tmp_path / "run"]
    assert hawkeye("eval", "--task-file", task, *arguments) == 2
    assert "turns: unknown key, did you mean max_turns?" in capsys.readouterr().err
    assert hawkeye("eval", "own", *arguments) == 2
    assert "give --task-file FILE" in capsys.readouterr().err


def test_mvbench_windows_and_tasks(evaluate, benchmark_data, tmp_path: Path, capsys) -> None:
    """Asked of the red stretch the answer is red, of the whole video it is grey."""
    spans = spans_of(benchmark_data)
    candidates = ["blue.", "red.", "grey. "]
    windowed = [
        {"video": v, "question": "Which colour?", "candidates": candidates, "answer": "red.", "start": s, "end": e}
        for v, (s, e) in spans.items()
    ]
    whole = [{"video": v, "question": "Which?", "candidates": candidates, "answer": "grey. "} for v in spans]
    wrong = {**whole[0], "answer": "blue."}
    (tmp_path / "action_sequence.json").write_text(json.dumps(windowed))
    (tmp_path / "moving_direction.json").write_text(json.dumps([*whole, wrong]))
    out = tmp_path / "run"
    assert evaluate("mvbench", "-a", tmp_path, "-o", "tasks=action_sequence,moving_direction", "--out", out) == 0
    printed = capsys.readouterr().out
    assert "action_sequence" in printed
    assert "most frequent option" in printed
    score = json.loads((out / "score.json").read_text())
    by_task = {row["label"]: row["metrics"]["accuracy"]["value"] for row in score["sections"]["by task"]}
    assert by_task == {"action_sequence": 1.0, "moving_direction": pytest.approx(10 / 11)}
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    asked = next(row for row in rows if row["task"] == "action_sequence")
    assert asked["window"] == spans[Path(asked["video"]).name]
    assert (asked["choice"], asked["log_probs"]) == (1, [-3.0, 0.0, -3.0])


def test_nextgqa_is_grounded_and_answered(evaluate, benchmark_data, tmp_path: Path) -> None:
    spans = spans_of(benchmark_data)
    head = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
    rows = [f"{v[:-4]},48,64,48,when is it red,grey,{i},TN,red,grey,blue,black,white" for i, v in enumerate(spans)]
    (tmp_path / "test.csv").write_text(head + "\n".join(rows))
    located = {v[:-4]: {"duration": 6, "location": {str(i): [list(s)]}} for i, (v, s) in enumerate(spans.items())}
    (tmp_path / "gsub_test.json").write_text(json.dumps(located))
    out = tmp_path / "run"
    assert evaluate("nextgqa", "-a", tmp_path, "--out", out) == 0
    metrics = {k: m["value"] for k, m in json.loads((out / "score.json").read_text())["overall"]["metrics"].items()}
    assert metrics["Acc@QA"] == 1
    assert metrics["Acc@GQA"] == metrics["IoP@0.5"] > 0.5
    assert metrics["mIoP"] > metrics["mIoU"] > 0.5


def test_what_is_missing_is_said(evaluate, benchmark_data, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hawkeye("eval", "charades-sta", "--out", tmp_path / "run", "--videos", tmp_path) == 2
    assert "task charades-sta needs its annotations: give --annotations" in capsys.readouterr().err
    assert hawkeye("eval", "charades", "--out", tmp_path / "run") == 2
    assert evaluate("qvhighlights", "-a", tmp_path / "none.jsonl", "--out", tmp_path / "run") == 1
    assert "no such file" in capsys.readouterr().err
    assert evaluate("own", "--task-file", tmp_path / "no.yaml", "--out", tmp_path / "run") == 2
    assert "can't be read" in capsys.readouterr().err


def test_a_split_that_keeps_its_answers_is_run_and_not_scored(evaluate, benchmark_data, tmp_path: Path, capsys) -> None:
    rows = [{"video": video, "query": "it is red"} for video in spans_of(benchmark_data)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = tmp_path / "own.yaml"
    task.write_text("name: hidden\ndataset: jsonl\n")
    out = tmp_path / "run"
    assert evaluate("own", "--task-file", task, "-a", tmp_path / "test.jsonl", "--out", out) == 0
    assert "`hawkeye prepare submit` writes the file" in capsys.readouterr().err
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 10
    assert hawkeye("score", out, "-a", tmp_path / "test.jsonl") == 1
    assert "hold no true spans" in capsys.readouterr().err


def test_the_embedded_default_beside_another_model(
    evaluate, benchmark_data, red_in_registry, tmp_path: Path, monkeypatch, capsys
) -> None:
    from hawkeye.models import base

    monkeypatch.setitem(base.REGISTRY, "other", base.REGISTRY[red_in_registry])
    for place in ("hawkeye.models.base", "hawkeye.cli.eval"):
        monkeypatch.setattr(f"{place}.DEFAULT_MODEL", red_in_registry)
    task = tmp_path / "own.yaml"
    task.write_text(f"name: red\ndataset: jsonl\nannotations: {benchmark_data.annotations}\n")
    arguments = ["--task-file", task, "--out", tmp_path / "run", "--limit", 4, "--with-default"]
    assert evaluate("own", *arguments, "--model", "other", "--max-turns", 1) == 0
    assert "embedded default (sees-red)" in capsys.readouterr().out
    score = json.loads((tmp_path / "run" / "score.json").read_text())
    assert score["references"][-1]["metrics"]["mIoU"]["value"] == score["overall"]["metrics"]["mIoU"]["value"]
    assert len((tmp_path / "run" / red_in_registry / "predictions.jsonl").read_text().splitlines()) == 4
