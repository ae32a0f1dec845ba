"""How much memory a run will need on each device, counted from the sizes of the model; rough for activations.

Checked against nothing but arithmetic: what the libraries keep for themselves comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.train.config import TrainConfig

GIB = 2**30
TEXT_SHARE = 0.75  # of the longest text that is allowed: what a batch usually has


@dataclass(frozen=True)
class Memory:
    """GiB a device."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    trained: int  # parameters, of the whole model
    parameters: int

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def estimate_memory(model: HawkEye, config: TrainConfig, dtype: torch.dtype, processes: int) -> Memory:
    """``model`` may be on the meta device."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    shards = processes if config.parallel == "fsdp" else 1
    return Memory(
        weights=(4 * trained + dtype.itemsize * frozen) / shards / GIB,
        gradients=4 * trained / shards / GIB,
        optimizer=8 * trained / shards / GIB,
        activations=_activations(model, config, dtype) / GIB,
        trained=trained,
        parameters=trained + frozen,
    )


def _activations(model: HawkEye, config: TrainConfig, dtype: torch.dtype) -> float:
    """Bytes kept for the backward pass: of a transformer block about ten vectors of its width and four of its MLP a token,
    or with gradient checkpointing one vector a block, and one block in full."""
    sizes, batch = model.config, config.batch.size
    text = sizes.num_visual_tokens + TEXT_SHARE * sizes.max_text_tokens
    patches = config.data.num_frames * (sizes.vision.image_size // sizes.vision.patch_size) ** 2
    stacks = [(text, sizes.language.width, sizes.language.mlp_width, sizes.language.num_layers)]
    stacks.append((sizes.num_visual_tokens, sizes.qformer.width, sizes.qformer.mlp_width, sizes.qformer.num_layers))
    if config.model.train_vision:
        width = sizes.vision.width
        stacks.append((patches, width, width * sizes.vision.mlp_ratio, sizes.vision.num_blocks))
    total = 0.0
    for tokens, width, mlp, blocks in stacks:
        block = 10 * width + 4 * mlp
        kept = width * blocks + block if config.model.gradient_checkpointing else block * blocks
        total += batch * tokens * kept * dtype.itemsize
    return total
