"""The files that come out of a finished build, in input order: the same bytes however the work was cut up or interrupted.

Each stage's file has the fields of the reference's file; ``final_dataset.jsonl`` is the data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hawkeye.pipeline.config import InternVidGConfig, NegativesConfig
from hawkeye.pipeline.filtering import filter_captions, keep_threshold
from hawkeye.pipeline.folder import OutputFolder, write_whole
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.negatives import grounding_row, negative_spans
from hawkeye.pipeline.rows import what_is_wrong
from hawkeye.pipeline.scenes import Scene
from hawkeye.records import to_json

SCENES = "scenes.jsonl"
SIMILARITY = "scenes_similarity.jsonl"
MERGED = "scenes_merged.jsonl"
MERGED_SIMILARITY = "scenes_merged_similarity.jsonl"
CAPTIONS = "captions.jsonl"
SCORED = "captions_scored.jsonl"
FILTERED = "captions_filtered.jsonl"
FINAL = "final_dataset.jsonl"
FAILURES = "failures.jsonl"
COUNTS = "counts.json"


@dataclass
class Counts:
    """What went through each stage; ``dropped``: captions that passed the filter and gave no row, by reason."""

    videos: int = 0
    failed_videos: int = 0
    seconds: float = 0.0
    scenes: int = 0
    segments: int = 0
    captions: int = 0
    failed_captions: int = 0
    filter_threshold: float | None = None
    kept_captions: int = 0
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def publish(videos: Sequence[str], folder: OutputFolder, config: InternVidGConfig) -> Counts:
    """Write all files of the build. Raises OutputError."""
    for left_over in folder.path.glob(".*.part"):  # of a run that was killed while it wrote
        left_over.unlink()
    good = [video for video in videos if folder.failed_stage(video) is None]
    threshold = keep_threshold(_scores(folder, good), config.filter.quantile)
    counts = Counts(
        len(videos), len(videos) - len(good), filter_threshold=threshold if np.isfinite(threshold) else None
    )
    with ExitStack() as stack:
        names = (SCENES, SIMILARITY, MERGED, MERGED_SIMILARITY, CAPTIONS, SCORED, FILTERED, FINAL, FAILURES)
        files = {name: stack.enter_context(write_whole(folder.path / name)) for name in names}
        for video in videos:
            rows = _video_rows(video, folder, threshold, config, counts) if folder.failed_stage(video) is None else {}
            for name, lines in (rows | {FAILURES: list(failures(video, folder))}).items():
                files[name].writelines(to_json(line) + "\n" for line in lines)
    with write_whole(folder.path / COUNTS) as file:
        file.write(to_json(counts) + "\n")
    return counts


def _video_rows(
    video: str, folder: OutputFolder, threshold: float, config: InternVidGConfig, counts: Counts
) -> dict[str, list[dict[str, Any]]]:
    """The lines of one video for each file; adds to ``counts``."""
    scenes, similarity, captions, scores = (_row(folder, stage, video) for stage in folder.stages)
    matrix = np.array(similarity["similarity_matrix"])
    segments, merged = merge_scenes(scenes["scenes"], matrix, config.merge.threshold, config.merge.update)
    duration = scenes["duration"]
    of_video = {"video_fname": video}
    scored = [of_video | clip for clip in scores["clips"]]
    kept = filter_captions(scored, threshold)
    final = list(final_rows(video, duration, segments, merged, kept, config.negatives, counts.dropped))
    counts.seconds = round(counts.seconds + duration, 3)
    counts.scenes += len(scenes["scenes"])
    counts.segments += len(segments)
    counts.captions += len(scored)
    counts.failed_captions += len(captions["failed"])
    counts.kept_captions += sum(len(row["captions"]) for row in kept)
    counts.rows += len(final)
    return {
        SCENES: [scenes],
        SIMILARITY: [similarity],
        MERGED: [of_video | {"scenes": segments, "duration": duration}],
        MERGED_SIMILARITY: [of_video | {"similarity_matrix": merged.tolist()}],
        CAPTIONS: [of_video | clip for clip in captions["clips"]],
        SCORED: scored,
        FILTERED: kept,
        FINAL: final,
    }


def final_rows(
    video: str,
    duration: float,
    segments: Sequence[Scene],
    similarity: np.ndarray,
    captions: Sequence[dict[str, Any]],
    settings: NegativesConfig,
    dropped: dict[str, int],
) -> Iterator[dict[str, Any]]:
    """The grounding rows of one video; what gives none is counted in ``dropped`` by reason."""
    clips = [(row["start_sec"], row["end_sec"]) for row in captions]
    spans = negative_spans(segments, similarity, duration, clips, **settings.model_dump())
    for row, span in zip(captions, spans, strict=True):
        for caption in row["captions"]:
            made = grounding_row(video, duration, span, caption) if span else None
            wrong = what_is_wrong(made) if made else "no scene, no context, or too short or long"
            if made and not wrong:
                yield made
            else:
                reason = str(wrong).split(":")[0]
                dropped[reason] = dropped.get(reason, 0) + 1


def failures(video: str, folder: OutputFolder) -> Iterator[dict[str, Any]]:
    """What went wrong with a video or with single segments of it."""
    stage = folder.failed_stage(video)
    if stage is not None:
        entry = folder.stages[stage].get(video) or {}
        yield {"video_fname": video, "stage": stage, "reason": entry.get("error", "")}
    for clip in (folder.stages["captions"].row(video) or {"failed": []})["failed"]:
        yield {"video_fname": video, "stage": "captions", **clip}


def _scores(folder: OutputFolder, videos: Iterable[str]) -> Iterator[float]:
    for video in videos:
        yield from (clip["clip_sim"] for clip in _row(folder, "scores", video)["clips"])


def _row(folder: OutputFolder, stage: str, video: str) -> dict[str, Any]:
    row = folder.stages[stage].row(video)
    assert row is not None, f"{video} has no row of {stage}"  # only finished builds are published
    return row
