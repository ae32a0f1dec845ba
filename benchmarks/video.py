"""Reading 12 frames of an 18 s window late in a 3-minute video: this package, torchcodec, and decoding from the start.

    python benchmarks/video.py [--video FILE.mp4] [--runs 5]

Without --video an H.264 file (640x360, 25 a second, a key frame every 10 s) is made in the temporary folder and kept for
the next time. torchcodec is left out if it does not load. The ways take turns, so that a busy machine slows all alike;
the ratios are what counts. CPU seconds (all threads) are given too. Prints JSON with machine and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import numpy as np

from hawkeye.errors import HawkEyeError
from hawkeye.video import packets, sweep
from hawkeye.video.pyav import PyAVReader, describe_ffmpeg
from hawkeye.video.sampling import sample_window
from hawkeye.video.synthetic import numbered_frame, read_number, write_video
from hawkeye.video.torchcodec_reader import TorchCodecReader
from hawkeye.video.transforms import evaluation_pixels, resize

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 180
WINDOW, NUM_FRAMES = (155.0, 173.0), 12


def moving_frames() -> Iterator[np.ndarray]:
    """A textured picture that drifts, with the frame's number in a corner."""
    rough = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    texture = rough.repeat(8, 0).repeat(8, 1)
    for number in range(FPS * SECONDS):
        picture = np.roll(texture, (number // 2, number), (0, 1))
        picture[:96, :128] = numbered_frame(number, 128, 96)
        yield picture


def from_the_start(path: Path, wanted: list[int]) -> list[np.ndarray]:
    """What a reader without an index has to do."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(sweep.MAX_THREADS, os.cpu_count() or 1)
        pictures = []
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                pictures.append(frame.to_ndarray(format="rgb24"))
            if number == wanted[-1]:
                return pictures
    return pictures


def ways_to_read(path: Path, wanted: list[int]) -> dict[str, Callable[[], object]]:
    reader = PyAVReader(path)

    def first_time() -> None:
        packets._tables.clear()
        with PyAVReader(path) as fresh:
            fresh.read(wanted)

    def table_known() -> None:
        with PyAVReader(path) as fresh:
            fresh.read(wanted)

    def table_alone() -> None:
        packets._tables.clear()
        packets.packet_table(path)

    ways: dict[str, Callable[[], object]] = {
        "ours, first time": first_time,
        "ours, packet table known": table_known,
        "ours, reader open": lambda: reader.read(wanted),
        "ours, reader open, to model pixels": lambda: evaluation_pixels(reader.read(wanted)),
        "ours, reader open, scaled while decoding, to model pixels": lambda: evaluation_pixels(
            reader.read(wanted, 224)
        ),
        "ours, packet table alone": table_alone,
        "from the start": lambda: from_the_start(path, wanted),
    }
    try:
        TorchCodecReader(path).close()
    except HawkEyeError:
        return ways
    from torchcodec.decoders import VideoDecoder

    for threads in (1, min(sweep.MAX_THREADS, os.cpu_count() or 1)):
        ways[f"torchcodec exact, {threads} threads"] = lambda threads=threads: VideoDecoder(
            str(path), seek_mode="exact", num_ffmpeg_threads=threads
        ).get_frames_at(wanted)
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--video", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    path = arguments.video or Path(tempfile.gettempdir()) / "hawkeye_benchmark_video.mp4"
    if not path.exists() and arguments.video is None:
        write_video(path, moving_frames(), fps=FPS, preset="superfast", g=10 * FPS, bf=3)
    with PyAVReader(path) as reader:
        wanted, _ = sample_window(reader, WINDOW, NUM_FRAMES)
        shown = [read_number(picture[:, :96, :128].permute(1, 2, 0).numpy()) for picture in reader.read(wanted).pixels]
        if arguments.video is None and shown != wanted:
            raise SystemExit(f"wrong frames: asked {wanted}, got {shown}")
        info = reader.info
        early = reader.read(wanted, 224).pixels
        late = resize(reader.read(wanted).pixels, early.shape[-2], early.shape[-1])
        scaling_difference = (late.float() - early.float()).abs().mean().item()
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for _ in range(arguments.runs):
        for name, read in ways_to_read(path, wanted).items():
            began, used = time.perf_counter(), time.process_time()
            read()
            wall.setdefault(name, []).append(time.perf_counter() - began)
            cpu.setdefault(name, []).append(time.process_time() - used)
    middle = {name: statistics.median(values) for name, values in wall.items()}
    least_cpu = {name: min(values) for name, values in cpu.items()}
    torchcodec = [name for name in wall if name.startswith("torchcodec")]
    ours = "ours, first time"
    ratios = {
        "from the start / ours": middle["from the start"] / middle[ours],
        "from the start / ours, CPU": least_cpu["from the start"] / least_cpu[ours],
    }
    if torchcodec:
        ratios["ours / fastest torchcodec"] = middle[ours] / min(middle[name] for name in torchcodec)
        ratios["ours / thriftiest torchcodec, CPU"] = least_cpu[ours] / min(least_cpu[name] for name in torchcodec)
    report = {
        "date": date.today().isoformat(),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            "decoder": describe_ffmpeg(),
            "torchcodec": torchcodec_version(),
        },
        "video": {"frames": info.num_frames, "size": [info.width, info.height], "seconds": round(info.duration, 2)},
        "window": WINDOW,
        "runs": arguments.runs,
        "median_seconds": {name: round(value, 4) for name, value in middle.items()},
        "least_cpu_seconds": {name: round(value, 4) for name, value in least_cpu.items()},
        "pixels_equal_to_torchcodec": equal_to_torchcodec(path, wanted) if torchcodec else None,
        "scaling_while_decoding_mean_difference_of_255": round(scaling_difference, 3),
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    print(json.dumps(report, indent=2))


def equal_to_torchcodec(path: Path, wanted: list[int]) -> bool:
    with PyAVReader(path) as ours, TorchCodecReader(path) as theirs:
        return bool((ours.read(wanted).pixels == theirs.read(wanted).pixels).all())


def torchcodec_version() -> str | None:
    try:
        return version("torchcodec")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
