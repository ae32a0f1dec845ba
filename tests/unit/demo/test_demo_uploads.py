"""The upload folder: nothing outside it is opened, nothing stays in it."""

import os
import time

import pytest
from tests.conftest import ROOT

from hawkeye.demo.uploads import Uploads
from hawkeye.errors import ConfigError, HawkEyeError, VideoError

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path / "uploads")


def test_an_upload_is_let_through(uploads):
    path = uploads.take(SAMPLE)
    assert uploads.check(str(path)) == path
    assert path.read_bytes() == SAMPLE.read_bytes()


def test_files_elsewhere_are_never_opened(uploads, tmp_path):
    outside = tmp_path / "private.mp4"
    outside.write_bytes(SAMPLE.read_bytes())
    link = uploads.folder / "link.mp4"
    link.symlink_to(outside)
    sibling = tmp_path / "uploads-other"
    sibling.mkdir()
    (sibling / "a.mp4").write_bytes(b"")
    for path in (outside, link, uploads.folder / ".." / "private.mp4", "/etc/passwd", SAMPLE, sibling / "a.mp4"):
        with pytest.raises(VideoError, match="is not an uploaded file"):
            uploads.check(path)


def test_what_is_missing_or_no_video_is_said(uploads):
    for nothing in (None, ""):
        with pytest.raises(ConfigError, match="no video yet"):
            uploads.check(nothing)
    with pytest.raises(VideoError, match=r"gone.mp4: is no longer there \(uploads are deleted after 1 h\)"):
        uploads.check(uploads.folder / "gone.mp4")
    (uploads.folder / "notes.txt").write_text("x")
    with pytest.raises(VideoError, match=r"notes.txt: is not a video file: expected a name that ends in .mp4"):
        uploads.check(uploads.folder / "notes.txt")


def test_old_files_go_and_young_ones_stay(uploads):
    old = uploads.take(SAMPLE)
    assert uploads.sweep() == 0
    later = time.time() + 3700
    young = uploads.folder / "young.mp4"
    young.write_bytes(b"x")
    assert uploads.sweep(now=later - 200) == 0
    assert uploads.sweep(now=later) == 2
    assert not old.exists()
    uploads.sweep(now=later + 3700)
    assert list(uploads.folder.iterdir()) == []


def test_a_file_handed_out_again_counts_as_young(uploads):
    path = uploads.take(SAMPLE)
    born = path.stat().st_ctime
    time.sleep(0.02)
    os.utime(path)  # what gradio does when it hands out a copy again
    assert path.stat().st_ctime > born
    assert uploads.sweep(now=born + 3600 + 0.001) == 0


def test_the_sweeper_sweeps(tmp_path):
    uploads = Uploads(tmp_path / "u", keep_seconds=0.0)
    path = uploads.take(SAMPLE)
    uploads.start_sweeping(every=0.01)
    deadline = time.monotonic() + 10
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not path.exists()
    uploads.close()
    assert not uploads.folder.exists()


def test_errors_tell_no_path_of_the_machine(uploads):
    path = uploads.folder / "abc" / "a.mp4"
    assert uploads.plain(HawkEyeError(f"{path}: no such file"), path) == "a.mp4: no such file"
    assert uploads.plain(HawkEyeError(f"{uploads.folder}/x: broken")) == "x: broken"
