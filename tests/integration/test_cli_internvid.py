"""``hawkeye internvid`` as a person uses it, with the embedded model on one small video, and on a Ray cluster."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hawkeye.cli.main import main
from hawkeye.video.synthetic import write_video

QUICK = [
    *(
        "--preset",
        "paper",
        "--workers",
        "1",
        "--set",
        "similarity.embedder=colours",
        "--set",
        "similarity.weights=null",
    ),
    *("--set", "captions.captioner=colours", "--set", "captions.weights=null", "--set", "scenes.min_scene_frames=5"),
]


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = 0
    try:
        main(["internvid", *map(str, arguments)])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number, colours in enumerate([[(200, 30, 30), (40, 70, 200), (200, 30, 30)], [(40, 150, 50), (240, 230, 50)]]):
        frames = [np.full((48, 64, 3), colour, dtype=np.uint8) for colour in colours for _ in range(20)]
        write_video(folder / f"{number}.mp4", frames, fps=10)
    (folder / "broken.mp4").write_bytes(b"")
    return folder


def test_build_status_stats_sample_and_single_stages(capsys, videos, tmp_path):
    out = tmp_path / "out"
    code, text, log = run(capsys, "build", videos, out, *QUICK)
    assert (code, text.strip()) == (0, str(out / "final_dataset.jsonl"))
    assert "3/3" in log
    assert "broken.mp4: failed at scenes" in log
    assert "1 failed" in log
    code, text, _ = run(capsys, "status", out)
    assert code == 0
    assert "3 of 3 videos done, 1 of them failed" in text
    assert "the file is empty" in text
    assert json.loads(run(capsys, "status", out, "--json")[1])["num_failed"] == 1
    stats = json.loads(run(capsys, "stats", out)[1])
    assert stats["rows"] == stats["stages"]["rows"] > 0
    code, text, _ = run(capsys, "sample", out, videos, "--page", tmp_path / "page.html", "--rows", "2")
    assert (code, text.strip()) == (0, str(tmp_path / "page.html"))
    assert "<svg" in (tmp_path / "page.html").read_text()
    settings = QUICK[:2] + QUICK[4:]
    code, text, log = run(capsys, "run", "negatives", out, *settings, "--set", "negatives.max_secs=1.5")
    assert (code, text.strip()) == (0, "0 rows written")
    assert "left out: no scene" in log
    assert run(capsys, "run", "scenes", tmp_path / "s", "--videos", videos, *settings)[1].strip() == "2 rows written"
    code, _, log = run(capsys, "build", videos, out, *QUICK, "--set", "merge.threshold=0.95")
    assert "made again: captions, scores" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "VIDEOS", "OUT", "--executor", "slurm"], "expected local or ray"),
        (["build", "VIDEOS", "OUT", "--shard", "3/3"], "expected i/n"),
        (["build", "VIDEOS", "OUT", "--set", "merge.treshold=1"], "did you mean threshold"),
        (["build", "OUT", "OUT"], "expected a folder of videos"),
        (["build", "VIDEOS", "OUT", "--preset", "theirs"], "expected paper or ours"),
        (["run", "filter", "OUT", "--file", "captions.jsonl"], "expected NAME=PATH"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(capsys, videos, tmp_path, arguments, message):
    code, _, log = run(capsys, *({"VIDEOS": videos, "OUT": tmp_path / "out"}.get(a, a) for a in arguments))
    assert code == 2
    assert message in log
    assert len(log.strip().splitlines()) == 1


def test_a_folder_that_is_no_build_is_exit_code_1(capsys, tmp_path):
    code, _, log = run(capsys, "status", tmp_path)
    assert code == 1
    assert "holds no build" in log


def test_the_embedded_parts(capsys, videos, tmp_path):
    code, _, log = run(capsys, "build", videos, tmp_path, "--workers", "1", "--set", "scenes.min_scene_frames=5")
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "captions_scored.jsonl").read_text().splitlines()]
    assert rows
    assert all(row["caption"].startswith("a video of ") and -1 <= row["clip_sim"] <= 1 for row in rows)
    assert "3 videos (1 failed)" in log


def test_what_is_built_is_read_as_a_data_set(capsys, videos, tmp_path):
    from hawkeye.datasets.registry import load_dataset

    run(capsys, "build", videos, tmp_path, *QUICK)
    loaded = load_dataset("internvid-g", [tmp_path / "final_dataset.jsonl"])
    built = [json.loads(line) for line in (tmp_path / "final_dataset.jsonl").read_text().splitlines()]
    assert len(loaded.examples) == len(built) > 0


@pytest.mark.slow
def test_ray_gives_the_same_rows(capsys, videos, tmp_path):
    pytest.importorskip("ray")
    for executor in ("local", "ray"):
        code, _, log = run(capsys, "build", videos, tmp_path / executor, *QUICK, "--executor", executor)
        assert code == 0, log
    import ray

    ray.shutdown()
    for path in (tmp_path / "local").glob("*.json*"):
        assert path.read_bytes() == (tmp_path / "ray" / path.name).read_bytes()
