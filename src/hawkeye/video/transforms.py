"""From decoded frames to a model's pixels: resize, crop, normalise. No decoding here; everything works on a whole window.

The evaluation transform is the reference's (bicubic with antialiasing on 8-bit pixels, as Pillow does it; equal to
Pillow to one step of 255).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from hawkeye.video.reader import Frames

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Triple = tuple[float, float, float]


def resize(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """uint8 (T, 3, H, W) -> uint8 (T, 3, height, width), bicubic, antialiased."""
    if pixels.shape[-2:] == (height, width):
        return pixels
    if pixels.device.type == "cpu":
        return F.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
    resized = F.interpolate(pixels.float(), (height, width), mode="bicubic", antialias=True)  # 8 bits: CPU only
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def resize_short_side(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Scale up or down so that the shorter side has ``size`` pixels; the longer one is cut to a whole pixel."""
    height, width = pixels.shape[-2:]
    if height <= width:
        return resize(pixels, size, int(size * width / height))
    return resize(pixels, int(size * height / width), size)


def center_crop(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """The middle ``size`` x ``size`` pixels; the pictures must be at least that large."""
    height, width = pixels.shape[-2:]
    top, left = round((height - size) / 2), round((width - size) / 2)
    return pixels[..., top : top + size, left : left + size]


def normalize(pixels: torch.Tensor, mean: Triple = CLIP_MEAN, std: Triple = CLIP_STD) -> torch.Tensor:
    """uint8 (T, 3, H, W) -> float32 of the same shape."""
    shift = torch.tensor(mean, device=pixels.device).view(3, 1, 1)
    scale = torch.tensor(std, device=pixels.device).view(3, 1, 1)
    return pixels.float().div_(255).sub_(shift).div_(scale)


def evaluation_pixels(
    frames: Frames | torch.Tensor, size: int = 224, mean: Triple = CLIP_MEAN, std: Triple = CLIP_STD
) -> torch.Tensor:
    """float32 (T, 3, size, size): short side to ``size``, centre crop, normalise (reference ``tasks/test.py``)."""
    pixels = frames.pixels if isinstance(frames, Frames) else frames
    return normalize(center_crop(resize_short_side(pixels, size), size), mean, std).contiguous()


def training_pixels(
    frames: Frames | torch.Tensor,
    generator: torch.Generator,
    size: int = 224,
    scale: tuple[float, float] = (0.5, 1.0),
    flip: float = 0.5,
    mean: Triple = CLIP_MEAN,
    std: Triple = CLIP_STD,
) -> torch.Tensor:
    """float32 (T, 3, size, size): one random crop of ``scale`` of the area, and one mirroring, for all frames of a video.

    The reference crops and flips likewise but normalises with ImageNet's mean and std (``dataset/__init__.py:17-54``,
    quirk T5); ``flip=0`` is for texts that speak of left and right.
    """
    pixels = frames.pixels if isinstance(frames, Frames) else frames
    top, left, height, width = random_crop(pixels.shape[-2], pixels.shape[-1], scale, generator)
    pixels = resize(pixels[..., top : top + height, left : left + width], size, size)
    if torch.rand((), generator=generator).item() < flip:
        pixels = pixels.flip(-1)
    return normalize(pixels, mean, std).contiguous()


def random_crop(
    height: int, width: int, scale: tuple[float, float], generator: torch.Generator
) -> tuple[int, int, int, int]:
    """``(top, left, height, width)`` of a crop with an area share in ``scale`` and an aspect ratio in 3/4 .. 4/3."""
    for _ in range(10):
        share, shape, down, right = torch.rand(4, generator=generator).tolist()
        area = height * width * (scale[0] + share * (scale[1] - scale[0]))
        aspect = math.exp(math.log(3 / 4) + shape * (math.log(4 / 3) - math.log(3 / 4)))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top, left = int(down * (height - crop_height + 1)), int(right * (width - crop_width + 1))
            return top, left, crop_height, crop_width
    side = min(height, width)  # a very long picture: its middle square
    return (height - side) // 2, (width - side) // 2, side, side
