"""The one interface between models and the rest, and the table of models that can be asked for by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hawkeye.choices import Choice
from hawkeye.errors import ConfigError
from hawkeye.prompts import Prompt
from hawkeye.runtime import keep_freed_memory
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Look:
    """One question about one window of one video: all that a model needs to answer it once.

    Looks of one batch that have the same ``video`` and ``window`` (and equal frame times) show the same pictures, so a
    model may encode them once.
    """

    video: str  # identity of the video, for sharing work and for messages
    duration: float  # of the whole video, seconds
    window: Span  # the part that ``frames`` come from, seconds of the video
    frames: Frames
    query: str  # the bare sentence or question
    prompt: Prompt
    options: tuple[str, ...] = ()  # lettered lines, in the order shown; empty for open questions
    choices: tuple[Choice, ...] = ()  # for grounding: which choice each option is


@runtime_checkable
class VideoLanguageModel(Protocol):
    """Looks at frames and answers. Batch-first: it is given many looks and may share work between them."""

    name: str
    num_frames: int

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        """Log-probability of each option of each look (normalised over the options)."""
        ...

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        """A free reply to each look, without the reply start that the prompt already holds."""
        ...


@dataclass(frozen=True)
class Answer:
    """What a model said to one look that has options."""

    log_probs: tuple[float, ...]  # of each option, normalised over the options
    index: int | None  # the option it chose; None: its reply names none
    reply: str | None = None  # its text, where it replied in text


def answer(model: VideoLanguageModel, looks: Sequence[Look]) -> list[Answer]:
    """Let ``model`` choose an option of each look.

    A model that decides by another rule than the highest log-probability (HawkEye's ``exact`` decoding, a server that replies
    in text) has a method ``answer(looks) -> list[Answer]`` of its own; for all others the highest one wins.
    """
    own = getattr(model, "answer", None)
    if own is not None:
        return own(looks)
    scores = model.score(looks)
    return [Answer(tuple(row), max(range(len(row)), key=row.__getitem__)) for row in scores]


@runtime_checkable
class FrameTextModel(Protocol):
    """What a model can do in addition if it compares single frames with text; `grounding.direct` builds on it."""

    name: str

    def embed_frames(self, frames: Frames) -> torch.Tensor:
        """float32 (T, D), one row a frame."""
        ...

    def similarity(self, frame_embeddings: torch.Tensor, texts: Sequence[str]) -> torch.Tensor:
        """float32 (len(texts), T): the higher, the better the frame fits the text. Comparable within one text only."""
        ...


@dataclass(frozen=True)
class ModelEntry:
    """A row of the registry: how to load a model, and what to tell about it."""

    name: str
    loader: str  # "module:function", called with the keyword arguments of `load_model`
    needs: str  # what must be there first
    about: str


REGISTRY: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "similarity",
            "hawkeye.models.similarity:load",
            "nothing: weights come with the installation",
            "ImageNet network x sentence embeddings; knows things and places, not actions",
        ),
        ModelEntry(
            "mini",
            "hawkeye.models.hawkeye.mini:load",
            "nothing: weights come with the installation",
            "HawkEye with small parts, trained on made-up videos; finds things and shots, not actions",
        ),
        ModelEntry(
            "hawkeye-7b",
            "hawkeye.models.hawkeye.load:load_7b",
            "--weights DIR with the published files",
            "the paper's model: UMT ViT-L/16, Q-Former, Vicuna-7B with LoRA",
        ),
        ModelEntry(
            "hf",
            "hawkeye.models.transformers_vlm:load",
            "--weights DIR, or a hub id, of a video or multi-image chat model",
            "any Hugging Face vision-language model",
        ),
        ModelEntry(
            "openai",
            "hawkeye.models.openai_server:load",
            "--weights http://host:port/v1, optionally #model-name",
            "any OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, ...)",
        ),
    )
}
DEFAULT_MODEL = "similarity"


def load_model(
    name: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> Any:
    """A model by registry name, or from a folder in this package's own format. ``None``: the embedded default.

    Returns an object that meets `VideoLanguageModel`. Raises ConfigError for an unknown name, CheckpointError for weights
    that are missing or wrong.
    """
    wanted = str(name or DEFAULT_MODEL)
    if wanted not in REGISTRY and (Path(wanted) / "config.json").is_file():
        wanted, weights, loader = wanted, wanted, "hawkeye.models.hawkeye.load:load_folder"
    elif wanted in REGISTRY:
        loader = REGISTRY[wanted].loader
    else:
        hint = f"{wanted} is a folder without config.json" if Path(wanted).is_dir() else "no such model or folder"
        raise ConfigError(f"model {wanted!r}: {hint}. Known models: {', '.join(REGISTRY)}; or give a converted folder")
    keep_freed_memory()
    module, function = loader.split(":")
    return getattr(import_module(module), function)(weights=weights, device=device, dtype=dtype, **options)
