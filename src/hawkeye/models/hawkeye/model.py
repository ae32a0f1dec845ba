"""HawkEye, the whole network: vision tower, Q-Former, projection, language model, composed from parts that can be exchanged.

The way of a training batch through it:

1. pixels (B, T, 3, H, W) -> ``vision`` -> (B, N, V)
2. instruction ids -> ``qformer`` queries look at the video -> (B, Q, E)
3. ``projection`` -> visual tokens (B, Q, D)
4. text ids -> embeddings (B, L, D), visual tokens written into their places, counts checked
5. ``language`` -> hidden states; only those that predict a learned token go through its head -> mean cross-entropy

Answering (`score`, `generate`) is in `answering`, which shares work between prompts; weights come and go in `load`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hawkeye.errors import ConfigError
from hawkeye.models.base import Answer, Look
from hawkeye.models.hawkeye import packed
from hawkeye.models.hawkeye.config import HawkEyeConfig
from hawkeye.models.hawkeye.conversation import (
    IGNORED,
    VISUAL,
    Tokenizers,
    TrainingBatch,
    encode_instructions,
    training_batch,
)
from hawkeye.models.hawkeye.language import attach_lora, build_language, plain_name, settle
from hawkeye.models.hawkeye.qformer import QFormer
from hawkeye.models.hawkeye.vision import build_vision
from hawkeye.prompts import Conversation

Decoding = Literal["best", "exact"]
LanguageTraining = Literal["lora", "full", "frozen"]
INITIAL_STD = 0.02


@dataclass(frozen=True)
class LossOutput:
    """``loss``: mean over the learned tokens of the batch, 0 (with zero gradients) if there are none."""

    loss: Tensor
    token_log_probs: Tensor  # (B, L - 1): of the token at t + 1; 0 where nothing is learned; detached
    num_learned: int


class HawkEye(nn.Module):
    """Meets `VideoLanguageModel`. Built on the device of the surrounding ``torch.device`` context, the meta device included;
    `fresh` gives random weights, `load.load_folder` trained ones."""

    def __init__(self, config: HawkEyeConfig, tokenizers: Tokenizers | None = None, lora: bool = True) -> None:
        super().__init__()
        packed.register()
        self.config, self.name, self.num_frames = config, config.name, config.num_frames
        self.decoding: Decoding = "best"
        self._tokenizers = tokenizers
        self.vision: Any = build_vision(config.vision)
        self.qformer = QFormer(config.qformer, self.vision.width)
        self.projection = nn.Linear(config.qformer.width, config.language.width)
        self.language: Any = build_language(config.language)
        if lora and config.language.lora:
            attach_lora(self.language, config.language.lora)
        self.requires_grad_(True)

    @classmethod
    def fresh(cls, config: HawkEyeConfig, tokenizers: Tokenizers | None = None, seed: int = 0) -> HawkEye:
        """Random weights, the same for the same seed; adapters start as no change at all."""
        with torch.device("meta"):
            model = cls(config, tokenizers)
        model.to_empty(device="cpu")
        settle(model.language, torch.device("cpu"))
        initialize(model, torch.Generator().manual_seed(seed))
        return model

    @property
    def tokenizers(self) -> Tokenizers:
        """Raises ConfigError if the model was built without them."""
        if self._tokenizers is None:
            raise ConfigError(f"the model {self.name} has no tokenizers: load it from a folder that holds them")
        return self._tokenizers

    @tokenizers.setter
    def tokenizers(self, tokenizers: Tokenizers) -> None:
        self._tokenizers = tokenizers

    @property
    def device(self) -> torch.device:
        return self.projection.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.projection.weight.dtype

    # Steps 1 to 3

    def encode_video(self, pixels: Tensor, instructions: Sequence[str]) -> Tensor:
        """Visual tokens (B, Q, D) of pixels (B, T, 3, H, W), seen with one instruction each."""
        return self.visual_tokens(self.vision_features(pixels), *self.encode_instructions(instructions))

    def encode_instructions(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask for the Q-Former, (B, K) each."""
        return encode_instructions(self.tokenizers.qformer, instructions, self._max_instruction)

    def vision_features(self, pixels: Tensor) -> Tensor:
        """(B, N, V), on the model's main device, whichever device the tower is on."""
        weight = next(self.vision.parameters())
        features = self.vision(pixels.to(weight.device, weight.dtype))
        return features.to(self.device, self.dtype)

    def visual_tokens(self, features: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Features (B, N, V) and instruction ids (B, K) -> (B, Q, D)."""
        if not self.config.qformer.text_input:
            return self.projection(self.qformer(features, None, None))
        return self.projection(self.qformer(features, ids.to(features.device), mask.to(features.device)))

    # Step 4

    def embed_prompt(self, tokens: Tensor, visual: Tensor) -> Tensor:
        """Token ids (B, L), with `VISUAL` in the places of ``visual`` (B, Q, D) -> embeddings (B, L, D).

        Raises ConfigError if there are not exactly as many places as visual tokens.
        """
        places = tokens == VISUAL
        counts = places.sum(dim=1)
        if bool((counts != visual.shape[1]).any()):
            raise ConfigError(
                f"rows have places for {counts.tolist()} visual tokens, and each video gave {visual.shape[1]}"
            )
        embedded = self.language.model.embed_tokens(tokens.clamp_min(0))
        return embedded.masked_scatter(places[..., None], visual.to(embedded.dtype))

    # Step 5

    def forward(self, batch: TrainingBatch) -> LossOutput:
        hidden = self.hidden_states(batch)[:, :-1]
        targets = batch.labels[:, 1:]
        learned = targets != IGNORED
        logits = self.language.lm_head(hidden[learned]).float()
        losses = F.cross_entropy(logits, targets[learned], reduction="none")
        token_log_probs = torch.zeros(targets.shape, device=targets.device)
        token_log_probs[learned] = -losses.detach()
        count = int(learned.sum())
        loss = losses.mean() if count else hidden.sum() * 0.0
        return LossOutput(loss, token_log_probs, count)

    def hidden_states(self, batch: TrainingBatch) -> Tensor:
        """(B, L, D), the language model's last hidden states; its head makes logits of them."""
        features = self.vision_features(batch.pixels)
        visual = self.visual_tokens(features, batch.instruction_ids, batch.instruction_mask)
        embedded = self.embed_prompt(batch.tokens, visual)
        if self.config.bos_quirk:
            embedded = torch.cat([torch.ones_like(embedded[:, :1]), embedded[:, 1:]], dim=1)
        return self.language.model(
            inputs_embeds=embedded, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state

    def training_batch(self, conversations: Sequence[Conversation], pixels: Tensor) -> TrainingBatch:
        """`conversation.training_batch` with this model's tokenizers and sizes."""
        sizes = (self.config.num_visual_tokens, self.config.max_text_tokens, self._max_instruction)
        return training_batch(self.tokenizers, conversations, pixels, *sizes)

    @property
    def _max_instruction(self) -> int:
        return min(self.config.max_text_tokens, self.config.qformer.max_positions)

    # Training

    def set_trainable(
        self, vision: bool = False, qformer: bool = True, language: LanguageTraining = "lora"
    ) -> list[str]:
        """Choose what learns, as the reference does; query tokens and projection always do. Returns the names.

        ``language``: the adapters alone, all its weights, or nothing. Raises ConfigError for adapters that are not there.
        """
        self.requires_grad_(False)
        if language == "lora" and not any("lora_" in name for name, _ in self.language.named_parameters()):
            raise ConfigError("language: lora needs a model with adapters: set language.lora in its configuration")
        for name, parameter in self.named_parameters():
            part = name.partition(".")[0]
            parameter.requires_grad = (
                part == "projection"
                or "query_tokens" in name
                or (part == "vision" and vision)
                or (part == "qformer" and qformer)
                or (part == "language" and (language == "full" or (language == "lora" and "lora_" in name)))
            )
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def set_gradient_checkpointing(self, on: bool) -> None:
        """Trade time for memory in training: activations are computed again in the backward pass."""
        self.vision.gradient_checkpointing = self.qformer.gradient_checkpointing = on
        if on:
            self.language.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.language.gradient_checkpointing_disable()

    def train(self, mode: bool = True) -> HawkEye:
        """As nn.Module's, but a frozen vision tower stays in evaluation mode (no drop-path)."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.vision.parameters()):
            self.vision.eval()
        return self

    def plain_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters under the names that files use, which do not depend on how adapters are attached."""
        return ((plain_name(name), parameter) for name, parameter in self.named_parameters())

    # Answering: see `answering`

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        """Log-probability of each option of each look, normalised over the options."""
        from hawkeye.models.hawkeye import answering

        return [list(reply.log_probs) for reply in answering.answer(self, looks, "best")]

    def answer(self, looks: Sequence[Look]) -> list[Answer]:
        """The chosen option of each look, by ``self.decoding``."""
        from hawkeye.models.hawkeye import answering

        return answering.answer(self, looks, self.decoding)

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        """Greedy replies, without the reply start that the prompt holds."""
        from hawkeye.models.hawkeye import answering

        return answering.generate(self, looks, max_new_tokens)


def initialize(model: nn.Module, generator: torch.Generator) -> None:
    """`initial_value` for every parameter."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(initial_value(name, parameter.shape, generator))


def initial_value(name: str, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Normal weights of deviation 0.02, zero biases, unit norms; LoRA's B is zero, so that it changes nothing at first."""
    if name.endswith("bias") or "lora_B" in name:
        return torch.zeros(*shape)
    if "norm" in name.lower():
        return torch.ones(*shape)
    if "lora_A" in name:
        bound = shape[1] ** -0.5  # Kaiming's uniform, as peft's
        return torch.empty(*shape).uniform_(-bound, bound, generator=generator)
    return torch.empty(*shape).normal_(0.0, INITIAL_STD, generator=generator)
