"""What is on disk: journals that survive anything, locks, the folder of a build, lists of videos."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from hawkeye.errors import ConfigError, OutputError
from hawkeye.pipeline.config import load_config
from hawkeye.pipeline.folder import OutputFolder, read_manifest, write_manifest
from hawkeye.pipeline.journal import Journal
from hawkeye.pipeline.lock import locked
from hawkeye.pipeline.sources import list_videos, parse_shard


def test_a_journal_gives_back_the_last_row_of_a_key(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", writable=True)
    journal.append("a", {"row": {"n": 1}})
    journal.append('ü "quoted"', {"error": "no good"})
    journal.append("a", {"row": {"n": 2}})
    for opened in (journal, Journal(tmp_path / "j.jsonl")):
        assert opened.get("a") == {"key": "a", "row": {"n": 2}}
        assert 'ü "quoted"' in opened
        assert opened.has_failed('ü "quoted"')
        assert not opened.has_failed("a")
        assert opened.get("b") is None
    journal.append('ü "quoted"', {"row": {}})
    assert not journal.has_failed('ü "quoted"')
    journal.close()


def test_a_torn_tail_is_cut_off_wherever_it_tears(tmp_path):
    path = tmp_path / "j.jsonl"
    journal = Journal(path, writable=True)
    for key in "abc":
        journal.append(key, {"row": {"text": "ünï"}})
    journal.close()
    whole = path.read_bytes()
    lengths = [len(line) for line in whole.splitlines(keepends=True)]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        num_whole = sum(size >= sum(lengths[: i + 1]) for i in range(3))
        again = Journal(path, writable=True)
        assert [key for key in "abc" if key in again] == list("abc"[:num_whole])
        for key in "abc"[num_whole:]:
            again.append(key, {"row": {"text": "ünï"}})
        again.close()
        assert path.read_bytes() == whole


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "j.jsonl").write_text("hello\n")
    with pytest.raises(OutputError, match="byte 0: no row of a build"):
        Journal(tmp_path / "j.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_a_full_disk_is_told(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", writable=True)
    journal.append("a", {"row": {}})
    journal.close()
    journal._handle = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OutputError, match="the disk is full: free some space and run the same command again"):
        journal.append("b", {"row": {}})
    os.close(journal._handle)
    assert [key for key in "ab" if key in Journal(tmp_path / "j.jsonl")] == ["a"]


def hold_in_child(folder: Path, shard: str) -> int:
    """A process that holds the lock until it is killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(folder, shard):
            os.write(writer, b"x")
            time.sleep(600)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    return child


def test_two_builds_in_one_folder(tmp_path):
    child = hold_in_child(tmp_path, "0-of-1")
    try:
        with (
            pytest.raises(OutputError, match=f"another build is at work there \\(process {child} on "),
            locked(tmp_path),
        ):
            pass
        with pytest.raises(OutputError, match="another build"), locked(tmp_path, "1-of-2"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with locked(tmp_path):  # a killed holder leaves no lock behind
        pass


def test_shards_work_side_by_side(tmp_path):
    child = hold_in_child(tmp_path, "0-of-2")
    try:
        with locked(tmp_path, "1-of-2"):
            pass
        with pytest.raises(OutputError), locked(tmp_path, "0-of-2"):
            pass
        with pytest.raises(OutputError), locked(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_rows_are_found_by_what_they_depend_on(tmp_path):
    config, other = load_config(), load_config(overrides=["merge.threshold=0.9"])
    assert write_manifest(tmp_path, config) == []
    folder = OutputFolder(tmp_path, config, "0-of-1")
    for stage, rows in folder.stages.items():
        rows.record("v", {"row": {"stage": stage}})
    folder.stages["scenes"].record("w", {"error": "broken"})
    assert folder.is_done("v")
    assert folder.is_done("w")
    assert (folder.failed_stage("v"), folder.failed_stage("w")) == (None, "scenes")
    folder.close()
    assert write_manifest(tmp_path, other) == ["captions", "scores"]
    changed = OutputFolder(tmp_path, other)
    assert changed.stages["similarity"].row("v") == {"stage": "similarity"}
    assert changed.stages["captions"].row("v") is None
    assert not changed.is_done("v")
    assert write_manifest(tmp_path, config) == ["captions", "scores"]
    assert OutputFolder(tmp_path, config).is_done("v")


def test_another_shards_row_is_preferred_to_an_error(tmp_path):
    config = load_config()
    for shard, values in (("0-of-2", {"error": "no"}), ("1-of-2", {"row": {"n": 1}})):
        folder = OutputFolder(tmp_path, config, shard)
        folder.stages["scenes"].record("v", values)
        folder.close()
    rows = OutputFolder(tmp_path, config, "0-of-2").stages["scenes"]
    assert not rows.has_failed("v")
    assert rows.row("v") == {"n": 1}


def test_a_folder_that_is_no_build(tmp_path):
    with pytest.raises(OutputError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(OutputError, match="has format 99, expected 1"):
        read_manifest(tmp_path)


def test_lists_of_videos(tmp_path):
    for name in ("b.mp4", "a.MKV", "notes.md", ".hidden.mp4", "sub/c.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [video.name for video in list_videos(tmp_path)] == ["a.MKV", "b.mp4", "sub/c.webm"]
    (tmp_path / "list.txt").write_text("b.mp4\n\n sub/c.webm \n")
    assert [video.path for video in list_videos(tmp_path / "list.txt")] == [tmp_path / "b.mp4", tmp_path / "sub/c.webm"]
    (tmp_path / "list.jsonl").write_text('{"video_fname": "x.mp4"}\n{"video_fname": "x.mp4", "start_sec": 1}\n')
    assert [tuple(video) for video in list_videos(tmp_path / "list.jsonl", "/videos")] == [
        ("x.mp4", Path("/videos/x.mp4"))
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.txt", "", "holds no videos"),
        ("list.txt", "a.mp4\na.mp4", "more than once"),
        ("list.csv", "", "expected a folder"),
    ],
)
def test_wrong_lists_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        list_videos(tmp_path / name)


def test_shards():
    assert parse_shard("2/8") == (2, 8)
    for wrong in ("8/8", "1", "-1/2", "a/b", "1/0"):
        with pytest.raises(ConfigError, match="expected i/n"):
            parse_shard(wrong)
