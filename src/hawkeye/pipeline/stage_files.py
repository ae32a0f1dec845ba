"""Single stages from file to file, as the reference runs them: each opens the videos again and reads its frames exactly.

All files of a run lie in one folder under the names that a build gives them (`publish`); any of them may lie elsewhere.
Stages that open videos add to what their file already holds, so that they go on after a stop; the others write theirs anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.errors import AnnotationError, ConfigError, ModelError, VideoError
from hawkeye.pipeline import publish as names
from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.filtering import filter_captions, keep_threshold
from hawkeye.pipeline.folder import write_whole
from hawkeye.pipeline.journal import write_error
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.parts import load_captioner, load_embedder, load_scorer
from hawkeye.pipeline.positions import caption_frames, clamp, scoring_frames, similarity_frames
from hawkeye.pipeline.publish import final_rows
from hawkeye.pipeline.rows import captions_by_video, video_id
from hawkeye.pipeline.scan import find_scenes
from hawkeye.pipeline.similarity import caption_similarity, scene_similarity
from hawkeye.pipeline.sources import list_videos
from hawkeye.pipeline.work import SCORE_DECIMALS
from hawkeye.records import read_jsonl, to_json
from hawkeye.video.reader import Frames, VideoReader, indices_at, open_video

Rows = list[dict[str, Any]]
Warn = Callable[[str], None]
SCENE_FIELDS = ("video_fname", "scenes")
MATRIX_FIELDS = ("video_fname", "similarity_matrix")
SCORED_FIELDS = ("video_fname", "start_sec", "end_sec", "caption", "clip_sim")


class Files:
    """Where a stage's files are: ``folder/NAME`` unless ``elsewhere`` gives a path for that name."""

    def __init__(self, folder: str | Path, elsewhere: Mapping[str, str | Path] | None = None) -> None:
        self._folder, self._elsewhere = Path(folder), dict(elsewhere or {})

    def __getitem__(self, name: str) -> Path:
        return Path(self._elsewhere.get(name, self._folder / name))

    def rows(self, name: str, *fields: str) -> Rows:
        """The rows of an input file. Raises AnnotationError if one lacks a field."""
        rows = list(read_jsonl(self[name]))
        for number, row in enumerate(rows, 1):
            missing = [field for field in fields if field not in row]
            if missing:
                raise AnnotationError(f"{self[name]}, row {number}: lacks {', '.join(missing)}")
        return rows

    def write(self, name: str, rows: Iterable[Any]) -> int:
        lines = [to_json(row) + "\n" for row in rows]
        with write_whole(self[name]) as file:
            file.writelines(lines)
        return len(lines)


