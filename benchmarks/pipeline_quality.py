"""How good the pipeline's scene cuts and thresholds are, where the truth is known.

    python benchmarks/pipeline_quality.py cuts [--images FOLDER] [--videos 4]
    python benchmarks/pipeline_quality.py real --videos FOLDER      (with queries.jsonl: spans of joined clips)
    python benchmarks/pipeline_quality.py merged --videos FOLDER    (the same; with the embedder)
    python benchmarks/pipeline_quality.py alike --videos FOLDER     (the same; with the embedder)
    python benchmarks/pipeline_quality.py captions --videos FOLDER  (the same; with the captioner)

``cuts``: shots that pan and zoom over photographs (without --images over made-up textures), joined by hard cuts, fades
through black and dissolves, with flashes and shaking in between; F1 of each detector. ``real``: F1 at the joins of real
clips. ``merged``: the same after scenes that look alike have been merged, which heals needless cuts. ``alike``:
similarity of two halves of one clip against halves of different clips of the same video, for the choice
of merge.threshold and negatives.same_threshold. ``captions``: how often the caption of a clip is nearer to that clip's own
sentence than to those of the other clips in its video, by sentence embeddings. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from hawkeye.pipeline.config import load_config
from hawkeye.pipeline.detectors import make_detector
from hawkeye.pipeline.parts import load_captioner, load_embedder
from hawkeye.pipeline.positions import caption_frames, similarity_frames
from hawkeye.pipeline.similarity import scene_similarity
from hawkeye.pipeline.work import VideoWork, merged_scenes, scan_step, similarity_step
from hawkeye.pipeline.worker import single_threaded
from hawkeye.records import read_jsonl
from hawkeye.video.reader import open_video, read_at
from hawkeye.video.stream import FrameStream
from hawkeye.video.synthetic import write_video

FPS, WIDTH, HEIGHT = 25, 480, 270
SLACK = 2  # frames by which a cut may miss a transition
DETECTORS = {
    "content 27": ["scenes.detector=content"],
    "content 20": ["scenes.detector=content", "scenes.threshold=20"],
    "adaptive 3": ["scenes.detector=adaptive"],
    "adaptive 2.5": ["scenes.detector=adaptive", "scenes.adaptive_threshold=2.5"],
    "transnetv2": ["scenes.detector=transnetv2"],
}


class Transition(NamedTuple):
    """Numbers of its first frame and of the first frame of the new shot alone."""

    kind: str
    first: int
    end: int


def shot(picture: np.ndarray, length: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A camera that pans, zooms and shakes over a picture; sometimes a flash."""
    height, width = picture.shape[:2]
    zoom_from, zoom_to = rng.uniform(0.5, 0.9, 2)
    start, end = rng.uniform(0.3, 0.7, 2), rng.uniform(0.3, 0.7, 2)
    shake = rng.choice([0.0, 0.0, 2.0, 6.0])
    flash = int(rng.integers(length)) if rng.random() < 0.15 else -1
    frames = []
    for i in range(length):
        part = i / max(1, length - 1)
        scale = WIDTH / (width * (zoom_from + (zoom_to - zoom_from) * part))
        scale = max(scale, HEIGHT / height, WIDTH / width)
        x, y = start + (end - start) * part
        move = rng.normal(0, shake, 2)
        offset_x = np.clip(WIDTH / 2 - scale * width * x, WIDTH - scale * width, 0) + move[0]
        offset_y = np.clip(HEIGHT / 2 - scale * height * y, HEIGHT - scale * height, 0) + move[1]
        matrix = np.array([[scale, 0, offset_x], [0, scale, offset_y]])
        frame = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        frames.append(np.clip(frame + (120 if i == flash else 0), 0, 255))
    return frames


