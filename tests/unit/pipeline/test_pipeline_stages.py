"""Single stages from file to file, statistics, the sample page, fetching videos."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading

import pytest

from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.pipeline.build import build
from hawkeye.pipeline.download import download, file_stem, read_ids
from hawkeye.pipeline.sample import timeline, write_sample
from hawkeye.pipeline.sources import list_videos
from hawkeye.pipeline.stage_files import RUNNERS, Files, run_stage
from hawkeye.pipeline.stats import dataset_stats


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def built(tiny_videos, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    build(list_videos(tiny_videos), out, quick)
    return out


@pytest.fixture(scope="module")
def staged(tiny_videos, quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    for stage in RUNNERS:
        assert run_stage(stage, Files(folder), tiny_videos, quick) > 0
    return folder


def test_the_stages_one_by_one_make_what_a_build_makes(built, staged):
    for name in ("scenes.jsonl", "scenes_merged.jsonl"):
        assert rows_of(staged / name) == rows_of(built / name)
    # A build looks at JPEG pictures near the exact frames, so embeddings differ in the third decimal.
    for ours, theirs in zip(
        rows_of(staged / "captions_scored.jsonl"), rows_of(built / "captions_scored.jsonl"), strict=True
    ):
        assert ours["clip_sim"] == pytest.approx(theirs["clip_sim"], abs=0.05)
        assert {k: v for k, v in ours.items() if k != "clip_sim"} == {
            k: v for k, v in theirs.items() if k != "clip_sim"
        }
    spans = {(r["video"], r["start_sec"], r["end_sec"]): r for r in rows_of(built / "final_dataset.jsonl")}
    for row in rows_of(staged / "final_dataset.jsonl"):
        assert row == spans.get((row["video"], row["start_sec"], row["end_sec"]), row)


def test_the_published_layout_of_each_file(staged):
    fields = {
        "scenes_similarity.jsonl": ["video_fname", "similarity_matrix"],
        "scenes_merged_similarity.jsonl": ["video_fname", "similarity_matrix"],
        "captions.jsonl": ["video_fname", "start_sec", "end_sec", "captions"],
        "captions_scored.jsonl": ["video_fname", "start_sec", "end_sec", "caption", "clip_sim"],
        "captions_filtered.jsonl": ["video_fname", "start_sec", "end_sec", "captions"],
    }
    for name, expected in fields.items():
        assert list(rows_of(staged / name)[0]) == expected
    assert set(rows_of(staged / "scenes.jsonl")[0]) >= {"video_fname", "scenes"}


@pytest.mark.parametrize("stage", ["scenes", "similarity", "captions", "scores"])
def test_a_stopped_stage_goes_on(staged, tiny_videos, quick, tmp_path, stage):
    name = {"scores": "captions_scored"}.get(stage, "scenes_similarity" if stage == "similarity" else stage) + ".jsonl"
    for path in staged.glob("*.jsonl"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (staged / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])  # torn in the middle of a line
    assert 0 < run_stage(stage, Files(tmp_path), tiny_videos, quick) < len(whole.splitlines())
    assert (tmp_path / name).read_bytes() == whole
    assert run_stage(stage, Files(tmp_path), tiny_videos, quick) == 0


def test_the_files_of_the_reference(tiny_videos, quick, tmp_path):
    """No durations, rows of the original InternVid, files under other names."""
    (tmp_path / "scenes-merged.jsonl").write_text(
        json.dumps({"video_fname": "a.mp4", "scenes": [[0.0, 2.0], [2.0, 4.5], [4.5, 6.0]]})
        + "\n"
        + json.dumps({"video_fname": "gone.mp4", "scenes": [[0.0, 2.0], [2.0, 3.0]]})
        + "\n"
    )
    matrix = [[1.0, 0.2, 0.3], [0.2, 1.0, 0.3], [0.3, 0.3, 1.0]]
    (tmp_path / "sims.jsonl").write_text(
        "".join(json.dumps({"video_fname": name, "similarity_matrix": matrix}) + "\n" for name in ("a.mp4", "gone.mp4"))
    )
    (tmp_path / "caps.jsonl").write_text(
        json.dumps({"YoutubeID": "a", "Start_timestamp": "00:00:02.000", "End_timestamp": "00:00:04.5", "Caption": "x"})
        + "\n"
        + json.dumps({"YoutubeID": "gone", "start_sec": 0, "end_sec": 2, "captions": ["y"]})
        + "\n"
    )
    elsewhere = {
        "scenes_merged.jsonl": tmp_path / "scenes-merged.jsonl",
        "scenes_merged_similarity.jsonl": tmp_path / "sims.jsonl",
        "captions_filtered.jsonl": tmp_path / "caps.jsonl",
    }
    warnings: list[str] = []
    assert run_stage("negatives", Files(tmp_path / "out", elsewhere), tiny_videos, quick, warnings.append) == 1
    row = rows_of(tmp_path / "out" / "final_dataset.jsonl")[0]
    assert (row["video"], row["duration"], row["start_sec"], row["end_sec"]) == ("a.mp4", 6.0, 2.0, 4.5)
    assert (row["neg_start_sec"], row["neg_end_sec"], row["caption"]) == (0.0, 6.0, "x")
    assert len(warnings) == 1
    assert "gone.mp4: skipped" in warnings[0]


def test_wrong_input_is_named(tmp_path, quick):
    (tmp_path / "scenes.jsonl").write_text('{"video_fname": "a.mp4"}\n')
    (tmp_path / "scenes_similarity.jsonl").write_text("")
    with pytest.raises(AnnotationError, match=r"scenes\.jsonl, row 1: lacks scenes"):
        run_stage("merge", Files(tmp_path), None, quick)
    with pytest.raises(AnnotationError, match="can't be read"):
        run_stage("filter", Files(tmp_path), None, quick)
    with pytest.raises(ConfigError, match="expected one of scenes, similarity"):
        run_stage("magic", Files(tmp_path), None, quick)
    with pytest.raises(ConfigError, match="give their folder with --videos"):
        run_stage("scenes", Files(tmp_path), None, quick)


def test_stats(built, tmp_path):
    stats = dataset_stats(built / "final_dataset.jsonl")
    assert stats["rows"] == len(rows_of(built / "final_dataset.jsonl")) > 0
    assert stats["wrong_rows"] == {}
    assert len(stats["span_seconds"]) == 5
    row = rows_of(built / "final_dataset.jsonl")[0]
    (tmp_path / "f.jsonl").write_text(json.dumps(row | {"neg_end_sec": row["duration"] + 1}) + "\n")
    assert dataset_stats(tmp_path / "f.jsonl")["wrong_rows"] == {"times out of order": 1}
    (tmp_path / "empty.jsonl").write_text("")
    assert dataset_stats(tmp_path / "empty.jsonl")["rows"] == 0
    (tmp_path / "f.jsonl").write_text('{"video": "x"}\n')
    with pytest.raises(AnnotationError, match="row 1: lacks duration"):
        dataset_stats(tmp_path / "f.jsonl")


def test_the_sample_page(built, tiny_videos, tmp_path):
    page = tmp_path / "s" / "sample.html"
    assert write_sample(built / "final_dataset.jsonl", tiny_videos, page, num_rows=3, seed=4) == 3
    text = page.read_text(encoding="utf-8")
    assert text.count("<article>") == text.count("<svg") == 3
    assert text.count("data:image/jpeg;base64,") == 12
    assert "<script" not in text
    assert write_sample(built / "final_dataset.jsonl", tiny_videos, tmp_path / "t.html", num_rows=3, seed=4) == 3
    assert (tmp_path / "t.html").read_text(encoding="utf-8") == text
    odd = {
        "video": "<b>.mp4",
        "duration": 10.0,
        "start_sec": 2.0,
        "end_sec": 4.0,
        "neg_start_sec": 1.0,
        "neg_end_sec": 9.0,
    }
    (tmp_path / "odd.jsonl").write_text(json.dumps(odd | {"caption": "a < b & c"}) + "\n")
    write_sample(tmp_path / "odd.jsonl", tiny_videos, tmp_path / "odd.html")
    text = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert "a &lt; b &amp; c" in text
    assert "&lt;b&gt;.mp4: no such file" in text
    bars = [tuple(map(float, found)) for found in re.findall(r'x="([\d.]+)" y="\d+" width="([\d.]+)"', timeline(odd))]
    assert bars == [(0, 1000), (100, 800), (200, 200)]


def test_lists_to_fetch(tmp_path):
    (tmp_path / "ids.txt").write_text("abc\n\nabc\nhttps://host/x/video.mp4?k=1\n")
    (tmp_path / "rows.jsonl").write_text('{"YoutubeID": "id1"}\n{"video_fname": "id2.mp4"}\n{"YoutubeID": "id1"}\n')
    (tmp_path / "rows.json").write_text('[{"video": "12345678901_00:00:01.mp4"}]')
    assert read_ids(tmp_path / "ids.txt") == ["abc", "https://host/x/video.mp4?k=1"]
    assert read_ids(tmp_path / "rows.jsonl") == ["id1", "id2"]
    assert read_ids(tmp_path / "rows.json") == ["12345678901"]
    assert file_stem("https://host/x/video.mp4?k=1") == "video"
    with pytest.raises(AnnotationError, match=r"expected a list as \.txt"):
        read_ids(tmp_path / "ids.csv")
    with pytest.raises(AnnotationError, match="can't be read"):
        read_ids(tmp_path / "none.txt")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments): ...


@pytest.mark.enable_socket
def test_only_what_is_missing_is_fetched(tiny_videos, tmp_path):
    pytest.importorskip("yt_dlp")
    handler = functools.partial(Quiet, directory=str(tiny_videos))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"http://127.0.0.1:{server.server_port}"
        addresses = [f"{host}/a.mp4", f"{host}/b.mp4", f"{host}/none.mp4"]
        (tmp_path / "b.mp4").write_bytes(b"here already")
        seen: list[tuple] = []
        report = download(addresses, tmp_path, on_done=lambda *done: seen.append(done))
        assert (report.num_listed, report.num_there, report.num_fetched) == (3, 1, 1)
        assert list(report.failed) == [f"{host}/none.mp4"]
        assert "404" in report.failed[f"{host}/none.mp4"]
        assert [name for name, _ in seen] == [addresses[0], addresses[2]]
        assert (tmp_path / "a.mp4").read_bytes() == (tiny_videos / "a.mp4").read_bytes()
        assert (tmp_path / "b.mp4").read_bytes() == b"here already"
        seen.clear()
        again = download(addresses, tmp_path, on_done=lambda *done: seen.append(done))
        assert (again.num_there, again.num_fetched, len(again.failed), seen) == (2, 0, 1, [])
        retried = download(addresses, tmp_path, retry_failed=True, on_done=lambda *done: seen.append(done))
        assert (retried.num_fetched, len(retried.failed), len(seen)) == (0, 1, 1)
    finally:
        server.shutdown()
        server.server_close()
