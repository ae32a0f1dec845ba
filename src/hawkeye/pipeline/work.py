"""All that is done for one video, as steps over one record; the record can travel between processes and machines.

The steps run in this order: `scan_step` (the only one that opens the video), `similarity_step`, `caption_step`, `score_step`.
Each does its stage if its row is not known yet, and nothing once an earlier stage has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hawkeye.errors import ModelError, VideoError
from hawkeye.models.base import FrameTextModel
from hawkeye.pipeline.config import STAGE_VERSIONS, InternVidGConfig
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.parts import Captioner, has_own_scorer
from hawkeye.pipeline.positions import caption_frames, scoring_frames, similarity_frames
from hawkeye.pipeline.scan import from_jpeg, nearest, scan
from hawkeye.pipeline.scenes import Scene
from hawkeye.pipeline.similarity import caption_similarity, scene_similarity
from hawkeye.video.reader import Frames

STAGES = tuple(STAGE_VERSIONS)
SCORE_DECIMALS = 6


@dataclass
class VideoWork:
    """``rows``: results by stage, known before or made now; ``made``: stages done now; ``frames``: JPEG by frame number."""

    video: str
    path: Path
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failed_stage: str | None = None
    error: str = ""
    frames: dict[int, bytes] = field(default_factory=dict)
    embedded: dict[int, np.ndarray] = field(default_factory=dict)

    def needs(self, stage: str) -> bool:
        return self.failed_stage is None and stage not in self.rows

    def slim(self) -> VideoWork:
        """Without what only the steps need."""
        self.frames, self.embedded = {}, {}
        return self

    def pictures(self, numbers: Sequence[int]) -> Frames:
        """The kept frames with these numbers, with their times."""
        fps = self.rows["scenes"]["fps"]
        pixels = [torch.from_numpy(from_jpeg(self.frames[n]).copy()) for n in numbers]
        return Frames(torch.stack(pixels).permute(0, 3, 1, 2), tuple(n / fps for n in numbers))

    def scene_numbers(self, config: InternVidGConfig) -> list[int]:
        """The kept frames that stand for the scenes, ``frames_per_scene`` of each."""
        row, settings = self.rows["scenes"], config.similarity
        kept = sorted(self.frames)
        return [
            nearest(kept, frame)
            for start, end in row["scenes"][: settings.max_scenes]
            for frame in similarity_frames(start, end, row["fps"], settings.frames_per_scene)
        ]


def scan_step(work: VideoWork, config: InternVidGConfig) -> VideoWork:
    """Decode the video once: its scenes, and the pictures that the later steps look at."""
    if not any(work.needs(stage) for stage in STAGES):
        return work
    with _stage(work, "scenes"):
        result = scan(work.path, config)
        work.frames = result.kept
        _done(work, "scenes", result.row(work.video))
    return work


def similarity_step(work: VideoWork, config: InternVidGConfig, embedder: FrameTextModel) -> VideoWork:
    """How alike the scenes are."""
    shared = not has_own_scorer(config)
    if not work.needs("similarity") and not (shared and work.needs("scores")):
        return work
    with _stage(work, "similarity"):
        numbers = work.scene_numbers(config)
        embeddings = _embed(work, embedder, numbers)
        matrix = scene_similarity(embeddings, config.similarity.frames_per_scene)
        if shared:
            work.embedded = dict(zip(numbers, embeddings, strict=True))
        _done(work, "similarity", {"video_fname": work.video, "similarity_matrix": matrix.tolist()})
    return work


def caption_step(work: VideoWork, config: InternVidGConfig, captioner: Captioner) -> VideoWork:
    """One caption for each segment that is long enough; a segment whose caption is empty or fails is noted and left out."""
    if not work.needs("captions"):
        return work
    with _stage(work, "captions"):
        settings, fps, kept = config.captions, work.rows["scenes"]["fps"], sorted(work.frames)
        segments = [s for s in merged_scenes(work, config) if s[1] - s[0] >= settings.min_secs]
        frames: list[Frames] = []
        for start, end in segments:
            wanted = caption_frames(start, end, fps, settings.num_frames, settings.sample_fps, settings.max_frames)
            frames.append(work.pictures(sorted({nearest(kept, frame) for frame in wanted})))
        replies = _captions(captioner, frames)
        clips, failed = [], []
        for (start, end), reply in zip(segments, replies, strict=True):
            where = {"start_sec": start, "end_sec": end}
            if isinstance(reply, ModelError):
                failed.append(where | {"reason": str(reply)})
            elif text := " ".join(reply.split()):
                clips.append(where | {"captions": [text]})
            else:
                failed.append(where | {"reason": "empty caption"})
        if failed and not clips and all(isinstance(reply, ModelError) for reply in replies):
            raise ModelError(failed[0]["reason"])
        _done(work, "captions", {"video_fname": work.video, "clips": clips, "failed": failed})
    return work


def score_step(work: VideoWork, config: InternVidGConfig, scorer: FrameTextModel) -> VideoWork:
    """How well each caption fits its segment."""
    if not work.needs("scores"):
        return work
    with _stage(work, "scores"):
        settings, fps = config.scores, work.rows["scenes"]["fps"]
        candidates = sorted(set(work.scene_numbers(config)))
        asked = [
            (clip, text, [nearest(candidates, f) for f in scoring_frames(*_times(clip), fps, settings.num_frames)])
            for clip in work.rows["captions"]["clips"]
            for text in clip["captions"]
        ]
        numbers = sorted({number for _, _, wanted in asked for number in wanted})
        if work.embedded:
            embeddings = np.stack([work.embedded[n] for n in numbers]) if numbers else np.zeros((0, 1))
        else:
            embeddings = _embed(work, scorer, numbers)
        place = {number: i for i, number in enumerate(numbers)}
        table = scorer.similarity(torch.from_numpy(embeddings), [text for _, text, _ in asked]).numpy() if asked else []
        clips = []
        for (clip, text, wanted), scores in zip(asked, table, strict=True):
            score = caption_similarity(scores[[place[n] for n in wanted]], settings.merge)
            times = {"start_sec": clip["start_sec"], "end_sec": clip["end_sec"]}
            clips.append(times | {"caption": text, "clip_sim": round(score, SCORE_DECIMALS)})
        _done(work, "scores", {"video_fname": work.video, "clips": clips})
    return work


def merged_scenes(work: VideoWork, config: InternVidGConfig) -> list[Scene]:
    """The segments of a video whose scenes and similarities are known."""
    matrix = np.array(work.rows["similarity"]["similarity_matrix"])
    return merge_scenes(work.rows["scenes"]["scenes"], matrix, config.merge.threshold, config.merge.update)[0]


def _times(clip: dict[str, Any]) -> tuple[float, float]:
    return clip["start_sec"], clip["end_sec"]


def _embed(work: VideoWork, model: FrameTextModel, numbers: Sequence[int]) -> np.ndarray:
    """float32 (len(numbers), D); each picture is looked at once."""
    unique = sorted(set(numbers))
    if not unique:
        return np.zeros((0, 1), dtype=np.float32)
    rows = model.embed_frames(work.pictures(unique)).numpy()
    return rows[[unique.index(number) for number in numbers]]


def _captions(captioner: Captioner, segments: Sequence[Frames]) -> list[str | ModelError]:
    """All at once; if that fails one by one, so that one bad segment costs only its own caption."""
    if not segments:
        return []
    try:
        return list(captioner.caption(segments))
    except ModelError:
        return [_one_caption(captioner, frames) for frames in segments]


def _one_caption(captioner: Captioner, frames: Frames) -> str | ModelError:
    try:
        return captioner.caption([frames])[0]
    except ModelError as error:
        return error


def _done(work: VideoWork, stage: str, row: dict[str, Any]) -> None:
    if stage not in work.rows:
        work.rows[stage] = row
        work.made.append(stage)


@contextmanager
def _stage(work: VideoWork, stage: str) -> Iterator[None]:
    """Times a stage, and turns what is wrong with this video (not with the settings) into a recorded failure."""
    started = time.perf_counter()
    try:
        yield
    except (VideoError, ModelError, OSError) as error:
        work.failed_stage, work.error = stage, str(error)
    work.seconds[stage] = time.perf_counter() - started


Step = Callable[[VideoWork], VideoWork]