def film(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[list[np.ndarray], list[Transition]]:
    frames: list[np.ndarray] = []
    transitions: list[Transition] = []
    for picture in pictures:
        new = shot(picture, int(rng.integers(40, 90)), rng)
        kind = str(rng.choice(["cut", "cut", "fade", "dissolve"])) if frames else "start"
        length = int(rng.integers(8, 25))
        first = len(frames)
        if kind == "cut":
            transitions.append(Transition(kind, first, first))
        elif kind == "dissolve":
            first -= length
            for i in range(length):
                weight = (i + 1) / (length + 1)
                frames[first + i] = (1 - weight) * frames[first + i] + weight * new[i]
            new = new[length:]
            transitions.append(Transition(kind, first, first + length))
        elif kind == "fade":
            for i in range(length):
                frames[first - length + i] = frames[first - length + i] * (1 - (i + 1) / length)
                new[i] = new[i] * ((i + 1) / length)
            transitions.append(Transition(kind, first - length, first + length))
        frames += new
    return [frame.astype(np.uint8) for frame in frames], transitions


def captions(folder: Path) -> dict[str, Any]:
    """The embedded captioner on real clips with one sentence each."""
    config, encode = load_config(), load_embedder(load_config()).sentences.encode  # type: ignore[attr-defined]
    captioner = load_captioner(config)
    num_clips, num_right, chance = 0, 0, 0.0
    made: list[str] = []
    for video, rows in joined_rows(folder).items():
        with open_video(folder / video) as reader:
            fps, count = reader.info.fps, config.captions.num_frames
            wanted = [caption_frames(row["start"], row["end"], fps, count) for row in rows]
            frames = [read_at(reader, [n / fps for n in numbers], config.frames.short_side) for numbers in wanted]
        written = captioner.caption(frames)
        table = encode(written).cpu() @ encode([row["query"] for row in rows]).cpu().T
        num_right += sum(int(table[i].argmax()) == i for i in range(len(rows)))
        num_clips, chance, made = num_clips + len(rows), chance + 1.0, made + written
    rate = {
        "own sentence first %": round(100 * num_right / num_clips, 1),
        "by chance %": round(100 * chance / num_clips, 1),
    }
    return {"clips": num_clips, "different captions": len(set(made))} | rate


def made_films(folder: Path | None, count: int, where: Path) -> Iterator[tuple[Path, list[Transition]]]:
    rng = np.random.default_rng(7)
    files = sorted(folder.glob("*.jpg")) if folder else []
    for number in range(count):
        if files:
            chosen = [cv2.imread(str(files[i]))[..., ::-1] for i in rng.choice(len(files), 22, replace=False)]
        else:
            rough = rng.integers(0, 256, (22, 24, 32, 3), dtype=np.uint8)
            chosen = [cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC) for picture in rough]
        frames, transitions = film(chosen, rng)
        yield write_video(where / f"{number}.mp4", frames, fps=FPS, crf=23, preset="veryfast"), transitions


def find_cuts(path: Path, overrides: list[str]) -> tuple[list[float], int, float]:
    """Cut times, number of frames, CPU seconds."""
    config = load_config(overrides=overrides).scenes
    started = time.process_time()
    with single_threaded(), FrameStream(path) as stream:
        detector = make_detector(config, stream.nominal_rate)
        cuts = [cut for frame in stream for cut in detector.push(frame)] + detector.finish()
        return cuts, stream.num_decoded, time.process_time() - started


def score(films: Sequence[tuple[Path, float, list[Transition]]]) -> dict[str, Any]:
    """For each detector F1, precision, recall by kind of transition, and speed of one core."""
    results = {}
    for name, overrides in DETECTORS.items():
        hits: dict[str, list[bool]] = {}
        num_cuts = num_right = num_frames = 0
        seconds = 0.0
        for path, fps, transitions in films:
            cuts, frames, took = find_cuts(path, overrides)
            numbers = [round(cut * fps) for cut in cuts]
            found = [any(t.first - SLACK <= n <= t.end + SLACK for n in numbers) for t in transitions]
            for transition, hit in zip(transitions, found, strict=True):
                hits.setdefault(transition.kind, []).append(hit)
            num_cuts, num_right = num_cuts + len(numbers), num_right + sum(found)
            num_frames, seconds = num_frames + frames, seconds + took
        total = sum(map(len, hits.values()))
        precision, recall = num_right / max(1, num_cuts), num_right / total
        results[name] = {
            "F1": round(2 * precision * recall / max(1e-9, precision + recall), 3),
            "precision": round(precision, 3),
            "recall": round(recall, 3),
            **{f"recall {kind}": round(float(np.mean(found)), 3) for kind, found in sorted(hits.items())},
            "frames per CPU second": round(num_frames / seconds),
        }
    return results


