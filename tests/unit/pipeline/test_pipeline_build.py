"""Whole builds of tiny videos: what comes out, what is done again, what fails, and twenty kills."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from hawkeye.errors import ConfigError, ModelError
from hawkeye.pipeline import local_executor, worker
from hawkeye.pipeline.build import build, finish
from hawkeye.pipeline.colours import Colours
from hawkeye.pipeline.config import load_config
from hawkeye.pipeline.rows import what_is_wrong
from hawkeye.pipeline.sources import list_videos
from hawkeye.pipeline.status import build_status

from .conftest import QUICK, VIDEOS


def files_of(out: Path) -> dict[str, bytes]:
    """The files that are the result (not the journals, whose order is that of the work)."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.json*"))}


def rows_of(out: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def finished(tiny_videos, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    report = build(list_videos(tiny_videos), out, quick)
    return out, report


def test_a_build(finished, tiny_videos):
    out, report = finished
    assert (report.num_done, report.num_failed, report.num_worked_on) == (4, 0, 4)
    assert (out / "videos.txt").read_text().splitlines() == sorted(VIDEOS)
    scenes = {row["video_fname"]: row for row in rows_of(out, "scenes.jsonl")}
    assert list(scenes) == sorted(VIDEOS)
    assert scenes["sub/c.mp4"]["scenes"] == [[0.0, 1.6], [1.6, 3.8], [3.8, 5.8], [5.8, 7.2]]
    assert scenes["b.mp4"]["duration"] == 3.0
    captions = rows_of(out, "captions.jsonl")
    assert captions[0]["captions"] == ["a picture that is mostly red"]
    final = rows_of(out, "final_dataset.jsonl")
    assert final
    assert all(what_is_wrong(row) is None for row in final)
    assert report.counts is not None
    assert report.counts.rows == len(final)
    assert json.loads((out / "counts.json").read_text())["rows"] == len(final)
    red = [row for row in final if row["video"] == "a.mp4" and row["caption"].endswith("red")]
    # The first and the last scene are the same thing: each bounds the other's negative span.
    assert [(r["start_sec"], r["end_sec"], r["neg_start_sec"], r["neg_end_sec"]) for r in red] == [
        (0.0, 2.0, 0.0, 4.5),
        (4.5, 6.0, 2.0, 6.0),
    ]


def test_a_second_run_does_nothing(finished, tiny_videos, quick):
    out, _ = finished
    before = files_of(out)
    report = build(list_videos(tiny_videos), out, quick)
    assert (report.num_done, report.num_worked_on) == (4, 0)
    assert files_of(out) == before


def counted(monkeypatch) -> dict[str, int]:
    """How often each step really works."""
    calls = dict.fromkeys(("scan", "embed_frames", "caption", "similarity"), 0)

    def count(owner, name):
        original = getattr(owner, name)

        def wrapper(*arguments):
            calls[name] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, wrapper)

    from hawkeye.pipeline import work

    count(work, "scan")
    for name in ("embed_frames", "caption", "similarity"):
        count(Colours, name)
    return calls


def test_a_changed_setting_redoes_what_depends_on_it(tiny_videos, tmp_path, monkeypatch):
    videos = list_videos(tiny_videos)[:2]
    build(videos, tmp_path, load_config(preset="paper", overrides=QUICK))
    first = files_of(tmp_path)
    calls = counted(monkeypatch)
    report = build(videos, tmp_path, load_config(preset="paper", overrides=[*QUICK, "filter.quantile=0"]))
    assert not any(calls.values())
    assert report.counts is not None
    assert report.counts.kept_captions > json.loads(first["counts.json"])["kept_captions"]
    report = build(videos, tmp_path, load_config(preset="paper", overrides=[*QUICK, "captions.min_secs=1.8"]))
    assert report.redone_stages == ["captions", "scores"]
    assert calls["caption"] == 2
    assert len(rows_of(tmp_path, "captions.jsonl")) < len(first["captions.jsonl"].splitlines())
    for name in calls:
        calls[name] = 0
    build(videos, tmp_path, load_config(preset="paper", overrides=QUICK))  # back: all is there
    assert not any(calls.values())
    assert files_of(tmp_path) == first


def test_bad_videos_are_recorded_and_skipped(tiny_videos, tmp_path, quick):
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "good.mp4").write_bytes((tiny_videos / "a.mp4").read_bytes())
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("no video\n" * 100)
    (videos / "cut.mp4").write_bytes((tiny_videos / "a.mp4").read_bytes()[:800])
    out = tmp_path / "out"
    report = build(list_videos(videos), out, quick)
    assert (report.num_done, report.num_failed) == (4, 3)
    failures = {row["video_fname"]: row for row in rows_of(out, "failures.jsonl")}
    assert sorted(failures) == ["cut.mp4", "empty.mp4", "text.mp4"]
    assert {row["stage"] for row in failures.values()} == {"scenes"}
    assert "the file is empty" in failures["empty.mp4"]["reason"]
    assert {row["video"] for row in rows_of(out, "final_dataset.jsonl")} == {"good.mp4"}
    status = build_status(out)
    assert (status.num_done, status.num_failed, len(status.failures)) == (4, 3, 3)
    assert [(s.num_done, s.num_failed) for s in status.stages] == [(1, 3), (1, 0), (1, 0), (1, 0)]
    assert build(list_videos(videos), out, quick).num_worked_on == 0
    (videos / "empty.mp4").write_bytes((tiny_videos / "b.mp4").read_bytes())
    again = build(list_videos(videos), out, quick, retry_failed=True)
    assert (again.num_worked_on, again.num_failed) == (3, 2)
    assert {row["video_fname"] for row in rows_of(out, "scenes.jsonl")} == {"empty.mp4", "good.mp4"}


