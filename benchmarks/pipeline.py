"""How fast the InternVid-G pipeline is, against PySceneDetect's own command and against opening the videos stage by stage.

    python benchmarks/pipeline.py scenes   --videos FOLDER      cuts and time against the scenedetect command
    python benchmarks/pipeline.py whole    --videos FOLDER      the whole pipeline against the six-pass way, at 640x360
    python benchmarks/pipeline.py segments                      merging and negative spans of 100,000 segments
    python benchmarks/pipeline.py memory   [--hours 2]          peak memory of one worker on a long 1080p file

The ways take turns over small groups of videos, so that a busy machine slows all alike; what counts are the ratios. CPU
seconds are those of all processes and threads. ``scenes`` adds composed videos until there are at least 20. The six-pass
way is a straight one: PySceneDetect's library, then OpenCV seeks for every frame of every stage, one process, the networks
with all cores. Prints JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scenedetect
import torch

from hawkeye.pipeline.build import build
from hawkeye.pipeline.config import InternVidGConfig, load_config
from hawkeye.pipeline.merge import merge_scenes
from hawkeye.pipeline.negatives import negative_spans
from hawkeye.pipeline.parts import load_captioner, load_embedder
from hawkeye.pipeline.positions import caption_frames, clamp, scoring_frames, similarity_frames
from hawkeye.pipeline.scan import find_scenes
from hawkeye.pipeline.scenes import scenes_from_cuts
from hawkeye.pipeline.similarity import caption_similarity, scene_similarity
from hawkeye.pipeline.sources import Video, list_videos
from hawkeye.pipeline.worker import single_threaded
from hawkeye.video.reader import Frames
from hawkeye.video.stream import FrameStream
from hawkeye.video.synthetic import write_video
from hawkeye.video.writer import output_container

WORKERS = 2
GROUP = 4  # videos between which the ways take turns
COMMAND = Path(sys.executable).with_name("scenedetect")


class Clock:
    """Wall and CPU seconds of named ways, children included."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def time(self, way: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = work()
        self.wall[way] = self.wall.get(way, 0.0) + time.perf_counter() - wall
        self.cpu[way] = self.cpu.get(way, 0.0) + cpu_seconds() - cpu
        return result

    def report(self, ours: str) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for way, wall in self.wall.items():
            rows[way] = {"wall s": round(wall, 2), "wall against ours": round(wall / self.wall[ours], 2)}
            if way in self.cpu:
                rows[way]["CPU s"] = round(self.cpu[way], 2)
        return rows


def groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def cpu_seconds() -> float:
    """Of this process and of its children that have ended, and of live workers."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ended = sum(u.ru_utime + u.ru_stime for u in usage)
    return ended + sum(live_cpu_seconds(process.pid) for process in multiprocessing.active_children() if process.pid)


def live_cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command_cuts(path: Path) -> list[int]:
    """Frame numbers (from 0) by the ``scenedetect`` command with the paper's settings."""
    with tempfile.TemporaryDirectory() as folder:
        detect = ["detect-content", "--threshold", "27", "--min-scene-len", "15"]
        subprocess.run(
            [COMMAND, "-q", "-i", path, "-o", folder, *detect, "list-scenes", "-q", "-s"],
            check=True,
            capture_output=True,
        )
        with next(Path(folder).glob("*.csv")).open() as file:
            return [int(row["Start Frame"]) - 1 for row in csv.DictReader(file)][1:]


def our_cuts(path: Path) -> list[int]:
    """The same numbers from `find_scenes`, as the command counts frames: by time and nominal rate."""
    config = load_config(preset="paper", overrides=["scenes.min_secs=0", "device=cpu"])
    with FrameStream(path) as stream:
        rate = stream.nominal_rate
    return [round(start * rate) for start, _ in find_scenes(path, config).scenes][1:]


def scenes(folder: Path) -> dict[str, Any]:
    clock, same = Clock(), 0
    with tempfile.TemporaryDirectory() as place:
        paths = [video.path for video in list_videos(folder)]
        paths += composed(Path(place), max(5, 20 - len(paths)))
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        with (
            ProcessPoolExecutor(WORKERS, context, initializer=_enter) as ours,
            ProcessPoolExecutor(WORKERS, context) as theirs,
        ):
            list(ours.map(our_cuts, paths[:WORKERS]))  # imports
            num_cuts = 0
            for group in groups(paths, GROUP):
                expected = clock.time("scenedetect command, one by one", lambda g=group: [command_cuts(p) for p in g])
                clock.time("scenedetect command, two at a time", lambda g=group: list(theirs.map(command_cuts, g)))
                found = clock.time("ours, two workers", lambda g=group: list(ours.map(our_cuts, g)))
                for path, one, other in zip(group, expected, found, strict=True):
                    same += one == other
                    num_cuts += len(one)
                    if one != other:
                        print(f"{path.name}: {one} against {other}", file=sys.stderr)
    return {"videos": len(paths), "with the same cuts": same, "cuts": num_cuts, **clock.report("ours, two workers")}


