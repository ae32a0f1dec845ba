"""The sizes and settings of a HawkEye model, and its presets. Checked where they are made, with the field's name.

Not here: how any part computes. A vision tower of another kind brings its own config class and one row in `VISION_TOWERS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hawkeye.config import Config
from hawkeye.records import atomic_write, read_json

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

# kind -> "module:class"; the class is built from its config and maps pixels (B, T, 3, H, W) to (B, N, width).
VISION_TOWERS: dict[str, str] = {
    "umt": "hawkeye.models.hawkeye.vision:VisionTower",
}


class UMTConfig(Config):
    """A video transformer with joint space-time attention (UMT, arXiv 2303.16058)."""

    kind: Literal["umt"] = "umt"
    image_size: Positive = 224
    patch_size: Positive = 16
    width: Positive = 1024
    num_blocks: Positive = 23  # the reference builds 24 less the last (quirk M3)
    num_heads: Positive = 16
    mlp_ratio: Positive = 4
    drop_path: Share = 0.0
    checkpoint_frames: Positive = 4  # frames of the position table that the weights were trained with (quirk M2)

    @model_validator(mode="after")
    def _fits(self) -> UMTConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        return self


class QFormerConfig(Config):
    """A BERT whose learned queries look at the video, told by the instruction what to look for."""

    width: Positive = 768
    num_layers: Positive = 12
    num_heads: Positive = 12
    mlp_width: Positive = 3072
    vocab_size: Positive = 30523  # BERT's 30522 and one [DEC] (quirk M18)
    max_positions: Positive = 512
    cross_attention_every: Positive = 2
    num_queries: Positive = 32
    num_extra_queries: Annotated[int, Field(ge=0)] = 64
    dropout: Share = 0.1
    attention_dropout: Share = 0.1
    drop_path: Share = 0.2  # of the last layer; rises linearly from 0
    text_input: bool = True

    @model_validator(mode="after")
    def _fits(self) -> QFormerConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class LoRAConfig(Config):
    """Low-rank adapters in the language model (arXiv 2106.09685)."""

    rank: Positive = 16
    alpha: Positive = 32
    dropout: Share = 0.1
    targets: tuple[str, ...] = ("q_proj", "v_proj")


class LanguageConfig(Config):
    """Any model of the LLaMA architecture."""

    vocab_size: Positive = 32000  # vicuna v0 has one row more, which is cut off (quirk M8)
    width: Positive = 4096
    mlp_width: Positive = 11008
    num_layers: Positive = 32
    num_heads: Positive = 32
    num_kv_heads: Positive | None = None  # None: as many as num_heads
    max_positions: Positive = 2048
    norm_eps: Annotated[float, Field(gt=0)] = 1e-6
    rope_theta: Annotated[float, Field(gt=0)] = 10000.0
    tie_embeddings: bool = False
    lora: LoRAConfig | None = LoRAConfig()

    @model_validator(mode="after")
    def _fits(self) -> LanguageConfig:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if self.num_heads % (self.num_kv_heads or self.num_heads):
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        return self


class HawkEyeConfig(Config):
    """The whole model. ``max_text_tokens`` bounds each of the Q-Former's and the language model's text in training."""

    name: str = "hawkeye-7b"
    num_frames: Positive = 12
    vision: UMTConfig = UMTConfig()
    qformer: QFormerConfig = QFormerConfig()
    language: LanguageConfig = LanguageConfig()
    max_text_tokens: Positive = 512
    normalization: Literal["clip", "imagenet"] = "clip"  # evaluation uses CLIP's, training ImageNet's (quirk T5)
    bos_quirk: bool = False  # True: the BOS slot holds the number 1.0, as in the reference's training (quirk M1)

    @property
    def num_visual_tokens(self) -> int:
        return self.qformer.num_queries + self.qformer.num_extra_queries

    @classmethod
    def from_json(cls, path: str | Path) -> HawkEyeConfig:
        """Raises AnnotationError if it is not JSON, ConfigError if a value is wrong."""
        return cls.from_dict(read_json(path), source=str(path))

    def to_json(self, path: str | Path) -> None:
        with atomic_write(path) as file:
            file.write(self.model_dump_json(indent=2) + "\n")


def hawkeye_7b(**changes: Any) -> HawkEyeConfig:
    """The paper's model: UMT ViT-L/16, Q-Former, Vicuna-7B v0 with LoRA."""
    return HawkEyeConfig(**changes)


def tiny(**changes: Any) -> HawkEyeConfig:
    """A model of 0.3 million parameters for tests and for trying training on a laptop."""
    values: dict[str, Any] = {
        "name": "hawkeye-tiny",
        "vision": UMTConfig(image_size=32, width=32, num_blocks=2, num_heads=4),
        "qformer": QFormerConfig(
            width=32,
            num_layers=4,
            num_heads=4,
            mlp_width=64,
            vocab_size=141,
            max_positions=128,
            num_queries=4,
            num_extra_queries=8,
        ),
        "language": LanguageConfig(
            vocab_size=640, width=64, mlp_width=172, num_layers=2, num_heads=4, lora=LoRAConfig(rank=4, alpha=8)
        ),
    }
    return HawkEyeConfig(**{**values, **changes})


def mid(**changes: Any) -> HawkEyeConfig:
    """A model of about 150 million parameters that runs on two CPU cores; the benchmarks use it."""
    values: dict[str, Any] = {
        "name": "hawkeye-mid",
        "vision": UMTConfig(width=384, num_blocks=12, num_heads=6),
        "qformer": QFormerConfig(width=384, num_layers=6, num_heads=6, mlp_width=1536),
        "language": LanguageConfig(width=768, mlp_width=2048, num_layers=12, num_heads=12),
    }
    return HawkEyeConfig(**{**values, **changes})


PRESETS = {"hawkeye-7b": hawkeye_7b, "hawkeye-mid": mid, "hawkeye-tiny": tiny}
