"""``hawkeye train``: every recipe is checked and runs on a miniature of its data; and the command's other ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from hawkeye.cli.main import main
from hawkeye.config import read_yaml
from hawkeye.train import checkpoints

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "train"
RECIPES = [
    *("instruction_tuning", "charades_sta", "activitynet", "ablation_second", "ablation_frame"),
    *("ablation_frame_token", "ablation_time_caption", "ablation_direct_caption", "tiny"),
]


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["train", *(str(argument) for argument in arguments)])
    return int(end.value.code or 0)


@pytest.fixture
def small(mini: Path, toy_tokenizers: Path, tmp_path: Path) -> list[str]:
    """What turns a recipe into a run of seconds: other places, and the tiny model."""
    return [
        f"data.root={mini}",
        f"output={tmp_path / 'run'}",
        "model.start=hawkeye-tiny",
        f"model.tokenizers={toy_tokenizers}",
        "data.workers=0",
        "device=cpu",
        "log.every_steps=1",
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_checked_and_trains(
    recipe: str, small: list[str], mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = CONFIGS / f"{recipe}.yaml"
    values = read_yaml(path)
    size = values["batch"]["size"]
    if recipe.startswith("tiny"):
        small += ["batch.size=4"]
        size = 4
    if values["evaluation"]:
        test = (
            "annotations/charades_sta/charades_sta_test.txt"
            if "charades" in recipe
            else "annotations/activitynet_captions/val_1.json"
        )
        small += [f"evaluation.annotations={mini / test}", f"evaluation.videos={mini / 'videos/charades'}"]
        small += ["evaluation.examples=2", "evaluation.max_turns=1"]
    assert command(path, *small, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "steps: " in shown
    assert "###Human:]" in shown or "</Video>[" in shown  # what is learned
    picture = Image.open(tmp_path / "run/dry_run/item_0.png")
    assert picture.size == (32 * values["data"]["num_frames"], 32)

    assert command(path, *small, "schedule.max_steps=3") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run/model")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    met = {key.removeprefix("loss/") for row in rows for key in row if key.startswith("loss/")}
    assert met <= {source["name"] for source in values["data"]["sources"]}
    assert met
    assert (
        json.loads((tmp_path / "run/checkpoints/step_00000003/state.json").read_text())["run"]["batch"]["size"] == size
    )
    if values["evaluation"]:
        best = checkpoints.best_of(tmp_path / "run")
        assert best is not None
        assert best["checkpoint"] == "step_00000003"
        assert rows[-1]["eval/mIoU"] == best["value"]


def test_a_dry_run_lists_missing_and_unreadable_videos(
    small: list[str], mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("AAAAA", "BBBBB"):
        (videos / f"{name}.mp4").write_bytes((mini / f"videos/charades/{name}.mp4").read_bytes())
    (videos / "CCCCC.mp4").write_bytes(b"broken")
    config = tmp_path / "config.yaml"
    config.write_text(
        (CONFIGS / "charades_sta.yaml").read_text().replace("videos: videos/charades ", f"videos: {videos} ")
    )
    assert command(config, *small, "evaluation=null", "--dry-run") == 1
    shown = capsys.readouterr()
    assert "DDDDD.mp4: no such video" in shown.out
    assert "CCCCC#0: " in shown.out
    assert "2 videos are missing or unreadable" in shown.err


def test_packed_data_train_like_loose_files(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = CONFIGS / "ablation_time_caption.yaml"
    assert command(recipe, *small, "--pack", tmp_path / "shards") == 0
    assert capsys.readouterr().out == f"charades_sta: 1 shards in {tmp_path / 'shards/charades_sta'}\n"
    packed = tmp_path / "packed.yaml"
    packed.write_text(
        recipe.read_text()
        .replace("dataset: charades-sta ", "dataset: shards ")
        .replace("videos: videos/charades ", "videos: null ")
        .replace(
            "annotations: annotations/charades_sta/charades_sta_train.txt ",
            f"annotations: {tmp_path}/shards/charades_sta ",
        )
    )
    for config, name in ((recipe, "loose"), (packed, "packed")):
        assert command(config, *small, "schedule.max_steps=2", f"output={tmp_path / name}") == 0
    losses = [
        sorted(json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines())
        for name in ("loose", "packed")
    ]
    assert len(losses[0]) == 2
    assert losses[0] != [0.0, 0.0]


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["optimzer.lr=1"], 2, "optimzer: unknown key, did you mean optimizer?"),
        (["optimizer.lr=fast"], 2, "optimizer.lr: Input should be a valid number"),
        (["batch.size=0"], 2, "batch.size: Input should be greater than or equal to 1"),
        (["data.root=/nowhere"], 1, "source charades_sta: /nowhere/videos/charades: no such folder of videos"),
        (["model.start=nothing"], 2, "model.start: 'nothing' is neither a folder"),
    ],
)
def test_bad_input_is_named(
    small: list[str], overrides: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(CONFIGS / "ablation_frame.yaml", *small, *overrides) == code
    assert message in capsys.readouterr().err


def test_a_video_that_evaluation_lacks_is_found_before_anything_runs(
    small: list[str], mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    annotations = mini / "annotations/charades_sta/charades_sta_test.txt"
    small += [f"evaluation.annotations={annotations}", f"evaluation.videos={tmp_path / 'empty'}"]
    for flags in ([], ["--dry-run"]):
        assert command(CONFIGS / "charades_sta.yaml", *small, *flags) == 1
        assert "AAAAA" in capsys.readouterr().err
    assert not (tmp_path / "run/checkpoints").exists()