def test_captioners_that_fail_or_say_nothing(tiny_videos, tmp_path, quick, monkeypatch):
    class Moody(Colours):
        """Fails on blue, says nothing to red."""

        def caption(self, segments):
            captions = super().caption(segments)
            if any("blue" in caption for caption in captions):
                raise ModelError("the server is tired of blue")
            return ["  " if "red" in caption else caption for caption in captions]

    monkeypatch.setattr(worker, "load_captioner", lambda config: Moody())
    build(list_videos(tiny_videos), tmp_path, quick)
    failures = rows_of(tmp_path, "failures.jsonl")
    reasons = [(row["video_fname"], row["reason"]) for row in failures if "start_sec" in row]
    assert reasons == [
        ("a.mp4", "empty caption"),
        ("a.mp4", "the server is tired of blue"),
        ("a.mp4", "empty caption"),
        ("d.mp4", "the server is tired of blue"),
        ("d.mp4", "empty caption"),
        ("sub/c.mp4", "the server is tired of blue"),
    ]
    assert {row["video_fname"] for row in rows_of(tmp_path, "captions.jsonl")} == {"b.mp4", "sub/c.mp4"}


def test_a_captioner_that_always_fails_stops_the_build(tiny_videos, tmp_path, quick, monkeypatch):
    class Dead(Colours):
        def caption(self, segments):
            raise ModelError("no answer: is the server running?")

    monkeypatch.setattr(worker, "load_captioner", lambda config: Dead())
    videos = tmp_path / "videos"
    videos.mkdir()
    for i in range(12):
        os.link(tiny_videos / "b.mp4", videos / f"{i:02}.mp4")
    with pytest.raises(ModelError, match=r"the last 10 videos all failed at captions.*is the server.*--retry-failed"):
        build(list_videos(videos), tmp_path / "out", quick)
    monkeypatch.undo()
    report = build(list_videos(videos), tmp_path / "out", quick, retry_failed=True)
    assert (report.num_done, report.num_failed) == (12, 0)


