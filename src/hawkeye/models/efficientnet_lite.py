"""EfficientNet-Lite: the ImageNet network of the embedded default model, for inference only.

Source: Tan and Le, "EfficientNet" (arXiv 1905.11946), and the Lite variants (no squeeze-and-excitation, ReLU6, stem and
head not scaled). Parameter names are those of the published PyTorch checkpoints, so that loading is strict.
It does no training: `load_efficientnet_lite` folds every batch norm into its convolution.
"""

from __future__ import annotations

import math
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hawkeye.errors import CheckpointError

# (kernel, stride, expansion, channels out, repeats) of the base network's seven stages.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# variant -> (width factor, depth factor, side of the square input in pixels)
VARIANTS = {"lite0": (1.0, 1.0, 224), "lite1": (1.0, 1.1, 240), "lite2": (1.1, 1.2, 260)}
STEM, HEAD, NUM_CLASSES = 32, 1280, 1000
BATCH_NORM_EPS = 1e-3


def _scaled(channels: int, width: float) -> int:
    """The nearest multiple of eight, at most a tenth below."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": an odd pixel of padding goes to the right and to the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(input.shape[-2:], self.kernel_size, self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = pads
        if top == bottom and left == right:
            return F.conv2d(input, self.weight, self.bias, self.stride, (top, left), groups=self.groups)
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> SameConv:
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


class Block(nn.Module):
    """Inverted residual: widen (1x1), filter each channel, narrow (1x1)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = _conv(inputs, inner, 1), _norm(inner)
        self._depthwise_conv, self._bn1 = _conv(inner, inner, kernel, stride, groups=inner), _norm(inner)
        self._project_conv, self._bn2 = _conv(inner, outputs, 1), _norm(outputs)
        self.widens, self.residual = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, input: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(input))) if self.widens else input
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        output = self._bn2(self._project_conv(inner))
        return output + input if self.residual else output


class EfficientNetLite(nn.Module):
    """Pixels (B, 3, S, S), scaled to about -1 to 1, to features (B, 1280, S/32, S/32); `classify` gives class logits."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        width, depth, self.image_size = VARIANTS[variant]
        self._conv_stem, self._bn0 = _conv(3, STEM, 3, 2), _norm(STEM)
        self._blocks = nn.ModuleList()
        inputs = STEM
        for number, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
            outputs = _scaled(channels, width)
            # The first and the last stage are never made deeper.
            count = repeats if number in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
            for i in range(count):
                self._blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self._conv_head, self._bn1 = _conv(inputs, HEAD, 1), _norm(HEAD)
        self._fc = nn.Linear(HEAD, NUM_CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = F.relu6(self._bn0(self._conv_stem(pixels)))
        for block in self._blocks:
            hidden = block(hidden)
        return F.relu6(self._bn1(self._conv_head(hidden)))

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (B, 1000) from features averaged over the picture, (B, 1280)."""
        return self._fc(pooled)

    @property
    def classifier_weight(self) -> Tensor:
        """(1000, 1280): what the last layer looks for in each class."""
        return self._fc.weight


def _fold_batch_norms(network: EfficientNetLite) -> None:
    """Each batch norm becomes part of the convolution before it: same result, a quarter less time."""
    for module in [m for m in network.modules() if isinstance(m, Block | EfficientNetLite)]:
        pairs = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))
        if isinstance(module, Block):
            pairs = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        for conv, norm in pairs:
            if hasattr(module, conv):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())


def load_efficientnet_lite(path: Path, variant: str = "lite2") -> EfficientNetLite:
    """The network with the weights of a published checkpoint file. Raises CheckpointError."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        raise CheckpointError(f"{path}: can't be read as EfficientNet weights: install its package again") from None
    network = EfficientNetLite(variant)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: is not an EfficientNet-{variant} checkpoint: {error}") from None
    network.eval().requires_grad_(False)
    _fold_batch_norms(network)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
