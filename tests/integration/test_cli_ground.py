"""The real command on the sample video, in this process."""

import json
import shutil

import pytest
from PIL import Image
from tests.conftest import ROOT

from hawkeye.cli.main import main
from hawkeye.records import read_jsonl
from hawkeye.video.reader import open_video

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of ``hawkeye ARGUMENTS``."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def test_every_sentence_of_the_sample_is_found(capsys):
    code, out, _ = run(capsys, "ground", SAMPLE, "--queries", SAMPLE.parent / "queries.jsonl", "--json")
    assert code == 0
    answer = json.loads(out)
    truth = {row["query"]: (row["start"], row["end"]) for row in read_jsonl(SAMPLE.parent / "queries.jsonl")}
    assert answer["duration"] == pytest.approx(46.0)
    assert set(answer) == {"video", "duration", "model", "strategy", "version", "results"}
    overlaps = {}
    for result in answer["results"]:
        start, end = truth[result["query"]]
        low, high = result["span"]
        overlaps[result["query"]] = max(0, min(end, high) - max(start, low)) / (max(end, high) - min(start, low))
    assert sum(iou >= 0.5 for iou in overlaps.values()) >= 5, overlaps


def test_the_recursion_shows_its_turns(capsys, tmp_path):
    picture, out_file = tmp_path / "new" / "p.png", tmp_path / "r.jsonl"
    code, out, err = run(
        capsys, "ground", SAMPLE, "a cat", "--strategy", "recursive", "--max-turns", 2, "--picture", picture, "--out", out_file
    )  # fmt: skip
    assert code == 0
    assert "turn 1" in out
    assert "found" in out
    assert "wrote" in err
    assert Image.open(picture).size[0] == 1200
    (row,) = read_jsonl(out_file)
    turns = row["results"][0]["turns"]
    assert 1 <= len(turns) <= 2
    assert len(turns[0]["frame_times"]) == 12
    assert turns[0]["window"] == [0, pytest.approx(46.0)]
    assert sorted(turns[0]["options"]) == ["beginning", "end", "middle", "throughout"]


def test_same_seed_same_output(capsys):
    def rows():
        _, out, _ = run(capsys, "ground", SAMPLE, "a cat", "a rocket", "--strategy", "recursive", "--json", "--seed", 5)
        return [{k: v for k, v in row.items() if k != "timings"} for row in json.loads(out)["results"]]

    assert rows() == rows()


def test_the_found_stretch_as_a_clip(capsys, tmp_path):
    code, out, _ = run(capsys, "ground", SAMPLE, "a cat looks into the camera", "--json", "--cut", tmp_path)
    assert code == 0
    start, end = json.loads(out)["results"][0]["span"]
    (clip,) = tmp_path.glob("*.mp4")
    with open_video(clip) as reader:
        assert reader.info.duration == pytest.approx(end - start, abs=0.1)


def test_a_bad_video_among_good_ones(capsys, tmp_path):
    shutil.copy(SAMPLE, tmp_path / "b.mp4")
    (tmp_path / "a.mp4").write_text("this is no video")
    (tmp_path / "notes.txt").write_text("not asked about")
    code, out, err = run(capsys, "ground", tmp_path, "a cat", "--json")
    assert code == 1
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["video"].endswith("a.mp4")
    assert first["results"][0]["error"]
    assert first["results"][0]["span"] is None
    assert second["results"][0]["span"]
    assert "a.mp4" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([SAMPLE], 2, "no query"),
        ([SAMPLE, ""], 2, "empty"),
        ([SAMPLE, "x" * 10_000], 2, "10000 characters"),
        ([SAMPLE, "a cat", "--max-turns", 0], 2, "max-turns"),
        ([SAMPLE, "a cat", "--max-turns", "many"], 2, "max-turns"),
        ([SAMPLE, "a cat", "--model", "nonsense"], 2, "Known models"),
        ([SAMPLE, "a cat", "--strategy", "sideways"], 2, "recursive or direct"),
        ([SAMPLE, "a cat", "--out", "/proc/nothing/here.jsonl"], 2, "can't write"),
        ([SAMPLE, "a cat", "--device", "abacus"], 2, "abacus"),
        ([SAMPLE, "a cat", "--decoding", "worst"], 2, "best or exact"),
        (["missing.mp4", "a cat"], 1, "no such file"),
        ([SAMPLE, "--queries", "missing.txt"], 1, "can't be read"),
        ([SAMPLE, "--queries", "queries.csv"], 2, ".jsonl"),
    ],
)
def test_what_a_person_can_get_wrong(capsys, arguments, code, message):
    got, _, err = run(capsys, "ground", *arguments)
    assert got == code
    assert message in err
    assert "Traceback" not in err


def test_a_folder_without_videos(capsys, tmp_path):
    code, _, err = run(capsys, "ground", tmp_path, "a cat")
    assert code == 1
    assert "neither videos" in err


def test_queries_from_a_text_file(capsys, tmp_path):
    (tmp_path / "q.txt").write_text("a cat\n\na rocket\n")
    code, out, _ = run(capsys, "ground", SAMPLE, "--queries", tmp_path / "q.txt", "--json")
    assert code == 0
    assert [r["query"] for r in json.loads(out)["results"]] == ["a cat", "a rocket"]


def test_models_and_version(capsys):
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert "hawkeye-7b" in out
    code, out, _ = run(capsys, "--version")
    assert out.startswith("hawkeye 0.")


def test_doctor(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0, out
    assert "all well" in out
