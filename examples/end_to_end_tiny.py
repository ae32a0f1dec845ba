"""The whole life of a model at toy size: make videos, check them, train, ground a sentence, evaluate.

    python examples/end_to_end_tiny.py [FOLDER]

It takes under three minutes on two cores and needs nothing but the installation. Every video shows one coloured square for
a while, and each sentence names the colour ("a red square"); the model starts from random weights and learns which of the
four choices is right for a part of the video. What comes out is no use on real videos; that the whole way works is the point.

The model need not tell colours apart, because a video holds only one square. It has to see when there is one, and to say so.
Two things make so short a training possible: the grey ground has the mean of normalised pixels, so that a square stands out
from the first step on, and each lettered option is one token (`hawkeye.train.tokenizers.prompt_phrases`).
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import numpy as np

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.cli.main import main as hawkeye
from hawkeye.prompts import grounding_prompt
from hawkeye.train.tokenizers import make_tokenizers, prompt_phrases
from hawkeye.video.synthetic import write_video

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230), "yellow": (220, 210, 40)}
SECONDS, FPS, SIZE, SQUARE, GREY = 24, 5, 32, 28, 118
TRAIN_VIDEOS, TEST_VIDEOS, NUM_FRAMES = 240, 60, 8
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "train" / "tiny.yaml"


def make_frames(colour: tuple[int, int, int], span: tuple[float, float], rng: random.Random) -> list[np.ndarray]:
    """Noisy grey frames, uint8 (SIZE, SIZE, 3), with a square in the middle while ``span`` (seconds) lasts."""
    noise = np.random.default_rng(rng.getrandbits(32))
    edge = (SIZE - SQUARE) // 2
    frames = []
    for number in range(SECONDS * FPS):
        frame = noise.normal(GREY, 8, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
        if span[0] <= number / FPS < span[1]:
            frame[edge:-edge, edge:-edge] = colour
        frames.append(frame)
    return frames


def make_split(folder: Path, split: str, count: int, seed: int) -> list[dict]:
    """Write ``count`` videos and ``SPLIT.jsonl``, one row a video: ``{"video", "query", "span", "duration"}``."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        colour = rng.choice(list(COLOURS))
        length = rng.uniform(3, 14)
        start = rng.uniform(0, SECONDS - length)
        name = f"{split}_{number:03d}.mp4"
        frames = make_frames(COLOURS[colour], (start, start + length), rng)
        write_video(folder / "videos" / name, frames, fps=FPS, preset="ultrafast")
        rows.append(
            {"video": name, "query": f"a {colour} square", "span": [start, start + length], "duration": SECONDS}
        )
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def texts(rows: list[dict]) -> list[str]:
    """Examples of all that the model will read, to make its tokenizers from."""
    rng = random.Random(0)
    found = []
    for row in rows:
        order = rng.sample(list(Choice), 4)
        times = sorted(rng.uniform(0, SECONDS) for _ in range(NUM_FRAMES))
        prompt = grounding_prompt(row["query"], option_lines([OPTION_TEXT[choice] for choice in order]), times)
        found.append(prompt.before_video + prompt.after_video)
    return found


def run(*words: object) -> None:
    """A command of the command line, shown and run in this process."""
    arguments = [str(word) for word in words]
    print("\n$ hawkeye " + " ".join(arguments), flush=True)
    try:
        hawkeye(arguments)
    except SystemExit as end:
        if end.code:
            raise


def main(folder: Path) -> None:
    began = time.perf_counter()
    data, model = folder / "data", folder / "run" / "model"
    rows = make_split(data, "train", TRAIN_VIDEOS, seed=1)
    test = make_split(data, "test", TEST_VIDEOS, seed=2)
    make_tokenizers(texts(rows), data / "tokenizers", phrases=prompt_phrases())
    print(f"made {len(rows) + len(test)} videos in {time.perf_counter() - began:.0f} s")

    run(
        "prepare",
        "check",
        "jsonl",
        "-a",
        data / "train.jsonl",
        "--videos",
        data / "videos",
        "--cache",
        data / "lengths.json",
    )
    run("train", CONFIG, f"output={folder / 'run'}", f"data.root={data}", f"model.tokenizers={data / 'tokenizers'}")

    shown = test[0]
    run("ground", data / "videos" / shown["video"], shown["query"], "--model", model, "--max-turns", 3)
    print(f"true: {shown['span'][0]:.1f} - {shown['span'][1]:.1f} s")
    task = folder / "task.yaml"
    task.write_text(
        f"name: toy\ndataset: jsonl\nannotations: {data / 'test.jsonl'}\nvideos: {data / 'videos'}\nmax_turns: 3\n"
    )
    known = ("--train", data / "train.jsonl", "--seed", 0, "--workers", 0)
    run("eval", "own", "--task-file", task, "--model", model, "--out", folder / "eval", *known)
    print(f"\nall of it took {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/end_to_end_tiny"))
