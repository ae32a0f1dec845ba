"""A part that needs no network at all: it compares frames by their colours, and can name the commonest ones.

For trying the pipeline out in seconds, and a floor to measure better parts against. It knows nothing of what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hawkeye.errors import ConfigError
from hawkeye.pipeline.config import CaptionsConfig
from hawkeye.video.reader import Frames

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (200, 30, 30),
    "orange": (240, 140, 30),
    "yellow": (240, 230, 50),
    "green": (40, 150, 50),
    "blue": (40, 70, 200),
    "purple": (130, 50, 160),
    "pink": (245, 160, 180),
    "brown": (120, 75, 40),
}
EVERY = 4  # one pixel in so many, across and down, is looked at
FRAMES_PER_BATCH = 16
WORTH_NAMING = 0.15  # share of a picture


class Colours:
    """A `FrameTextModel` and a `Captioner`."""

    name = "colours"

    def embed_frames(self, frames: Frames) -> Tensor:
        """float32 (T, 11 * 4): the share of each colour in each quarter of the picture."""
        rows = [self._embed(frames.pixels[i : i + FRAMES_PER_BATCH]) for i in range(0, len(frames), FRAMES_PER_BATCH)]
        return torch.cat(rows) if rows else torch.zeros(0, 4 * len(COLOURS))

    def _embed(self, pixels: Tensor) -> Tensor:
        palette = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
        picked = pixels[:, :, ::EVERY, ::EVERY].permute(0, 2, 3, 1).float()
        named = (picked.unsqueeze(-2) - palette).square().sum(-1).argmin(-1)  # (T, H, W)
        height, width = named.shape[1] // 2, named.shape[2] // 2
        quarters = (
            named[:, :height, :width],
            named[:, :height, width:],
            named[:, height:, :width],
            named[:, height:, width:],
        )
        shares = [torch.stack([(q == i).float().mean(dim=(1, 2)) for i in range(len(COLOURS))], 1) for q in quarters]
        return torch.cat(shares, dim=1)

    def similarity(self, frame_embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), T): the share of the picture that has a colour named in the text."""
        shares = self._shares(frame_embeddings)
        named = torch.tensor([[float(colour in text.lower().split()) for colour in COLOURS] for text in texts])
        return named.reshape(len(texts), len(COLOURS)) @ shares.T

    def caption(self, segments: Sequence[Frames]) -> list[str]:
        captions = []
        for frames in segments:
            share = self._shares(self.embed_frames(frames)).mean(dim=0)
            common = [name for name, part in zip(COLOURS, share.tolist(), strict=True) if part >= WORTH_NAMING]
            captions.append(
                f"a picture that is mostly {' and '.join(common)}" if common else "a picture of many colours"
            )
        return captions

    def _shares(self, frame_embeddings: Tensor) -> Tensor:
        """(T, 11)"""
        return frame_embeddings.reshape(len(frame_embeddings), 4, len(COLOURS)).mean(dim=1)


def load(weights: str | None = None, device: str = "auto", captions: CaptionsConfig | None = None) -> Colours:
    """Raises ConfigError if weights are given."""
    if weights is not None:
        raise ConfigError(f"weights {weights}: the part colours has none: leave them out")
    return Colours()