def _enter() -> None:
    single_threaded().__enter__()


def composed(folder: Path, count: int) -> list[Path]:
    """Drifting textures with noise and cuts of every strength, in several sizes, rates and codecs."""
    kinds = [
        (640, 360, 25.0, "libx264", "mp4"),
        (854, 480, 30000 / 1001, "libx264", "mkv"),
        (320, 240, 12.0, "mpeg4", "avi"),
    ]
    made = []
    for number in range(count):
        width, height, fps, codec, suffix = kinds[number % len(kinds)]
        rng = np.random.default_rng(number)
        frames, picture = [], np.zeros((height, width, 3))
        for length in rng.integers(10, 90, 9):
            texture = rng.integers(0, 256, (height // 20, width // 20, 3)).astype(np.float32)
            strength = rng.uniform(0.3, 1.0)
            picture = (1 - strength) * picture + strength * cv2.resize(texture, (width, height))
            for i in range(length):
                noise = rng.normal(0, 4, (height, width, 1))
                frames.append(np.clip(np.roll(picture, i, axis=1) + noise, 0, 255).astype(np.uint8))
        made.append(write_video(folder / f"composed_{number}.{suffix}", frames, fps=fps, codec=codec))
    return made


def at_640x360(folder: Path, place: Path) -> list[Video]:
    """The videos of ``folder`` encoded again at the size that the target speaks of."""
    for video in list_videos(folder):
        with FrameStream(video.path) as stream:
            pictures = [frame.resized(640, 360) for frame in stream if frame.index < 2000]
            write_video(place / f"{Path(video.name).stem}.mp4", pictures, fps=stream.info.fps, preset="veryfast")
    return list_videos(place)


def whole(folder: Path) -> dict[str, Any]:
    config, clock = load_config(), Clock()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "videos").mkdir()
        videos = at_640x360(folder, Path(place) / "videos")
        load_embedder(config), load_captioner(config)
        seconds, scenes_equal = 0.0, []
        for number, group in enumerate(groups(videos, GROUP * 2)):
            out = Path(place) / f"out{number}"
            theirs = clock.time("six passes", lambda g=group: six_passes(g, config))
            report = clock.time("ours, two workers", lambda g=group, o=out: build(g, o, config, WORKERS))
            clock.time("ours, one worker", lambda g=group, o=out: build(g, o / "one", config, 1))
            rows = [json.loads(line) for line in (out / "scenes.jsonl").read_text().splitlines()]
            scenes_equal += [row["scenes"] == theirs[row["video_fname"]] for row in rows]
            assert report.counts
            seconds += report.counts.seconds
    speed = {way: round(seconds / wall, 1) for way, wall in clock.wall.items()}
    equal = {"videos": len(scenes_equal), "with the same scenes": sum(scenes_equal)}
    clock.cpu.pop("ours, two workers")  # its workers are children of a fork server, whose time is not ours to see
    return equal | {"footage s": round(seconds), "times real time": speed} | clock.report("ours, two workers")


def six_passes(videos: Sequence[Video], config: InternVidGConfig) -> dict[str, list[list[float]]]:
    """Scenes, similarity, merging, captions, scores, lengths: each over all videos, opening each again. Returns scenes."""
    embedder, captioner = load_embedder(config), load_captioner(config)
    scenes: dict[str, list[list[float]]] = {}
    for video in videos:
        found = scenedetect.detect(str(video.path), scenedetect.ContentDetector(), start_in_scene=True)
        scenes[video.name] = scenes_from_cuts([s.seconds for s, _ in found[1:]], found[-1][1].seconds)
    matrices: dict[str, np.ndarray] = {}
    for video in videos:
        fps = opencv_rate(video.path)
        wanted = [n for start, end in scenes[video.name] for n in similarity_frames(start, end, fps)]
        matrices[video.name] = scene_similarity(embedder.embed_frames(opencv_frames(video.path, wanted)).numpy(), 3)
    segments = {v.name: merge_scenes(scenes[v.name], matrices[v.name], config.merge.threshold) for v in videos}
    captions: dict[tuple[str, float, float], str] = {}
    for video in videos:
        for start, end in segments[video.name][0]:
            if end - start >= config.captions.min_secs:
                frames = opencv_frames(video.path, caption_frames(start, end, opencv_rate(video.path)))
                captions[video.name, start, end] = captioner.caption([frames])[0]
    for video in videos:
        for (name, start, end), caption in captions.items():
            if name == video.name:
                frames = opencv_frames(video.path, scoring_frames(start, end, opencv_rate(video.path)))
                caption_similarity(embedder.similarity(embedder.embed_frames(frames), [caption])[0].numpy())
    for video in videos:
        capture = cv2.VideoCapture(str(video.path))
        duration = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
        clips = [(start, end) for name, start, end in captions if name == video.name]
        negative_spans(*segments[video.name], duration, clips)
    return scenes


def opencv_rate(path: Path) -> float:
    return cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)


