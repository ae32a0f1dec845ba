"""The vision tower: 3-D patches, fixed positions, transformer blocks with joint attention over space and time.

A tower of another kind takes its place by `config.VISION_TOWERS`: an nn.Module made from its config, with ``width`` and
``forward(pixels (B, T, 3, H, W)) -> (B, N, width)``. Nothing here reads video or normalises pixels.

Source: UMT (arXiv 2303.16058), reference ``models/blip2/vit.py``; quirks M3 (23 of 24 blocks, then an outer norm), M6.
"""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import VISION_TOWERS, UMTConfig
from hawkeye.models.hawkeye.positions import position_table


class DropPath(nn.Module):
    """Leaves out a residual branch of a whole sample at random in training (arXiv 1603.09382)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand((x.shape[0], *[1] * (x.ndim - 1)), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class Attention(nn.Module):
    """Multi-head self-attention with a bias on queries and values only."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width, width * mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Each patch of each frame -> one vector; tubes are one frame long."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        size = (1, patch_size, patch_size)
        self.proj = nn.Conv3d(3, width, size, size)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T * patches, width), frame by frame, row by row."""
        return self.proj(pixels.transpose(1, 2)).flatten(2).transpose(1, 2)


class VisionTower(nn.Module):
    """Pixels (B, T, 3, H, W) -> (B, T * patches, width), for any number of frames T; one frame counts as a picture."""

    def __init__(self, config: UMTConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.gradient_checkpointing = False
        self.patch_embed = PatchEmbed(config.patch_size, config.width)
        rates = torch.linspace(0, config.drop_path, config.num_blocks, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(config.width, config.num_heads, config.mlp_ratio, rate) for rate in rates)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self._tables: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed(pixels) + self.positions(pixels)
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.norm(x)

    def positions(self, pixels: Tensor) -> Tensor:
        """(T * patches, width), of the pixels' device and number type."""
        num_frames, size = pixels.shape[1], self.config.image_size
        if pixels.shape[2:] != (3, size, size):
            raise ConfigError(f"pixels have shape {tuple(pixels.shape)}: expected (B, T, 3, {size}, {size})")
        key = (num_frames, pixels.device, pixels.dtype)
        if key not in self._tables:
            side = size // self.config.patch_size
            table = position_table(num_frames, side, self.width, self.config.checkpoint_frames)
            self._tables[key] = table.to(pixels.device, pixels.dtype)
        return self._tables[key]


def build_vision(config: UMTConfig) -> nn.Module:
    """The tower that ``config.kind`` names."""
    module, name = VISION_TOWERS[config.kind].split(":")
    return getattr(import_module(module), name)(config)
