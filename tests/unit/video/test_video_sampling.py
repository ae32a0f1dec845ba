"""Frame choice against the recorded rows of the reference, and what must hold for any numbers."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkeye.errors import ConfigError, VideoError
from hawkeye.prompts import format_seconds, frames_message
from hawkeye.video.sampling import clip_range, sample_window, training_indices, uniform_indices, window_indices


def rows(golden: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (golden / name).read_text().splitlines()]


def positive_zero(text: str) -> str:
    return text.replace("-0.0", "0.0")  # quirk 18


# ---- evaluation ------------------------------------------------------------------------------------------------------


def test_window_rule_and_message_match_the_reference(golden: Path) -> None:
    readable = [row for row in rows(golden, "eval_index.jsonl") if "read_error" not in row]
    assert len(readable) == 462
    for row in readable:
        bound, fps = row["bound"], row["fps"]
        indices = window_indices(bound, fps, row["max_frame_used"], row["num_segments"])
        assert indices == row["indices"]
        relative = bound is not None and row["evaluator"] == "recursive" and row["storage"] == "video"
        times = [index / fps - (bound[0] if relative else 0) for index in indices]
        assert frames_message(times) == positive_zero(row["message"])


def test_windows_that_the_reference_can_not_read_are_clamped(golden: Path) -> None:
    for row in rows(golden, "eval_index.jsonl"):
        if "read_error" in row:
            indices = window_indices(row["bound"], row["fps"], row["vlen"] - 1, row["num_segments"])
            assert indices == sorted(indices)
            assert indices[-1] <= row["vlen"] - 1


def test_window_rule_matches_the_model_side_rows(golden: Path) -> None:
    recorded = json.loads((golden / "frame_index.json").read_text())
    for row in recorded["decord_reader"]:
        bound, count = row["bound"], row["num_frames_in_video"]
        indices = window_indices(bound, row["fps"], count - 1, 12)
        times = [index / row["fps"] - (bound[0] if bound else 0) for index in indices]
        if min(row["indices"]) >= 0 and max(row["indices"]) < count and row["indices"] == sorted(row["indices"]):
            assert indices == row["indices"]
            assert frames_message(times) == positive_zero(row["message"])
    for row in recorded["frames_folder_reader_fps3"]:
        indices = window_indices(row["bound"], 3, row["num_files"], 12)
        assert indices == row["indices"]
        assert ", ".join(format_seconds(index / 3) for index in indices) == row["seconds_text"]
    for row in recorded["demo_notebook_get_index"]:
        assert uniform_indices(row["num_frames"], row["num_segments"]) == row["indices"]


def test_uniform_rule_matches_the_reference(golden: Path) -> None:
    for row in rows(golden, "uniform_index.jsonl"):
        assert uniform_indices(row["num_frames"], row["num_segments"]) == row["indices"]


@dataclass
class TimesOnly:
    """As much of a reader as sampling looks at."""

    times: np.ndarray
    duration: float

    @property
    def info(self) -> SimpleNamespace:
        return SimpleNamespace(path="made up", duration=self.duration, fps=len(self.times) / self.duration)


def constant(count: int, fps: float) -> TimesOnly:
    return TimesOnly(np.arange(count) / fps, count / fps)


@settings(deadline=None)
@given(
    count=st.integers(1, 5000),
    fps=st.sampled_from([3.0, 10.0, 24.0, 30000 / 1001, 60.0]),
    edges=st.tuples(st.floats(-10, 400), st.floats(-10, 400)).map(sorted),
    num_frames=st.integers(1, 40),
)
def test_sampled_frames_lie_in_the_window(count: int, fps: float, edges: list[float], num_frames: int) -> None:
    reader = constant(count, fps)
    indices, times = sample_window(reader, (edges[0], edges[1]), num_frames)  # type: ignore[arg-type]
    assert len(indices) == len(times) == num_frames
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < count
    last_frame = (count - 1) / fps
    start, end = (min(max(edge, 0.0), last_frame) for edge in edges)
    half = 0.5 / fps + 1e-9  # borders are rounded to frames
    assert start - half <= times[0]
    assert times[-1] <= end + half


@settings(deadline=None)
@given(gaps=st.lists(st.sampled_from([0.02, 0.04, 0.5, 3.0, 20.0]), min_size=2, max_size=200), seed=st.integers(0, 9))
def test_variable_rate_goes_by_true_time(gaps: list[float], seed: int) -> None:
    starts = np.concatenate([[0.0], np.cumsum(gaps)])
    reader = TimesOnly(starts[:-1], float(starts[-1]))
    window = sorted(random.Random(seed).uniform(0, float(starts[-1])) for _ in range(2))
    indices, times = sample_window(reader, (window[0], window[1]), 12)  # type: ignore[arg-type]
    frame = 1 / reader.info.fps + 1e-6
    last = float(starts[-1]) - frame
    for index, time in zip(indices, times, strict=True):
        assert min(window[0], last) - frame <= time <= window[1] + frame
        assert starts[index] - frame <= time <= starts[index + 1] + frame  # the frame on screen at that time


def test_slide_show_is_sampled_by_time() -> None:
    slides = TimesOnly(np.array([0.0, 1.0, 2.0, 3.0]), 100.0)  # the last slide stays for 97 s
    assert sample_window(slides, None, 4) == ([3, 3, 3, 3], [12.48, 37.48, 62.48, 87.44])  # type: ignore[arg-type]
    assert sample_window(slides, (0.9, 3.1), 4)[0] == [1, 1, 2, 2]  # type: ignore[arg-type]
    assert sample_window(constant(100, 1.0), None, 4)[0] == [12, 37, 62, 86]  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [(5.0, 2.0), (float("nan"), 2.0)])
def test_impossible_windows(window: tuple[float, float]) -> None:
    with pytest.raises(VideoError, match="ends before it starts"):
        sample_window(constant(100, 10.0), window, 12)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected at least 1"):
        sample_window(constant(100, 10.0), None, 0)  # type: ignore[arg-type]


def test_endless_window_is_the_rest_of_the_video() -> None:
    reader = constant(100, 10.0)
    endless, whole = (sample_window(reader, window, 12) for window in ((0.0, float("inf")), None))  # type: ignore[arg-type]
    assert endless == whole


# ---- training --------------------------------------------------------------------------------------------------------


def rule_of(row: dict) -> str:
    return row["sample"] if row.get("fix_start") is None else f"fix{row['fix_start']}"


def test_training_rules_match_the_reference(golden: Path) -> None:
    """All rows of rules without chance whose frames lie where QUIRKS.md says that they should."""
    compared = {"middle": 0, "fix": 0, "fps": 0}
    for row in rows(golden, "frame_indices.jsonl"):
        rule = rule_of(row)
        if row["case"] in ("unknown_sample", "clip_reversed") or rule == "rand":
            continue
        clip, fps, vlen = row["clip_sec"], row["fps"], row["vlen"]
        limit = row["max_num_frames"] if row["max_num_frames"] > 0 else None
        indices = training_indices(rule, row["num_frames"], vlen, fps, clip, max_num_frames=limit)
        start, end = clip_range(clip, fps, vlen)
        assert all(start <= index < end for index in indices)
        if row["end_frame"] > row["start_frame"]:
            assert (start, end) == (row["start_frame"], row["end_frame"])
        edges = np.linspace(start, end, min(row["num_frames"], vlen) + 1).astype(int)
        right = {
            "middle": all(start <= index < end for index in row["indices"]),  # quirk 4
            "fix": not rule.startswith("fix") or int(rule[3:]) < np.diff(edges).min() or rule == "fix0",  # quirk 4
            "fps": (start, end) == (0, vlen),  # quirk 3
        }
        kind = rule.rstrip("0123456789.")
        if right[kind]:
            assert indices == row["indices"], row
            compared[kind] += 1
    assert compared == {"middle": 322, "fix": 174, "fps": 48}


def test_reader_clips_match_the_reference(golden: Path) -> None:
    compared = {"decord": 0, "frames": 0, "gif": 0, "av": 0}
    for row in rows(golden, "reader_clips.jsonl"):
        recorded = row["reader_out"]
        if "error" in recorded or row["sample"] != "middle":
            continue
        if min(recorded["relative_indices"]) < 0 or (row["reader"] == "av" and row["clip_sec"]):
            continue  # quirks 2 and 4
        fps, clip = recorded["fps"], row["clip_sec"]
        start, _ = clip_range(clip, fps, row["vlen"])
        relative = [i - start for i in training_indices("middle", row["num_frames"], row["vlen"], fps, clip)]
        assert relative == recorded["relative_indices"]
        assert f" {frames_message([i / fps for i in relative])} " == row["message"]
        compared[row["reader"]] += 1
    assert compared == {"decord": 92, "frames": 14, "gif": 5, "av": 16}


@settings(deadline=None)
@given(
    rule=st.sampled_from(["middle", "rand", "fix0", "fix3", "fps0.5", "fps2"]),
    num_frames=st.integers(1, 32),
    vlen=st.integers(1, 2000),
    fps=st.sampled_from([3.0, 8.0, 23.976, 30.0, 60.0]),
    clip=st.none() | st.tuples(st.floats(-5, 100), st.floats(-5, 100)).map(lambda c: (min(c), max(c))),
    seed=st.integers(0, 2**32),
)
def test_training_frames_stay_in_the_clip(
    rule: str, num_frames: int, vlen: int, fps: float, clip: tuple[float, float] | None, seed: int
) -> None:
    first, again = (training_indices(rule, num_frames, vlen, fps, clip, random.Random(seed)) for _ in range(2))
    start, end = clip_range(clip, fps, vlen)
    assert 0 <= start < end <= vlen
    assert first == again == sorted(first)
    assert start <= first[0]
    assert first[-1] < end
    assert len(first) == num_frames or rule.startswith("fps")


def test_rand_draws_every_frame_of_its_slot() -> None:
    generator = random.Random(0)
    draws = np.array([training_indices("rand", 4, 40, 10.0, generator=generator) for _ in range(2000)])
    for slot, column in enumerate(draws.T):
        assert set(column.tolist()) == set(range(slot * 10, slot * 10 + 10))  # quirk 1: the last one, too
    short = training_indices("rand", 12, 300, 30.0, (5.0, 5.2), generator)
    assert all(150 <= index < 156 for index in short)


def test_fps_rule_honours_the_clip() -> None:
    assert training_indices("fps1", 12, 300, 30.0, (5.0, 8.0)) == [165, 195, 225]
    assert training_indices("fps1", 12, 300, 30.0, (5.0, 8.0), max_num_frames=2) == [165, 195]
    assert training_indices("fps1", 12, 300, 30.0, (5.0, 5.2)) == [152]  # too short for one: its middle


@pytest.mark.parametrize("rule", ["uniform", "fpsx", "fps0", "fps-1", "fix", "fix-2", "fix1.5", ""])
def test_unknown_rules(rule: str) -> None:
    with pytest.raises(ConfigError, match=f"sampling rule '{rule}'"):
        training_indices(rule, 12, 300, 30.0)


def test_rand_needs_a_generator_and_a_clip_a_direction() -> None:
    with pytest.raises(ConfigError, match="needs a generator"):
        training_indices("rand", 12, 300, 30.0)
    with pytest.raises(VideoError, match="ends before it starts"):
        training_indices("middle", 12, 300, 30.0, (8.0, 2.0))
