"""The pure cores against rows recorded from the reference; the rows that show its listed defects are told apart here."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import numpy as np
import pytest

from hawkeye.errors import AnnotationError
from hawkeye.pipeline.filtering import filter_captions, keep_threshold
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.negatives import grounding_row, negative_spans
from hawkeye.pipeline.positions import caption_frames, clamp, scoring_frames, similarity_frames
from hawkeye.pipeline.rows import captions_by_video, parse_timestamp, what_is_wrong
from hawkeye.pipeline.scenes import rounded, scenes_from_cuts
from hawkeye.pipeline.similarity import caption_similarity, cosine_scores, scene_similarity


def rows_of(golden, name):
    return [json.loads(line) for line in (golden / name).read_text(encoding="utf-8").splitlines()]


def test_frame_positions(golden):
    for row in rows_of(golden, "internvidg_frame_positions.jsonl"):
        stretch = (row["start_sec"], row["end_sec"], row["video_fps"])
        for count in (1, 3):
            recorded = row[f"scene_similarity_frames_{count}"]
            found = similarity_frames(*stretch, num_frames=count)
            assert found[: len(recorded)] == recorded  # the reference stops at the first frame it can't read
            if row[f"scene_similarity_ok_{count}"]:
                assert found == recorded == clamp(found, row["video_frames"])
            assert max(clamp(found, row["video_frames"])) < row["video_frames"]
        if row["caption_one_frame"] != "ValueError":
            assert caption_frames(*stretch, num_frames=1) == row["caption_one_frame"]
            assert caption_frames(*stretch, num_frames=8) == row["caption_eight_frames"]
        if row["caption_fps2_max5"] != "not captioned":
            assert caption_frames(*stretch, sample_fps=2, max_frames=5) == row["caption_fps2_max5"]
        assert scoring_frames(*stretch) == row["caption_filter_frames_3"]


def test_a_scene_shorter_than_a_frame_has_a_caption_frame():
    assert caption_frames(2.0, 2.1, 8.0, num_frames=1) == [16]
    assert caption_frames(2.0, 2.1, 8.0, num_frames=8) == [16]


def test_similarity(golden):
    recorded = json.loads((golden / "internvidg_similarity.json").read_text(encoding="utf-8"))
    for case in recorded["scene_similarity"]:
        found = scene_similarity(np.array(case["frame_embeddings"]), case["frames_per_scene"])
        # Recorded in float32, so the third decimal may fall on the other side of a half.
        np.testing.assert_allclose(found, case["similarity_matrix"], atol=1.001e-3)
        assert np.mean(found == np.array(case["similarity_matrix"])) > 0.95
    for case in recorded["caption_similarity"]:
        scores = cosine_scores(np.array(case["frame_embeddings"]), np.array(case["text_embedding"]))
        assert caption_similarity(scores, case["merge_method"]) == pytest.approx(case["clip_sim"], abs=1e-6)


def test_merge(golden):
    for row in rows_of(golden, "internvidg_merge_scenes.jsonl"):
        for output in (output for output in row["outputs"] if "error" not in output):
            scenes, similarity = merge_scenes(
                row["scenes"],
                np.array(row["similarity_matrix"]),
                output["clip_sim_threshold"],
                output["same_scene_update_method"],
            )
            assert scenes == output["merged_scenes"]
            if scenes and "merged_similarity_matrix" in output:  # not recorded twice for the largest
                np.testing.assert_array_equal(similarity, np.array(output["merged_similarity_matrix"]))


def test_caption_filter(golden):
    for case in rows_of(golden, "internvidg_caption_filter.jsonl"):
        threshold = keep_threshold(row["clip_sim"] for row in case["input"])
        assert threshold == pytest.approx(case["median"], abs=1e-12)
        found = filter_captions(case["input"], threshold)
        keys = [(row["video_fname"], row["start_sec"], row["end_sec"]) for row in found]
        assert len(set(keys)) == len(keys)  # the reference starts a second row for a segment met again (quirk 37)
        expected: dict[tuple, set] = {}
        for row in case["output_captions_sorted"]:
            expected.setdefault((row["video_fname"], row["start_sec"], row["end_sec"]), set()).update(row["captions"])
        assert dict(zip(keys, [set(row["captions"]) for row in found], strict=True)) == expected
        assert keys == list(expected)


def located(row, clip, settings) -> bool:
    """Whether the clip has scenes of its own; where not, the reference falls back to the whole list (quirk 40)."""
    scenes = row["merged_scenes"][: settings["max_num_scenes"]]
    starts = [i for i, s in enumerate(scenes) if s[0] >= clip["start_sec"] - settings["scene_boundary_shift"]]
    ends = [i for i, s in enumerate(scenes) if s[1] <= clip["end_sec"] + settings["scene_boundary_shift"]]
    return bool(starts and ends and starts[0] <= ends[-1])


def test_negative_spans(golden):
    num_compared = 0
    for row in rows_of(golden, "internvidg_negative_spans.jsonl"):
        clips = row["caption_clips"]
        for output in row["outputs"]:
            settings = output["settings"]
            spans = negative_spans(
                row["merged_scenes"],
                np.array(row["merged_similarity_matrix"]),
                row["duration"],
                [(clip["start_sec"], clip["end_sec"]) for clip in clips],
                boundary_shift=settings["scene_boundary_shift"],
                same_threshold=settings["span_same_threshold"],
                min_secs=settings["min_caption_span_secs"],
                max_secs=settings["max_caption_span_secs"],
                max_scenes=settings["max_num_scenes"],
            )
            found = [
                grounding_row(row["video_fname"], row["duration"], span, caption)
                for clip, span in zip(clips, spans, strict=True)
                if span
                for caption in clip["captions"]
            ]
            lost = {caption for clip in clips if not located(row, clip, settings) for caption in clip["captions"]}
            expected = [
                kept
                for kept in output["rows"]
                if kept["caption"] not in lost
                and (kept["neg_start_sec"], kept["neg_end_sec"]) != (kept["start_sec"], kept["end_sec"])  # quirk 41
            ]
            assert found == expected
            num_compared += len(found)
    assert num_compared == 1851


def test_helpers(golden):
    recorded = json.loads((golden / "internvidg_helpers.json").read_text(encoding="utf-8"))
    for text, seconds in recorded["parse_sec"]:
        if len(text.partition(".")[2]) == 3:  # quirk 39
            assert parse_timestamp(text) == seconds
    assert parse_timestamp("00:01:02.5") == 62.5
    assert parse_timestamp("00:00:03") == 3.0
    for value, expected in recorded["round_numbers"]:
        assert rounded(value) == expected
    for given, expected in [recorded["reformat_caption_data"]]:
        assert captions_by_video(given) == expected
    assert list(captions_by_video([{"YoutubeID": "a", "start_sec": 0, "end_sec": 1, "captions": []}])) == ["a"]


@pytest.mark.parametrize("text", ["", "1:2", "00:00:xx.000", "00:00:01,5"])
def test_a_wrong_timestamp_is_named(text):
    with pytest.raises(AnnotationError, match="expected hours:minutes:seconds"):
        parse_timestamp(text)


def test_scenes_from_cuts():
    assert scenes_from_cuts([], 12.3456) == [[0.0, 12.346]]
    assert scenes_from_cuts([4.0, 4.2, 9.0], 10.0) == [[0.0, 4.0], [4.2, 9.0], [9.0, 10.0]]
    assert scenes_from_cuts([0.0, 10.0, 11.0], 10.0) == [[0.0, 10.0]]
    assert scenes_from_cuts([], 0.0) == []
    assert scenes_from_cuts([0.2], 0.4) == []


def test_the_row_check():
    row = grounding_row("v", 10.0, negative_spans([[0.0, 4.0], [4.0, 10.0]], np.eye(2), 10.0, [(0.0, 4.0)])[0], "a dog")
    assert what_is_wrong(row) is None
    assert "out of order" in what_is_wrong(row | {"neg_start_sec": 1.0, "start_sec": 0.5})
    assert "out of order" in what_is_wrong(row | {"neg_end_sec": 10.5})
    assert "no number" in what_is_wrong(row | {"end_sec": float("nan")})
    assert "empty" in what_is_wrong(row | {"caption": "  "})


def test_a_hundred_thousand_segments_take_seconds():
    random = np.random.default_rng(1)
    num_videos, num_scenes = 1000, 100
    borders = np.linspace(0, 400, num_scenes + 1).round(3).tolist()
    scenes = [list(pair) for pair in pairwise(borders)]
    started = time.perf_counter()
    num_spans = 0
    for _ in range(num_videos):
        vectors = random.normal(size=(num_scenes, 8))
        similarity = scene_similarity(vectors, 1)
        merge_scenes(scenes, similarity)
        spans = negative_spans(scenes, similarity, 400.0, [(s[0], s[1]) for s in scenes])
        num_spans += sum(span is not None for span in spans)
    assert num_spans > 50_000
    assert time.perf_counter() - started < 10
