"""The benchmark script runs, reads the frames that it says it reads, and prints one JSON object."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from hawkeye.video.synthetic import numbered_frame, write_video


def test_video_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "video.mp4", (numbered_frame(i, 128, 96) for i in range(50)), g=10)
    script = Path(__file__).parents[3] / "benchmarks" / "video.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--video", str(video), "--runs", "1"])
    runpy.run_path(str(script), run_name="__main__")
    report = json.loads(capsys.readouterr().out)
    assert report["video"] == {"frames": 50, "size": [128, 96], "seconds": 2.0}
    assert report["ratios"]["from the start / ours"] > 0
    assert {"ours, first time", "from the start"} <= set(report["median_seconds"])
