"""How far the default model's score on the real videos hangs on its settings: leave-one-video-out over all of them.

    python benchmarks/cross_validate.py [--videos ../shared/data/videos]

Two numbers were chosen with these videos in sight. Here each video is scored with the setting that is best on all *other*
videos, and the spread over all settings is printed, as one JSON object. Every video is watched once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from real_videos import ious, summary

from hawkeye import load_model, open_video
from hawkeye.grounding.direct import PEAK_SHARE, rank_stretches, watch
from hawkeye.models.frame_head import REGRESSION_WEIGHT
from hawkeye.models.similarity import SimilarityModel, network_features
from hawkeye.records import read_jsonl
from hawkeye.video.reader import Frames

WEIGHTS, SHARES = (0.75, 1.5, 3.0), (0.45, 0.5, 0.55, 0.6, 0.65)


class Features:
    """Stands in for the model while a video is watched: keeps what the network saw, so that any head can be tried on it."""

    name = "features"

    def __init__(self, model: SimilarityModel) -> None:
        self.model = model

    @torch.inference_mode()
    def embed_frames(self, frames: Frames) -> torch.Tensor:
        return torch.cat([network_features(self.model.network, batch) for batch in frames.pixels.split(8)])

    def similarity(self, frame_embeddings, texts):
        raise TypeError("features have no similarity to a text before a head has embedded them")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path("../shared/data/videos"))
    folder = parser.parse_args().videos
    model: SimilarityModel = load_model("similarity", device="cpu")
    rows = sorted(read_jsonl(folder / "queries.jsonl"), key=lambda row: row["video"])
    texts = model.sentences.encode([row["query"] for row in rows])
    videos = np.array([row["video"] for row in rows])
    found: dict[tuple[float, float], np.ndarray] = {s: np.zeros(len(rows)) for s in itertools.product(WEIGHTS, SHARES)}
    for video in np.unique(videos):
        here = np.flatnonzero(videos == video)
        with open_video(folder / str(video)) as reader:
            watched = watch(Features(model), reader)
        logits = model.network.classify(watched.embeddings)
        for weight, share in found:
            head = replace(model.head, regression_weight=weight)
            curves = (texts[here] @ head.embed(watched.embeddings, logits).T).numpy()
            spans = [rank_stretches(curve, watched.stretches, 1, None, share)[0][0].span for curve in curves]
            found[weight, share][here] = ious([rows[i] for i in here], spans)
        print(f"{video} done", file=sys.stderr)
    held_out, chosen = np.zeros(len(rows)), {}
    for video in np.unique(videos):
        others = videos != video
        best = max(found, key=lambda setting: found[setting][others].mean())
        held_out[~others], chosen[str(video)] = found[best][~others], best
    means = [float(values.mean()) for values in found.values()]
    report = {
        "date": date.today().isoformat(),
        "settings": len(found),
        "mIoU_of_all_settings": {"lowest": min(means), "mean": float(np.mean(means)), "highest": max(means)},
        "shipped": summary(rows, found[REGRESSION_WEIGHT, PEAK_SHARE]),
        "leave_one_video_out": summary(rows, held_out),
        "chosen_without": chosen,
    }
    json.dump(report, sys.stdout)
    print()


if __name__ == "__main__":
    main()
