"""From what an ImageNet network sees in a frame to a point in the space of sentences.

Two views, added. The first is a mean of class texts, weighted by the classes' probabilities (ConSE: Norouzi et al., "Zero-shot
learning by convex combination of semantic embeddings", arXiv 1312.5650): it names things. The second is a linear map from the
network's features, fitted by ridge regression to sentences that describe photographs: it also knows a kitchen, a crowd, snow,
somebody's hands. `fit_regression` is that fit; ``examples/fit_similarity.py`` runs it and writes the file read here.

The file also remembers where a thousand photographs lie in that space: what fits a sentence about as well as the best of them is
likely to show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hawkeye.errors import CheckpointError

HEAD_FILE = Path(__file__).with_name("frame_head.safetensors")
TEMPERATURE = 2.0  # flattens the class probabilities, so that the second and third guess count
CLASSES_IN_MEAN = 50
REGRESSION_WEIGHT = 1.5  # of the second view beside the first
BEST_PHOTOGRAPHS = 50
PARTS = ("class_texts", "regression", "offset", "photographs")


@dataclass(frozen=True)
class FrameHead:
    """``class_texts`` (1000, D) unit rows; ``regression`` (1280, D) and ``offset`` (D), for unit features; ``photographs``
    (P, D) unit rows, what `embed` makes of pictures of all kinds."""

    class_texts: Tensor
    regression: Tensor
    offset: Tensor
    photographs: Tensor
    regression_weight: float = REGRESSION_WEIGHT

    def embed(self, features: Tensor, logits: Tensor) -> Tensor:
        """Unit rows (T, D) from pooled features (T, 1280) and class logits (T, 1000)."""
        named = F.normalize(self.name(logits), dim=-1)
        described = F.normalize(describe(features, self.regression, self.offset), dim=-1)
        return F.normalize(named + self.regression_weight * described, dim=-1)

    def name(self, logits: Tensor) -> Tensor:
        """The first view alone, (T, D)."""
        return likely_classes(logits) @ self.class_texts

    def usual_best(self, texts: Tensor) -> Tensor:
        """How well the best photographs fit each of (Q, D) embedded texts, (Q,)."""
        fits = texts @ self.photographs.T
        return fits.topk(min(BEST_PHOTOGRAPHS, fits.shape[1])).values.mean(dim=1)

    def save(self, path: Path) -> None:
        """Half precision: 2.5 MB, and no change in any ranking."""
        from safetensors.torch import save_file

        save_file({part: getattr(self, part).half().contiguous() for part in PARTS}, path)


def likely_classes(logits: Tensor) -> Tensor:
    """Flattened probabilities (..., 1000) of the `CLASSES_IN_MEAN` likeliest classes; the others are 0."""
    probabilities = (logits / TEMPERATURE).softmax(dim=-1)
    least = probabilities.topk(CLASSES_IN_MEAN).values[..., -1:]
    return probabilities.where(probabilities >= least, 0.0)


def describe(features: Tensor, regression: Tensor, offset: Tensor) -> Tensor:
    """The second view alone, not of unit length: (..., 1280) -> (..., D)."""
    return F.normalize(features, dim=-1) @ regression + offset


def load_frame_head(device: torch.device, path: Path = HEAD_FILE) -> FrameHead:
    """Raises CheckpointError if the file is missing or of another kind."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path, device=str(device))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: can't be read ({error}): install hawkeye-vtg again") from None
    if sorted(weights) != sorted(PARTS):
        raise CheckpointError(f"{path}: holds {', '.join(weights)}: expected {', '.join(PARTS)}")
    class_texts, regression, offset, photographs = (weights[part].float() for part in PARTS)
    return FrameHead(class_texts, regression, offset, photographs)


def fit_regression(features: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Ridge regression from unit ``features`` (N, 1280) to sentence embeddings (N, D): ``regression`` and ``offset``.

    The offset leaves out the targets' mean: what all descriptions have in common tells no frame from another.
    """
    mean = features.mean(dim=0)
    centred = features - mean
    gram = centred.T @ centred + penalty * len(features) * torch.eye(features.shape[1])
    regression = torch.linalg.solve(gram, centred.T @ (targets - targets.mean(dim=0)))
    return regression, -mean @ regression
