"""The sizes of the small model that comes with the installation; `mini_vision` and `mini_qformer` hold its parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hawkeye.models.hawkeye.config import HawkEyeConfig, LanguageConfig, Positive, QFormerConfig, Share, UMTConfig

FEATURES = 1280  # of a frame
NUM_CLASSES = 1000
TEXT_WIDTH = 384  # of a sentence embedding


class FrameEncoderConfig(UMTConfig):
    """A frozen ImageNet network that sees each frame alone. Its weights come from its own package, not from the model's."""

    kind: Literal["efficientnet-lite2"] = "efficientnet-lite2"  # type: ignore[assignment]
    image_size: Positive = 260
    # Features, class logits, and what the features say as a sentence embedding.
    width: Positive = FEATURES + NUM_CLASSES + TEXT_WIDTH
    num_blocks: Positive = 1
    num_heads: Positive = 1
    patch_size: Positive = 260


class MatchingConfig(QFormerConfig):
    """A Q-Former that is told in numbers how well each frame fits the query, and reads no tokens."""

    width: Positive = 128
    num_layers: Positive = 3
    num_heads: Positive = 4
    mlp_width: Positive = 384
    num_queries: Positive = 8
    num_extra_queries: Annotated[int, Field(ge=0)] = 0
    dropout: Share = 0.1
    text_width: Positive = TEXT_WIDTH
    feature_width: Positive = 64  # what is kept of a frame's features


class MiniConfig(HawkEyeConfig):
    name: str = "hawkeye-mini"
    num_frames: Positive = 24
    vision: FrameEncoderConfig = FrameEncoderConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    qformer: MatchingConfig = MatchingConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    language: LanguageConfig = LanguageConfig(
        vocab_size=1200,
        width=128,
        mlp_width=352,
        num_layers=3,
        num_heads=4,
        max_positions=512,
        tie_embeddings=True,
        lora=None,
    )
    max_text_tokens: Positive = 256
    normalization: Literal["clip", "imagenet"] = "imagenet"


def hawkeye_mini(**changes: Any) -> MiniConfig:
    """About a million weights of its own, on top of two frozen networks from packages."""
    return MiniConfig(**changes)
