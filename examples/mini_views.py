"""What the frames of training look like to hawkeye-mini: the second view, fitted so that no picture knows its own caption,
and clutter, so that frames are as unsure as those of real videos.

A regression fitted on a picture finds that picture too well. So pictures are dealt into folds, and each frame is described by a
regression that saw no picture of its own folds (a frame with a guest has two), nor the classifier's row for their classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fit_similarity import PENALTY
from torch import Tensor
from torch.nn import functional as F

from hawkeye.models.frame_head import describe, fit_regression
from hawkeye.models.hawkeye.mini_config import FEATURES, NUM_CLASSES

NUM_FOLDS = 6
# Clutter: shares of a frame's features that come from other frames.
BESIDE = 0.65  # something else in the same shot, all along
SETTING = 0.4  # something that stays through the whole video, in half of the videos
PASSING = 0.8  # something else in single frames


class Pictures:
    """Frames to fit a regression on: ``features`` (N, 1280), the ``pictures`` (N, 2) in each (a guest or twice the same), and
    the embedded caption of each picture (P, 384); of each class its classifier row and text; ``classes`` of the pictures."""

    def __init__(
        self,
        features: Tensor,
        pictures: Tensor,
        captions: Tensor,
        weights: Tensor,
        texts: Tensor,
        classes: Sequence[int],
    ) -> None:
        self.features, self.pictures, self.captions, self.weights, self.texts = (
            features,
            pictures,
            captions,
            weights,
            texts,
        )
        self.folds = torch.arange(len(captions)) % NUM_FOLDS
        self.class_folds = torch.full((NUM_CLASSES,), -1)
        for number, index in enumerate(classes):
            if index >= 0:
                self.class_folds[index] = self.folds[number]

    def fit(self, without: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Regression and offset from all frames of single pictures outside these folds."""
        hidden = torch.tensor(without, dtype=torch.long)
        alone = self.pictures[:, 0] == self.pictures[:, 1]
        used = alone & ~torch.isin(self.folds[self.pictures[:, 0]], hidden)
        known = ~torch.isin(self.class_folds, hidden)
        features = F.normalize(torch.cat([self.features[used], self.weights[known]]), dim=-1)
        targets = torch.cat([self.captions[self.pictures[used, 0]], self.texts[known]])
        return fit_regression(features, targets, PENALTY)

    def described(self) -> Tensor:
        """(N, 384): each frame by a regression that knows neither of its pictures."""
        folds = self.folds[self.pictures].sort(dim=1).values
        rows = torch.empty(len(folds), self.captions.shape[1])
        for pair in folds.unique(dim=0).tolist():
            chosen = (folds == torch.tensor(pair)).all(dim=1)
            rows[chosen] = describe(self.features[chosen], *self.fit(pair))
        return rows


def clutter(features: Tensor, shown: Tensor, rows: Tensor, noise: torch.Generator, most: float = 1.0) -> Tensor:
    """Mix other frames in: features (B, T, D) of which ``shown`` (B, T) says what picture they are of; ``rows``: all frames.

    ``most`` scales it all. Each look has a strength of its own, so that some stay plain.
    """
    count, (batch, length) = int(shown.max()) + 1, shown.shape

    def number(*shape: int) -> Tensor:
        return torch.randint(len(rows), shape, generator=noise)

    def share(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=noise)

    strength = most * share(batch, 1)
    beside, much = number(batch, count).gather(1, shown), share(batch, count).sqrt().gather(1, shown)
    mixed = _mix(features, rows[beside], BESIDE * strength * much)
    setting = SETTING * strength * share(batch, 1) * (share(batch, 1) < 0.5)
    mixed = _mix(mixed, rows[number(batch, 1)].expand(-1, length, -1), setting.expand(-1, length))
    return _mix(mixed, rows[number(batch, length)], PASSING * strength * share(batch, length) ** 4)


def _mix(features: Tensor, others: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(features, others.float(), share[..., None])


def blur(features: Tensor, noise: torch.Generator) -> Tensor:
    """Photographs of one thing are easy: real frames show less certain classes, and differ more from frame to frame."""
    pooled, logits, described = features.split(
        (FEATURES, NUM_CLASSES, features.shape[-1] - FEATURES - NUM_CLASSES), dim=-1
    )
    certainty = 0.3 + 0.7 * torch.rand(len(features), 1, 1, generator=noise)
    shaken = 0.7 * torch.rand(len(features), 1, 1, generator=noise) * torch.randn(logits.shape, generator=noise)
    return torch.cat([pooled, logits * certainty + shaken, described], dim=-1)