def joined_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """For each video of joined clips the rows about its clips."""
    joined: dict[str, list[dict[str, Any]]] = {}
    for row in read_jsonl(folder / "queries.jsonl"):
        if row["kind"] == "montage":
            joined.setdefault(row["video"], []).append(row)
    return joined


def real_joins(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """For each video of joined clips the spans of its clips, in order."""
    return {video: sorted({(r["start"], r["end"]) for r in rows}) for video, rows in joined_rows(folder).items()}


def real_films(folder: Path) -> list[tuple[Path, float, list[Transition]]]:
    films = []
    for video, spans in real_joins(folder).items():
        with open_video(folder / video) as reader:
            fps, duration = reader.info.fps, reader.info.duration
        borders = sorted({round(t * fps) for span in spans for t in span if 0.1 < t < duration - 0.1})
        films.append((folder / video, fps, [Transition("join", n, n) for n in borders]))
    return films


def merged(folder: Path) -> dict[str, Any]:
    """F1 of the borders between merged segments at the joins of real clips, for each detector and merge threshold."""
    films = real_films(folder)
    results: dict[str, Any] = {}
    for name, overrides in DETECTORS.items():
        config = load_config(overrides=overrides)
        embedder, works = load_embedder(config), []
        for path, fps, transitions in films:
            with single_threaded():
                work = similarity_step(scan_step(VideoWork(path.name, path), config), config, embedder)
            works.append((work, fps, transitions))
        for threshold in (0.6, 0.7, 0.8, 1.0):
            settings = load_config(overrides=[*overrides, f"merge.threshold={threshold}"])
            num_borders = num_right = num_joins = 0
            for work, fps, transitions in works:
                borders = [round(start * fps) for start, _ in merged_scenes(work, settings)[1:]]
                num_borders, num_joins = num_borders + len(borders), num_joins + len(transitions)
                num_right += sum(any(abs(t.first - b) <= SLACK for b in borders) for t in transitions)
            precision, recall = num_right / max(1, num_borders), num_right / num_joins
            f1 = 2 * precision * recall / max(1e-9, precision + recall)
            results[f"{name}, merged above {threshold}"] = {
                "F1": round(f1, 3),
                "precision": round(precision, 3),
                "recall": round(recall, 3),
            }
    return results


def alike(folder: Path) -> dict[str, Any]:
    """At each threshold: halves of one clip told alike, and halves of different clips told alike (both in percent)."""
    config = load_config()
    embedder = load_embedder(config)
    same, other = [], []
    for video, spans in real_joins(folder).items():
        halves = [half for a, b in spans for half in ((a, (a + b) / 2), ((a + b) / 2, b))]
        with open_video(folder / video) as reader:
            fps = reader.info.fps
            numbers = [min(n, reader.info.num_frames - 1) for a, b in halves for n in similarity_frames(a, b, fps)]
            unique = sorted(set(numbers))
            rows = embedder.embed_frames(reader.read(unique, config.frames.short_side)).numpy()
        matrix = scene_similarity(rows[[unique.index(n) for n in numbers]], 3)
        for i in range(0, len(halves), 2):
            same.append(matrix[i, i + 1])
            other += [matrix[i, j] for j in range(len(halves)) if j // 2 != i // 2]
    table = {}
    for threshold in np.arange(0.3, 0.99, 0.05).round(2):
        hit, false = np.mean(np.array(same) > threshold), np.mean(np.array(other) > threshold)
        table[str(threshold)] = {"same clip": round(100 * hit, 1), "other clip": round(100 * false, 1)}
    return {"pairs": {"same": len(same), "other": len(other)}, "percent above": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cuts", "real", "merged", "alike", "captions"])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--videos", default="4", help="cuts: how many films to make; else the folder of videos")
    arguments = parser.parse_args()
    if arguments.what == "alike":
        result = alike(Path(arguments.videos))
    elif arguments.what == "captions":
        result = captions(Path(arguments.videos))
    elif arguments.what == "merged":
        result = merged(Path(arguments.videos))
    elif arguments.what == "real":
        result = score(real_films(Path(arguments.videos)))
    else:
        with tempfile.TemporaryDirectory() as place:
            made = made_films(arguments.images, int(arguments.videos), Path(place))
            films = [(path, float(FPS), transitions) for path, transitions in made]
            result = {"transitions": sum(len(t) for _, _, t in films)} | score(films)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