class Appended:
    """Rows added to a file one by one; those that are there already are known by ``key``."""

    def __init__(self, path: Path, key: Callable[[dict[str, Any]], Any]) -> None:
        self._path, self._key = path, key
        rows = list(read_jsonl(path, partial_tail=True)) if path.exists() else []
        self.keys = {key(row) for row in rows}
        self.num_added = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(path) as file:  # without a torn last line
            file.writelines(to_json(row) + "\n" for row in rows)

    def add(self, row: dict[str, Any]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(to_json(row) + "\n")
        except OSError as error:
            raise write_error(self._path, error) from None
        self.keys.add(self._key(row))
        self.num_added += 1


def run_scenes(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    out = Appended(files[names.SCENES], video_id)
    for video in list_videos(_needed(videos)):
        row = {"video_fname": video.name}
        if video_id(row) not in out.keys:
            with _skipping(video.name, warn):
                out.add(find_scenes(video.path, config).row(video.name))
    return out.num_added


def run_similarity(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    embedder, settings = load_embedder(config), config.similarity
    out = Appended(files[names.SIMILARITY], video_id)
    for row in (row for row in files.rows(names.SCENES, *SCENE_FIELDS) if video_id(row) not in out.keys):
        scenes = row["scenes"][: settings.max_scenes]
        with _skipping(row["video_fname"], warn), open_video(_needed(videos) / row["video_fname"]) as reader:
            fps = reader.info.fps
            wanted = [n for s in scenes for n in similarity_frames(s[0], s[1], fps, settings.frames_per_scene)]
            embeddings = embedder.embed_frames(_read(reader, wanted, config)).numpy() if wanted else np.zeros((0, 1))
            matrix = scene_similarity(embeddings, settings.frames_per_scene)
            out.add({"video_fname": row["video_fname"], "similarity_matrix": matrix.tolist()})
    return out.num_added


def run_merge(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    similarity = {row["video_fname"]: row["similarity_matrix"] for row in files.rows(names.SIMILARITY, *MATRIX_FIELDS)}
    merged: Rows = []
    matrices: Rows = []
    for row in files.rows(names.SCENES, *SCENE_FIELDS):
        name = row["video_fname"]
        if name not in similarity:
            warn(f"{name}: has no row in {files[names.SIMILARITY]}: left out")
            continue
        settings = config.merge
        scenes, matrix = merge_scenes(row["scenes"], np.array(similarity[name]), settings.threshold, settings.update)
        known = {"duration": row["duration"]} if "duration" in row else {}
        merged.append({"video_fname": name, "scenes": scenes} | known)
        matrices.append({"video_fname": name, "similarity_matrix": matrix.tolist()})
    files.write(names.MERGED_SIMILARITY, matrices)
    return files.write(names.MERGED, merged)


def run_captions(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    captioner, settings = load_captioner(config), config.captions
    out = Appended(files[names.CAPTIONS], _segment)
    for row in files.rows(names.MERGED, *SCENE_FIELDS):
        name = row["video_fname"]
        segments = [s for s in row["scenes"] if s[1] - s[0] >= settings.min_secs and (name, *s) not in out.keys]
        if not segments:
            continue
        with _skipping(name, warn), open_video(_needed(videos) / name) as reader:
            fps = reader.info.fps
            for start, end in segments:
                wanted = caption_frames(start, end, fps, settings.num_frames, settings.sample_fps, settings.max_frames)
                with _skipping(f"{name}, {start} to {end} s", warn):
                    text = " ".join(captioner.caption([_read(reader, wanted, config)])[0].split())
                    out.add(
                        {"video_fname": name, "start_sec": start, "end_sec": end, "captions": [text] if text else []}
                    )
    return out.num_added


def run_scores(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    scorer, settings = load_scorer(config), config.scores
    out = Appended(files[names.SCORED], lambda row: (*_segment(row), row["caption"]))
    for rows in captions_by_video(files.rows(names.CAPTIONS)).values():
        name = rows[0].get("video_fname") or f"{video_id(rows[0])}.mp4"
        todo = [(row, text) for row in rows for text in row["captions"] if text.strip()]
        todo = [(row, text) for row, text in todo if (name, row["start_sec"], row["end_sec"], text) not in out.keys]
        if not todo:
            continue
        with _skipping(name, warn), open_video(_needed(videos) / name) as reader:
            for row, text in todo:
                wanted = scoring_frames(row["start_sec"], row["end_sec"], reader.info.fps, settings.num_frames)
                scores = scorer.similarity(scorer.embed_frames(_read(reader, wanted, config)), [text])[0].numpy()
                score = round(caption_similarity(scores, settings.merge), SCORE_DECIMALS)
                times = {"start_sec": row["start_sec"], "end_sec": row["end_sec"]}
                out.add({"video_fname": name} | times | {"caption": text, "clip_sim": score})
    return out.num_added


def run_filter(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    rows = files.rows(names.SCORED, *SCORED_FIELDS)
    threshold = keep_threshold((row["clip_sim"] for row in rows), config.filter.quantile)
    return files.write(names.FILTERED, filter_captions(rows, threshold))


def run_negatives(files: Files, videos: Path | None, config: InternVidGConfig, warn: Warn) -> int:
    captions = captions_by_video(files.rows(names.FILTERED))
    similarity = {
        video_id(row): row["similarity_matrix"] for row in files.rows(names.MERGED_SIMILARITY, *MATRIX_FIELDS)
    }
    dropped: dict[str, int] = {}
    made: Rows = []
    for row in files.rows(names.MERGED, *SCENE_FIELDS):
        key, name = video_id(row), row["video_fname"]
        if key not in captions or key not in similarity:
            continue
        with _skipping(name, warn):
            duration = row["duration"] if "duration" in row else _duration(_needed(videos) / name)
            matrix = np.array(similarity[key])
            made += final_rows(name, duration, row["scenes"], matrix, captions[key], config.negatives, dropped)
    for reason, count in sorted(dropped.items()):
        warn(f"{count} captions left out: {reason}")
    return files.write(names.FINAL, made)


#: name -> what runs it: (files, folder of videos, settings, where warnings go) -> number of rows written
RUNNERS: dict[str, Callable[[Files, Path | None, InternVidGConfig, Warn], int]] = {
    "scenes": run_scenes,
    "similarity": run_similarity,
    "merge": run_merge,
    "captions": run_captions,
    "scores": run_scores,
    "filter": run_filter,
    "negatives": run_negatives,
}


def run_stage(
    stage: str,
    files: Files,
    videos: str | Path | None,
    config: InternVidGConfig,
    warn: Warn = lambda line: None,
) -> int:
    """Returns how many rows were written. Raises ConfigError, AnnotationError, OutputError."""
    if stage not in RUNNERS:
        raise ConfigError(f"stage {stage!r} is unknown: expected one of {', '.join(RUNNERS)}")
    return RUNNERS[stage](files, Path(videos) if videos else None, config, warn)


def _needed(videos: Path | None) -> Path:
    if videos is None:
        raise ConfigError("this stage opens the videos: give their folder with --videos")
    return videos


def _segment(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["video_fname"], row["start_sec"], row["end_sec"]


def _read(reader: VideoReader, numbers: Sequence[int], config: InternVidGConfig) -> Frames:
    """The frames with these numbers (of constant length), each read once; past the end the last one."""
    info = reader.info
    indices = indices_at(reader, [number / info.fps for number in clamp(list(numbers), info.num_frames)])
    unique = sorted(set(indices))
    frames = reader.read(unique, config.frames.short_side)
    return frames[[unique.index(index) for index in indices]]


def _duration(path: Path) -> float:
    with open_video(path) as reader:
        return round(reader.info.duration, 3)


@contextmanager
def _skipping(what: str, warn: Warn) -> Iterator[None]:
    """What is wrong with one video or segment is told, and costs only its own rows."""
    try:
        yield
    except (VideoError, ModelError) as error:
        warn(f"{what}: skipped: {error}")