def test_shards_give_the_bytes_of_one_run(finished, tiny_videos, quick, tmp_path):
    videos = list_videos(tiny_videos)
    assert build(videos, tmp_path, quick, shard=(1, 2)).counts is None
    assert not (tmp_path / "final_dataset.jsonl").exists()
    assert finish(videos, tmp_path, quick) is None
    assert build(videos, tmp_path, quick, shard=(0, 2)).counts is not None
    assert files_of(tmp_path) == files_of(finished[0])
    assert build(videos, tmp_path, quick).num_worked_on == 0  # unsharded: all rows are known


def test_twenty_kills(finished, tiny_videos, quick, tmp_path):
    """kill -9 at random moments of builds that go on where the last one was killed; the result is the same bytes."""
    videos, expected = list_videos(tiny_videos), files_of(finished[0])
    started = time.perf_counter()
    build(videos, tmp_path / "timed", quick)
    whole = time.perf_counter() - started
    moments = random.Random(20)
    num_killed = 0
    for round_number in range(5):
        out = tmp_path / str(round_number)
        for _ in range(4):
            child = os.fork()
            if child == 0:
                try:
                    build(videos, out, quick)
                finally:
                    os._exit(0)
            time.sleep(moments.uniform(0, whole / 2))
            os.kill(child, signal.SIGKILL)
            num_killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        build(videos, out, quick)
        assert files_of(out) == expected
        assert not list(out.glob(".*.part"))
    assert num_killed >= 8  # the others had finished


def test_several_processes_all_of_which_die(finished, tiny_videos, quick, tmp_path):
    videos = list_videos(tiny_videos)
    killed: list[int] = []

    def kill_all(report, work):
        if work is not None and not killed:
            killed.extend(process for server in children_of(os.getpid()) for process in children_of(server))
            for process in killed:
                os.kill(process, signal.SIGKILL)

    report = build(videos, tmp_path, quick, num_workers=2, on_progress=kill_all)
    assert killed
    assert (report.num_done, report.num_failed) == (4, 0)
    assert files_of(tmp_path) == files_of(finished[0])


def children_of(process: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        if parent == process:
            found.append(int(path.parent.name))
    return found


def test_a_video_that_brings_workers_down_costs_only_itself(tiny_videos, quick, monkeypatch):
    """The pool itself, with a step that kills its process at one video."""
    from hawkeye.pipeline.work import VideoWork

    monkeypatch.setattr(local_executor, "_run", _deadly)
    works = [VideoWork(name, tiny_videos / name) for name in ("a.mp4", "deadly", "d.mp4")]
    done = {work.video: work for work in local_executor.run_local(works, quick, 2)}
    assert sorted(done) == ["a.mp4", "d.mp4", "deadly"]
    assert "brought its worker process down" in done["deadly"].error
    assert done["a.mp4"].failed_stage is None


def test_an_interrupt_does_not_wait_for_what_is_under_way(tiny_videos, quick, monkeypatch):
    from hawkeye.pipeline.work import VideoWork

    monkeypatch.setattr(local_executor, "_run", _slow)
    works = [VideoWork(name, tiny_videos / name) for name in ("a.mp4", "slow", "slow too")]
    done = local_executor.run_local(works, quick, 2)
    assert next(done).video == "a.mp4"
    started = time.perf_counter()
    done.close()  # as when KeyboardInterrupt leaves the loop
    assert time.perf_counter() - started < 20
    assert not [process for process in multiprocessing.active_children() if process.is_alive()]


def _slow(work, scan_only):
    time.sleep(60 if "slow" in work.video else 0)
    return work


def _deadly(work, scan_only):
    if work.video == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return work


def test_unknown_parts_are_named_before_any_work(tiny_videos, tmp_path):
    for setting, message in (
        ("captions.captioner=nobody", "captions.captioner 'nobody'"),
        ("scores.scorer=x", "scores.scorer"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(list_videos(tiny_videos), tmp_path, load_config(overrides=[setting]))
    with pytest.raises(ConfigError, match="expected local or ray"):
        build(list_videos(tiny_videos), tmp_path, load_config(overrides=QUICK), executor="slurm")  # type: ignore[arg-type]
