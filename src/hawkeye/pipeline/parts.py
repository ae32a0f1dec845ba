"""The parts that can be swapped: what compares frames, what judges a caption, and what writes one.

Frames are compared and captions judged by any `FrameTextModel`; captions are written by any `Captioner`. Both are asked for
by name; names that are not listed here are looked up among the package's models (`hawkeye models`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from hawkeye.errors import ConfigError
from hawkeye.models.base import REGISTRY, FrameTextModel, Look, VideoLanguageModel, load_model
from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.prompts import Prompt, frames_message
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

#: name -> "module:function", called with ``weights`` and ``device``.
FRAME_TEXT_MODELS = {
    "clip": "hawkeye.pipeline.clip:load",
    "colours": "hawkeye.pipeline.colours:load",
}
CAPTIONERS = {
    "blip": "hawkeye.pipeline.blip:load",
    "colours": "hawkeye.pipeline.colours:load",
}


class Captioner(Protocol):
    """Writes one caption for each segment, of which it is given one or several frames. Raises ModelError."""

    name: str

    def caption(self, segments: Sequence[Frames]) -> list[str]: ...


class ModelCaptioner:
    """Any model of the package that answers freely, asked with ``prompt``."""

    def __init__(self, model: VideoLanguageModel, prompt: str, max_new_tokens: int) -> None:
        self.name, self._model = model.name, model
        self._prompt, self._max_new_tokens = prompt, max_new_tokens

    def caption(self, segments: Sequence[Frames]) -> list[str]:
        return self._model.generate([self._look(frames) for frames in segments], self._max_new_tokens)

    def _look(self, frames: Frames) -> Look:
        window = Span(frames.times[0], frames.times[-1])
        message = " " + frames_message([time - window.start for time in frames.times]) if len(frames) > 1 else ""
        prompt = Prompt(instruction="", message=message, question=self._prompt)
        return Look("", window.end, window, frames, self._prompt, prompt)


def load_embedder(config: InternVidGConfig) -> FrameTextModel:
    return _frame_text_model(config.similarity.embedder, config.similarity.weights, config.device)


def load_scorer(config: InternVidGConfig) -> FrameTextModel:
    name = config.scores.scorer or config.similarity.embedder
    return _frame_text_model(name, config.scores.weights, config.device)


def load_captioner(config: InternVidGConfig) -> Captioner:
    captions = config.captions
    if captions.captioner in CAPTIONERS:
        return _load(CAPTIONERS[captions.captioner], captions.weights, config.device, captions)
    _known("captions.captioner", captions.captioner, CAPTIONERS)
    model = _registry_model(captions.captioner, captions.weights, config.device)
    return ModelCaptioner(model, captions.prompt, captions.max_new_tokens)


def has_own_scorer(config: InternVidGConfig) -> bool:
    """Whether captions are judged by another model than the one that compares scenes."""
    asked = config.scores.scorer, config.scores.weights
    return asked not in ((None, None), (config.similarity.embedder, config.similarity.weights))


def check_names(config: InternVidGConfig) -> None:
    """Whether all parts exist, before any work is done. Raises ConfigError."""
    _known("similarity.embedder", config.similarity.embedder, FRAME_TEXT_MODELS)
    _known("scores.scorer", config.scores.scorer or config.similarity.embedder, FRAME_TEXT_MODELS)
    _known("captions.captioner", config.captions.captioner, CAPTIONERS)


def _frame_text_model(name: str, weights: str | None, device: str) -> FrameTextModel:
    if name in FRAME_TEXT_MODELS:
        return _load(FRAME_TEXT_MODELS[name], weights, device)
    _known("embedder or scorer", name, FRAME_TEXT_MODELS)
    model = _registry_model(name, weights, device)
    if not isinstance(model, FrameTextModel):
        raise ConfigError(
            f"model {name!r} does not compare single frames: use {', '.join(FRAME_TEXT_MODELS)} or similarity"
        )
    return model


@cache
def _registry_model(name: str, weights: str | None, device: str) -> Any:
    """One copy in a process, whatever parts it plays."""
    return load_model(name, weights, device)


def _known(setting: str, name: str, listed: dict[str, str]) -> None:
    if name not in listed and name not in REGISTRY:
        raise ConfigError(f"{setting} {name!r} is unknown: expected one of {', '.join([*listed, *REGISTRY])}")


def _load(loader: str, *arguments: Any) -> Any:
    module, function = loader.split(":")
    return getattr(import_module(module), function)(*arguments)
