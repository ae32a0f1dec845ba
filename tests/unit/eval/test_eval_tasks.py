"""Task files, and telling data sets by their files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hawkeye.cli.main import main
from hawkeye.datasets.registry import REGISTRY
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.eval.guess import guess_dataset
from hawkeye.eval.tasks import TASKS, EvalTask, adjusted, read_task

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "eval"


def test_the_files_say_what_the_names_mean() -> None:
    for path in CONFIGS.glob("*.yaml"):
        task = read_task(path)
        assert task.name == "own" or task == TASKS[task.name]
        assert set(yaml.safe_load(path.read_text())) == set(EvalTask.model_fields)  # every key is shown
    assert all(task.dataset in REGISTRY for task in TASKS.values())


def test_the_command_line_wins(tmp_path: Path) -> None:
    task = read_task(CONFIGS / "own.yaml")
    changed = adjusted(task, annotations=[tmp_path], options={"split": "x"}, max_turns=2, num_frames=None, videos=None)
    assert (changed.annotations, changed.options, changed.max_turns) == (tmp_path, {"split": "x"}, 2)
    assert (changed.videos, changed.num_frames) == (task.videos, task.num_frames)
    with pytest.raises(ConfigError, match="strategy"):
        adjusted(task, strategy="sideways")


@pytest.mark.parametrize(
    ("name", "text", "dataset"),
    [
        ("queries.jsonl", '{"video": "a.mp4", "query": "b"}', "jsonl"),
        ("my.jsonl", '{"qid": 1, "relevant_windows": [[1, 2]]}', "qvhighlights"),
        ("anet.json", '{"v_1": {"duration": 1.0, "timestamps": [[0, 1]]', "activitynet-captions"),
        ("sta.txt", "AB 0.0 1.0##he runs.", "charades-sta"),
        ("val.csv", "video,frame_count,width", "nextqa"),
        ("val.csv", "video_id,frame_count,width", "nextgqa"),
        ("activitynet-timelens.json", "{}", "timelens"),
        ("questions.json", '[{"question": "q", "candidates": ["a"]', "mvbench"),
    ],
)
def test_data_sets_are_told_by_name_or_content(tmp_path: Path, name: str, text: str, dataset: str) -> None:
    (tmp_path / name).write_text(text)
    assert guess_dataset(tmp_path / name) == dataset
    assert guess_dataset(tmp_path) == dataset


def test_unknown_files_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ConfigError, match="give --dataset"):
        guess_dataset(tmp_path)
    with pytest.raises(AnnotationError, match="no such file"):
        guess_dataset(tmp_path / "none")


def test_every_real_folder_is_known(shared) -> None:
    names = {path.name: guess_dataset(path) for path in (shared / "data/annotations").iterdir() if path.is_dir()}
    assert names == {name: name.replace("_", "-") for name in names}
    assert len(names) == 9


def test_reference_points_without_predictions(tmp_path: Path, capsys) -> None:
    (tmp_path / "q.jsonl").write_text('{"video": "a.mp4", "query": "b", "span": [0, 5], "duration": 10}\n')
    with pytest.raises(SystemExit) as exit_:
        main(["score", "-a", str(tmp_path / "q.jsonl"), "--max-turns", "1"])
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "| throughout                    |        1 |  100.0 |  100.0 |    0.0 |  50.0 |" in printed
    (tmp_path / "q.jsonl").write_text('{"video": "a.mp4", "query": "b"}\n')
    with pytest.raises(SystemExit) as exit_:
        main(["score", "-a", str(tmp_path / "q.jsonl")])
    assert exit_.value.code == 2
    assert "there are no reference points" in capsys.readouterr().err
