"""The direct strategy: one curve over the whole video, and its best stretches. No recursion, no language model.

Frames are read once, about ten a second, to see the cuts; one in five of them is embedded. A query's curve is smoothed inside
each shot, and the stretch is taken that has most above a share of the curve's peak; its borders fall on cuts where there are any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hawkeye.grounding.result import ScoredSpan
from hawkeye.grounding.shots import cut_times, shot_numbers, split_at_cuts, thumbnails
from hawkeye.models.base import FrameTextModel
from hawkeye.models.curves import best_stretches
from hawkeye.spans import Span
from hawkeye.video.reader import VideoReader, indices_at

if TYPE_CHECKING:
    from torch import Tensor

LOOKS_PER_FRAME = 5  # frames looked at for cuts, for each one that is embedded: its middle one
STRETCHES_PER_READ = 12
SHORT_SIDE = 260  # pixels
MAX_STRETCHES = 2000  # of a longer video's frames fewer are embedded per second
SMOOTHING = 3  # frames
PEAK_SHARE = 0.55  # of the curve's peak over its mean: what lies above belongs to the stretch
SURE = 0.5  # confidence from which a query counts as found


Chance = Callable[[float], float]  # similarity -> probability


@dataclass(frozen=True)
class DirectAnswer:
    """What one query gives: ranked spans, the curve (second, score), and whether it is there at all."""

    spans: tuple[ScoredSpan, ...]
    curve: tuple[tuple[float, float], ...]
    confidence: float
    found: bool
    timings: dict[str, float]


@dataclass(frozen=True)
class Stretches:
    """What one embedded frame each stands for: ``edges`` (N + 1) in seconds, and the shot (N) that it belongs to."""

    edges: np.ndarray
    shots: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.edges)

    @property
    def centers(self) -> np.ndarray:
        return (self.edges[:-1] + self.edges[1:]) / 2


@dataclass(frozen=True)
class Watched:
    """A video as the model saw it: one row of ``embeddings`` (N, D) for each of the ``stretches``."""

    embeddings: Tensor
    stretches: Stretches
    decode_seconds: float


def ground_direct(
    model: FrameTextModel, reader: VideoReader, queries: Sequence[str], top_k: int, fps: float = 2.0
) -> list[DirectAnswer]:
    """One answer a query; the frames are read and embedded once for all. Raises VideoError."""
    began = time.perf_counter()
    watched = watch(model, reader, fps)
    curves = model.similarity(watched.embeddings, queries).numpy()
    chances = _chances(model, queries)
    total = time.perf_counter() - began
    decode = watched.decode_seconds
    timings = {"decode": decode / len(queries), "model": (total - decode) / len(queries)}
    answers = []
    for curve, chance in zip(curves, chances, strict=True):
        spans, smooth = rank_stretches(curve, watched.stretches, top_k, chance)
        points = tuple((float(t), float(s)) for t, s in zip(watched.stretches.centers, smooth, strict=True))
        confidence = spans[0].score
        answers.append(DirectAnswer(tuple(spans), points, confidence, chance is None or confidence >= SURE, timings))
    return answers


def watch(model: FrameTextModel, reader: VideoReader, fps: float = 2.0) -> Watched:
    """Read a video once, embed its frames, find its cuts. Raises VideoError."""
    import torch

    decode, embeddings, pictures, seen = 0.0, [], [], []
    for indices, short_side in direct_reads(reader, fps):
        before = time.perf_counter()
        frames = reader.read(indices, short_side)
        decode += time.perf_counter() - before
        embeddings.append(model.embed_frames(frames[LOOKS_PER_FRAME // 2 :: LOOKS_PER_FRAME]))
        pictures.append(thumbnails(frames.pixels))
        seen += indices
    stretches = _stretches(_edges(reader.info.duration, fps), np.concatenate(pictures), seen, reader.times)
    return Watched(torch.cat(embeddings), stretches, decode)


def _chances(model: FrameTextModel, queries: Sequence[str]) -> list[Chance | None]:
    """For each query what turns a similarity into the chance that it is there, if the model can tell (see `SimilarityModel`)."""
    if not hasattr(model, "even_odds"):
        return [None] * len(queries)
    slope: float = model.odds_slope  # pyright: ignore[reportAttributeAccessIssue]
    even: list[float] = model.even_odds(queries).tolist()  # pyright: ignore[reportAttributeAccessIssue]
    return [lambda similarity, e=e: 1 / (1 + math.exp(-slope * (similarity - e))) for e in even]


def direct_reads(reader: VideoReader, fps: float = 2.0) -> list[tuple[list[int], int]]:
    """What `ground_direct` reads, in order, as (frame numbers, short side): whoever decodes ahead asks for the same."""
    edges = _edges(reader.info.duration, fps)
    fine = np.linspace(0.0, reader.info.duration, LOOKS_PER_FRAME * (len(edges) - 1) + 1)
    indices = indices_at(reader, list((fine[:-1] + fine[1:]) / 2))
    size = STRETCHES_PER_READ * LOOKS_PER_FRAME
    return [(indices[i : i + size], SHORT_SIDE) for i in range(0, len(indices), size)]


def _edges(duration: float, fps: float) -> np.ndarray:
    """Borders of the stretches that one embedded frame each stands for, seconds."""
    return np.linspace(0.0, duration, int(np.clip(round(duration * fps), 1, MAX_STRETCHES)) + 1)


def _stretches(edges: np.ndarray, pictures: np.ndarray, seen: Sequence[int], times: np.ndarray) -> Stretches:
    # A video of few frames a second shows each of them several times: no change between a frame and itself is usual.
    indices, first = np.unique(seen, return_index=True)
    cuts = cut_times(pictures[first], [int(i) for i in indices], times)
    return Stretches(split_at_cuts(edges, cuts), shot_numbers((edges[:-1] + edges[1:]) / 2, cuts))


def smooth_in_shots(curve: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """A moving mean that never mixes two shots."""
    smooth = curve.astype(np.float64)
    for shot in np.unique(shots):
        inside = shots == shot
        padded = np.pad(smooth[inside], SMOOTHING // 2, mode="edge")
        smooth[inside] = np.convolve(padded, np.ones(SMOOTHING) / SMOOTHING, mode="valid")
    return smooth


def rank_stretches(
    curve: np.ndarray, stretches: Stretches, top_k: int, chance: Chance | None = None, peak_share: float = PEAK_SHARE
) -> tuple[list[ScoredSpan], np.ndarray]:
    """The spans where a query's curve (N) is high, best first, and the curve smoothed."""
    smooth = smooth_in_shots(curve, stretches.shots)
    spans: list[ScoredSpan] = []
    for rank, (first, last) in enumerate(best_stretches(smooth, stretches.lengths, top_k, peak_share)):
        # A model that can't say how likely a peak is gives an order alone.
        score = chance(float(smooth[first:last].max())) if chance else 1 / (1 + rank)
        score = min(score, spans[-1].score) if spans else score
        spans.append(ScoredSpan(Span(float(stretches.edges[first]), float(stretches.edges[last])), score))
    return spans, smooth
