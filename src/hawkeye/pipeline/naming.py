"""The embedded captioner: it says which two things or places, of about 1,100 that it has words for, a segment looks most like.

That is all it says. It knows no actions, no counts and no relations, and it always says something, right or wrong; see
docs/internvid_g.md for how often it is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hawkeye.errors import ConfigError
from hawkeye.models.base import FrameTextModel
from hawkeye.models.class_texts import class_names
from hawkeye.pipeline.config import CaptionsConfig
from hawkeye.pipeline.parts import registry_model
from hawkeye.video.reader import Frames

#: What the names of the ImageNet classes lack: people, places, and what videos are full of.
EVERYDAY = [
    *("a person talking", "a group of people", "a crowd", "a woman", "a man", "a child", "a baby", "a face", "hair"),
    *("hands doing something", "makeup", "clothes", "jewelry", "soldiers", "musicians playing", "an interview"),
    *("a kitchen", "cooking", "food on a plate", "a living room", "a bed", "a bathroom", "a window", "a door"),
    *("an office", "a classroom", "a hospital", "a shop", "a workshop", "a factory", "tools", "a machine", "a phone"),
    *("a street with cars", "a road", "a car", "a train", "an airplane", "a boat", "a bicycle", "a motorcycle"),
    *("a building", "a city", "a bridge", "a garden", "flowers", "a tree", "a forest", "a field", "mountains", "snow"),
    *("a beach", "the sea", "a river", "a lake", "a waterfall", "the sky", "clouds", "rain", "fire", "smoke"),
    *("the night", "the moon", "space", "a dog", "a cat", "a bird", "a horse", "a fish", "an insect", "an animal"),
    *("a sports game", "a ball game", "a stadium", "running", "swimming", "dancing", "a stage", "a concert"),
    *("a wedding", "a news studio", "a screen with text", "a slide", "a computer screen", "a video game", "a cartoon"),
    *("a drawing", "a map", "a logo"),
]
NAMES_PER_CAPTION = 2


class NamingCaptioner:
    """A `Captioner`. ``vocabulary``: names; ``points``: (names, D) unit rows, where each name lies in the model's space."""

    def __init__(self, model: FrameTextModel, vocabulary: Sequence[str], points: torch.Tensor) -> None:
        self.name, self._model = f"names:{model.name}", model
        self._vocabulary, self._points = list(vocabulary), points

    def caption(self, segments: Sequence[Frames]) -> list[str]:
        """``a video of NAME and NAME``, the names that fit the mean of a segment's frames best."""
        if not segments:
            return []
        means = torch.stack([self._model.embed_frames(frames).mean(dim=0) for frames in segments])
        best = (means @ self._points.T).topk(NAMES_PER_CAPTION).indices.tolist()
        return [f"a video of {' and '.join(self._vocabulary[i] for i in row)}" for row in best]


def load(weights: str | None = None, device: str = "auto", captions: CaptionsConfig | None = None) -> NamingCaptioner:
    """Raises ConfigError if weights are given, MissingDependency."""
    if weights is not None:
        raise ConfigError(f"weights {weights}: the captioner similarity brings its own: leave them out")
    model = registry_model("similarity", None, device)
    points = torch.cat([model.head.class_texts.cpu(), model.sentences.encode(EVERYDAY).cpu()])
    return NamingCaptioner(model, [*class_names(), *EVERYDAY], points)
