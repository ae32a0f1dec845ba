"""How well the embedded default model finds sentences in real videos, beside what chance and doing nothing reach.

    python benchmarks/real_videos.py [--videos ../shared/data/videos] [--json]

The folder holds videos and ``queries.jsonl`` (video, query, start, end, duration, kind: natural or montage). Prints mIoU and
R@1 at IoU 0.3, 0.5 and 0.7 of both strategies, random spans and the whole video, with 95 % bootstrap intervals of the mIoU over
videos; then how well "found" tells the sentences of a video from those of the other videos.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from hawkeye import Grounder, load_model, open_video
from hawkeye.errors import AnnotationError, HawkEyeError
from hawkeye.eval.metrics import THRESHOLDS, best_iou, best_of_ranked, pack_spans
from hawkeye.grounding.direct import DirectAnswer, ground_direct
from hawkeye.grounding.source import Request
from hawkeye.models.base import FrameTextModel, VideoLanguageModel
from hawkeye.records import read_jsonl

RANDOM_SEEDS, BOOTSTRAP_DRAWS = 100, 2000
KINDS = ("all", "natural", "montage")


def ious(rows: Sequence[dict], spans: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    return best_iou(np.array(spans, dtype=float), truth(rows))


def truth(rows: Sequence[dict]) -> np.ndarray:
    return np.array([[[row["start"], row["end"]]] for row in rows])


def all_answers(model: FrameTextModel, rows: Sequence[dict], folder: Path) -> dict[tuple[str, str], DirectAnswer]:
    """Every sentence looked for in every video: those of other videos should not be found."""
    queries = list(dict.fromkeys(row["query"] for row in rows))
    answers = {}
    for video in dict.fromkeys(row["video"] for row in rows):
        with open_video(folder / video) as reader:
            found = ground_direct(model, reader, queries, top_k=5)
        answers |= {(video, query): answer for query, answer in zip(queries, found, strict=True)}
        print(f"{video} done", file=sys.stderr)
    return answers


def recursive(model: VideoLanguageModel, rows: Sequence[dict], folder: Path) -> np.ndarray:
    requests = [Request(folder / row["video"], row["query"], id=str(i)) for i, row in enumerate(rows)]
    spans = [(0.0, 0.0)] * len(rows)
    for request, result in Grounder(model, strategy="recursive").ground_many(requests):
        if result.span is None:
            raise HawkEyeError(result.error or "no span")
        spans[int(request.id)] = result.span
    return ious(rows, spans)


def by_chance(rows: Sequence[dict], seed: int) -> np.ndarray:
    """Two uniform times a sentence, in order."""
    times = np.sort(np.random.default_rng(seed).random((len(rows), 2)), axis=1)
    return ious(rows, times * np.array([row["duration"] for row in rows])[:, None])


def summary(rows: Sequence[dict], found: np.ndarray) -> dict[str, dict[str, float | int | list[float]]]:
    """``found``: IoU of each sentence, or (seeds, sentences)."""
    table = {}
    for kind in KINDS:
        chosen = np.array([kind in ("all", row["kind"]) for row in rows])
        part = np.atleast_2d(found)[:, chosen]
        videos = np.array([row["video"] for row in rows])[chosen]
        scores = {"mIoU": float(part.mean())}
        scores |= {f"R@{limit}": float((part >= limit).mean()) for limit in THRESHOLDS}
        table[kind] = {"sentences": int(chosen.sum()), **{name: round(value, 4) for name, value in scores.items()}}
        table[kind]["mIoU_95"] = interval(part.mean(axis=0), videos)
    return table


def interval(values: np.ndarray, videos: np.ndarray) -> list[float]:
    """Videos are drawn with replacement, with all their sentences: sentences of one video are alike."""
    generator = np.random.default_rng(0)
    groups = [values[videos == video] for video in np.unique(videos)]
    draws = [
        np.concatenate([groups[i] for i in generator.integers(len(groups), size=len(groups))]).mean()
        for _ in range(BOOTSTRAP_DRAWS)
    ]
    return [round(float(v), 3) for v in np.quantile(draws, (0.025, 0.975))]


def found_or_not(answers: dict[tuple[str, str], DirectAnswer], rows: Sequence[dict]) -> dict[str, float]:
    """How well the confidence tells a video's own sentences from those of the others."""
    own = {(row["video"], row["query"]) for row in rows}
    matched = [answer for key, answer in answers.items() if key in own]
    strange = [answer for key, answer in answers.items() if key not in own]
    yes, no = (np.array([answer.confidence for answer in side]) for side in (matched, strange))
    higher = (yes[:, None] > no[None, :]).mean() + (yes[:, None] == no[None, :]).mean() / 2
    return {
        "AUROC": round(float(higher), 4),
        "found_of_own": round(float(np.mean([answer.found for answer in matched])), 4),
        "found_of_other_videos": round(float(np.mean([answer.found for answer in strange])), 4),
    }


def print_table(report: dict) -> None:
    for kind in KINDS:
        sentences = report["results"]["random"][kind]["sentences"]
        print(
            f"\n{kind} ({sentences} sentences)\n\n| | mIoU | 95 % | R@0.3 | R@0.5 | R@0.7 |\n|---|---|---|---|---|---|"
        )
        for name, table in report["results"].items():
            row = table[kind]
            low, high = row["mIoU_95"]
            recalls = " | ".join(f"{row[f'R@{limit}']:.3f}" for limit in THRESHOLDS)
            print(f"| {name} | {row['mIoU']:.3f} | {low:.2f} to {high:.2f} | {recalls} |")
    print(f"\nfound or not: {report['presence']}\n{report['date']}, {report['machine']}, {report['seconds']:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path("../shared/data/videos"))
    parser.add_argument("--model", default="similarity", help="a model that compares frames with text")
    parser.add_argument("--strategies", nargs="+", default=["direct", "recursive"], choices=["direct", "recursive"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    began = time.perf_counter()
    folder = arguments.videos
    try:
        rows = list(read_jsonl(folder / "queries.jsonl"))
        model = load_model(arguments.model)
        results, presence = {}, None
        if "direct" in arguments.strategies:
            answers = all_answers(model, rows, folder)
            own = [[ranked.span for ranked in answers[row["video"], row["query"]].spans] for row in rows]
            results["direct"] = summary(rows, ious(rows, [spans[0] for spans in own]))
            results["direct, best of 5"] = summary(rows, best_of_ranked(pack_spans(own), truth(rows), top=5))
            presence = found_or_not(answers, rows)
        if "recursive" in arguments.strategies:
            results["recursive"] = summary(rows, recursive(model, rows, folder))
    except AnnotationError as error:
        sys.exit(f"{error}: --videos must name a folder with videos and their queries.jsonl")
    except HawkEyeError as error:
        sys.exit(str(error))
    results["random"] = summary(rows, np.stack([by_chance(rows, seed) for seed in range(RANDOM_SEEDS)]))
    results["whole video"] = summary(rows, ious(rows, [(0.0, row["duration"]) for row in rows]))
    report = {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, CPU of {platform.system()}",
        "model": arguments.model,
        "seconds": time.perf_counter() - began,
        "results": results,
        "presence": presence,
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
