"""Fixed sinusoid position tables of the vision tower, for any number of frames and any patch grid.

The weights were trained with the table of 4 frames of 14 x 14 patches; other sizes take that table resized (in space first,
then in time), so that a position keeps its meaning. Source: reference ``models/blip2/vit.py:85-200``; quirks M2, M4, M6.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TRAINED_SIDE = 14  # patches along a side of the trained grid: 224 / 16


def sinusoid_table(num_positions: int, width: int) -> Tensor:
    """float32 (num_positions, width): sine in the even columns, cosine in the odd ones."""
    column = torch.arange(width, dtype=torch.float64)
    # NumPy's power is used for the frequencies: torch's differs from it in the last bit, and the tables are to be exact.
    frequency = torch.from_numpy(10000.0 ** (2 * (column // 2).numpy() / width))
    angle = torch.arange(num_positions, dtype=torch.float64)[:, None] / frequency
    table = torch.empty_like(angle)
    table[:, 0::2] = torch.sin(angle[:, 0::2])
    table[:, 1::2] = torch.cos(angle[:, 1::2])
    return table.float()


def position_table(num_frames: int, side: int, width: int, trained_frames: int = 4) -> Tensor:
    """float32 (num_frames * side * side, width). A single frame takes the table of a single picture."""
    trained = 1 if num_frames == 1 else trained_frames
    table = sinusoid_table(trained * TRAINED_SIDE**2, width).view(trained, TRAINED_SIDE, TRAINED_SIDE, width)
    if side != TRAINED_SIDE:
        grid = table.permute(0, 3, 1, 2)
        grid = F.interpolate(grid, (side, side), mode="bicubic", align_corners=False)
        table = grid.permute(0, 2, 3, 1)
    if num_frames != trained:
        line = table.reshape(trained, side * side, width).permute(1, 2, 0)
        line = F.interpolate(line, num_frames, mode="linear", align_corners=False)
        table = line.permute(2, 0, 1)
    return table.reshape(num_frames * side * side, width)
