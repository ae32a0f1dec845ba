"""How alike scenes are, and how well a caption fits its frames. Pure arithmetic on embeddings."""

from __future__ import annotations

from typing import Literal

import numpy as np

ScoreMerge = Literal["mean", "max"]


def scene_similarity(frame_embeddings: np.ndarray, frames_per_scene: int) -> np.ndarray:
    """Cosine between the mean embeddings of scenes, three decimals.

    ``frame_embeddings``: (scenes * frames_per_scene, D), scene after scene. Returns float64 (scenes, scenes).
    """
    if not len(frame_embeddings):
        return np.zeros((0, 0))
    grouped = np.asarray(frame_embeddings, dtype=np.float64).reshape(-1, frames_per_scene, frame_embeddings.shape[1])
    unit = unit_rows(grouped.mean(axis=1))
    return np.round(unit @ unit.T, 3)


def caption_similarity(frame_scores: np.ndarray, merge: ScoreMerge = "max") -> float:
    """One number from the fit of each frame to the caption."""
    return float(np.mean(frame_scores) if merge == "mean" else np.max(frame_scores))


def cosine_scores(frame_embeddings: np.ndarray, text_embedding: np.ndarray) -> np.ndarray:
    """Cosine of each frame (T, D) with one text (D,)."""
    return unit_rows(frame_embeddings) @ unit_rows(np.asarray(text_embedding)[None])[0]


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; an all-zero row stays zero."""
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