def opencv_frames(path: Path, wanted: Sequence[int]) -> Frames:
    capture = cv2.VideoCapture(str(path))
    pictures = []
    for number in clamp(list(wanted), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        read, picture = capture.read()
        if read:
            pictures.append(np.ascontiguousarray(picture[..., ::-1]))
    return Frames(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), tuple(map(float, range(len(pictures)))))


def segments(num_videos: int = 1000, num_scenes: int = 100) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    borders = np.linspace(0, 400, num_scenes + 1).round(3).tolist()
    cut = [list(pair) for pair in pairwise(borders)]
    matrices = [scene_similarity(rng.normal(size=(num_scenes, 8)), 1) for _ in range(num_videos)]
    clock = Clock()
    for matrix in matrices:
        clock.time("merging", lambda m=matrix: merge_scenes(cut, m))
        clock.time("negative spans", lambda m=matrix: negative_spans(cut, m, 400.0, [(s[0], s[1]) for s in cut]))
    return {"segments": num_videos * num_scenes} | {f"{way} s": round(wall, 2) for way, wall in clock.wall.items()}


def memory(hours: float) -> dict[str, Any]:
    """One minute of 1080p, its packets repeated until the file is long enough; scanned in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        minute = write_video(Path(place) / "minute.mp4", hd_frames(), fps=25, preset="veryfast", crf=26)
        path = repeated(minute, Path(place) / "long.mp4", round(hours * 60))
        code = (
            "import resource, sys, time\n"
            "from hawkeye.pipeline.config import load_config\n"
            "from hawkeye.pipeline.scan import scan\n"
            "from hawkeye.pipeline.worker import Worker, single_threaded\n"
            "from hawkeye.pipeline.work import VideoWork\n"
            "from pathlib import Path\n"
            "config, started = load_config(), time.perf_counter()\n"
            "with single_threaded():\n"
            "    work = Worker(config).run(VideoWork('long.mp4', Path(sys.argv[1])))\n"
            "row = work.rows['scenes']\n"
            "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20\n"
            "print(row['duration'], len(row['scenes']), work.failed_stage, peak, time.perf_counter() - started)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    duration, num_scenes, failed, peak, took = done.stdout.split()
    return {
        "footage s": float(duration),
        "scenes": int(num_scenes),
        "failed at": failed,
        "peak GiB": round(float(peak), 2),
        "times real time": round(float(duration) / float(took), 1),
    }


def hd_frames(seconds: int = 60, fps: int = 25) -> Any:
    rng = np.random.default_rng(0)
    for _ in range(seconds // 6):
        picture = cv2.resize(
            rng.integers(0, 256, (27, 48, 3), dtype=np.uint8), (1920, 1080), interpolation=cv2.INTER_CUBIC
        )
        for i in range(6 * fps):
            yield np.roll(picture, 4 * i, axis=1)


def repeated(path: Path, out: Path, times: int) -> Path:
    import av

    with output_container(out) as target:
        offset, stream = 0, None
        for _ in range(times):
            with av.open(str(path)) as source:
                track = source.streams.video[0]
                stream = stream or target.add_stream_from_template(track)
                length = 0
                for packet in source.demux(track):
                    if packet.pts is None or packet.dts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    target.mux(packet)
                offset += length
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scenes", "whole", "segments", "memory"])
    parser.add_argument("--videos", type=Path, help="folder of videos")
    parser.add_argument("--hours", type=float, default=2.0)
    arguments = parser.parse_args()
    if arguments.what in ("scenes", "whole") and arguments.videos is None:
        parser.error(f"{arguments.what} needs --videos FOLDER")
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "scenes": lambda: scenes(arguments.videos),
        "whole": lambda: whole(arguments.videos),
        "segments": segments,
        "memory": lambda: memory(arguments.hours),
    }
    machine = {"date": str(date.today()), "machine": platform.machine(), "cores": len(os.sched_getaffinity(0))}
    packages = {name: version(name) for name in ("scenedetect-headless", "av", "torch", "numpy")}
    print(json.dumps(machine | packages | runs[arguments.what](), indent=1))


if __name__ == "__main__":
    main()
