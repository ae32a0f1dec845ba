"""The direct strategy: one curve over the whole video, and its best stretches. No recursion, no language model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hawkeye.grounding.result import ScoredSpan
from hawkeye.models.base import FrameTextModel
from hawkeye.spans import Span, non_maximum_suppression
from hawkeye.video.reader import VideoReader, indices_at

FRAMES_PER_READ = 32
SHORT_SIDE = 288
MAX_FRAMES = 2000
THRESHOLD = 1.0
MAX_OVERLAP = 0.5


@dataclass(frozen=True)
class DirectAnswer:
    """What one query gives: ranked spans, the curve (second, score), and whether it is there at all."""

    spans: tuple[ScoredSpan, ...]
    curve: tuple[tuple[float, float], ...]
    confidence: float
    found: bool
    timings: dict[str, float]


def ground_direct(
    model: FrameTextModel, reader: VideoReader, queries: Sequence[str], top_k: int, fps: float = 2.0
) -> list[DirectAnswer]:
    """One answer a query; the frames are read and embedded once for all. Raises VideoError."""
    import torch

    began = time.perf_counter()
    decode, embeddings = 0.0, []
    for indices, short_side in direct_reads(reader, fps):
        before = time.perf_counter()
        frames = reader.read(indices, short_side)
        decode += time.perf_counter() - before
        embeddings.append(model.embed_frames(frames))
    curves = model.similarity(torch.cat(embeddings), queries).numpy()
    total = time.perf_counter() - began
    timings = {"decode": decode / len(queries), "model": (total - decode) / len(queries)}
    edges = _edges(reader.info.duration, fps)
    return [_answer(curve, edges, top_k, timings) for curve in curves]


def direct_reads(reader: VideoReader, fps: float = 2.0) -> list[tuple[list[int], int]]:
    """What `ground_direct` reads, in order, as (frame numbers, short side): whoever decodes ahead asks for the same."""
    edges = _edges(reader.info.duration, fps)
    indices = indices_at(reader, list((edges[:-1] + edges[1:]) / 2))
    return [(indices[i : i + FRAMES_PER_READ], SHORT_SIDE) for i in range(0, len(indices), FRAMES_PER_READ)]


def _edges(duration: float, fps: float) -> np.ndarray:
    """Borders of the stretches that one frame each stands for, seconds."""
    return np.linspace(0.0, duration, int(np.clip(round(duration * fps), 1, MAX_FRAMES)) + 1)


def _answer(curve: np.ndarray, edges: np.ndarray, top_k: int, timings: dict[str, float]) -> DirectAnswer:
    spread = curve.std()
    scaled = (curve - curve.mean()) / spread if spread > 1e-6 else np.zeros_like(curve)
    smooth = np.convolve(np.pad(scaled, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    sums = np.concatenate([[0.0], np.cumsum(smooth - THRESHOLD)])
    gain = sums[None, :] - sums[:, None]
    starts, ends = np.triu_indices(len(sums), k=1)
    order = np.argsort(-gain[starts, ends], kind="stable")[: 50 * top_k]
    scored = [(Span(float(edges[starts[i]]), float(edges[ends[i]])), float(gain[starts[i], ends[i]])) for i in order]
    kept = non_maximum_suppression(scored, MAX_OVERLAP, top_k)
    spans = tuple(ScoredSpan(span, float(1 / (1 + np.exp(-score)))) for span, score in kept)
    centers = (edges[:-1] + edges[1:]) / 2
    points = tuple((float(t), float(s)) for t, s in zip(centers, smooth, strict=True))
    return DirectAnswer(spans, points, spans[0].score, True, timings)
