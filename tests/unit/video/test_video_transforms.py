"""Pixels for models: against the recorded ones, and the promises of the random crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from hawkeye.video.reader import Frames, scaled_size
from hawkeye.video.synthetic import pattern_frame
from hawkeye.video.transforms import (
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    center_crop,
    evaluation_pixels,
    random_crop,
    resize_short_side,
    training_pixels,
)

ONE_STEP = 1 / 255 / min(CLIP_STD)  # of 8-bit pixels, after normalising
STORED = 1e-3  # one recording holds 16-bit floats


def pattern(*numbers: int) -> torch.Tensor:
    return torch.stack([torch.from_numpy(pattern_frame(number)).permute(2, 0, 1) for number in numbers])


@pytest.mark.parametrize(("name", "numbers", "size"), [("eval_res32", (3, 10, 17, 25), 32), ("eval_res224", (7,), 224)])
def test_evaluation_pixels_match_the_reference(golden: Path, name: str, numbers: tuple[int, ...], size: int) -> None:
    recorded = load_file(golden / "preprocess.safetensors")[name].float().view(-1, 3, size, size)
    pixels = evaluation_pixels(pattern(*numbers), size)
    assert pixels.shape == recorded.shape
    difference = (pixels - recorded).abs()
    assert difference.max() <= 2 * ONE_STEP + STORED  # torch and Pillow may round each of the two passes apart
    assert (difference > ONE_STEP + STORED).float().mean() < 1e-4
    assert difference.mean() < 5e-4


@pytest.mark.parametrize("shape", [(360, 640), (640, 360), (100, 101), (224, 224), (36, 48)])
def test_resize_is_pillows(shape: tuple[int, int]) -> None:
    height, width = shape
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resized = resize_short_side(torch.from_numpy(picture).permute(2, 0, 1)[None], 224)
    scale = 224 / min(height, width)
    size = tuple(224 if side == min(shape) else int(side * scale) for side in (width, height))
    expected = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    assert np.abs(resized[0].permute(1, 2, 0).numpy().astype(int) - expected.astype(int)).max() <= 2
    assert center_crop(resized, 224).shape == (1, 3, 224, 224)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 512))
def test_sizes_of_reader_and_transform_agree(width: int, height: int, short_side: int) -> None:
    scaled = scaled_size(width, height, short_side)
    assert min(scaled) == min(width, height, short_side)
    assert scaled_size(*scaled, short_side) == scaled  # what the reader scaled is left alone by the transform


def test_a_view_with_channels_last_gives_the_same_pixels() -> None:
    frames = Frames(pattern(1, 2), (0.0, 0.1))
    last = Frames(frames.pixels.contiguous(memory_format=torch.channels_last), frames.times)
    assert torch.equal(evaluation_pixels(frames), evaluation_pixels(last))


def test_training_pixels_are_one_crop_for_all_frames_and_follow_the_generator() -> None:
    same = pattern(5, 5, 5)
    first, again, other = (training_pixels(same, torch.Generator().manual_seed(s), size=32) for s in (1, 1, 2))
    assert first.shape == (3, 3, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[0], first[2])


def test_training_flip_and_scale() -> None:
    picture = pattern(5)
    plain, flipped = (
        training_pixels(picture, torch.Generator().manual_seed(3), 32, flip=flip, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        for flip in (0.0, 1.0)
    )
    assert torch.equal(plain.flip(-1), flipped)
    values = plain * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    assert 0 <= values.min() <= values.max() <= 1.0001


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 2**32))
def test_random_crop_lies_inside_and_has_its_share(height: int, width: int, seed: int) -> None:
    top, left, crop_height, crop_width = random_crop(height, width, (0.5, 1.0), torch.Generator().manual_seed(seed))
    assert min(top, left) >= 0
    assert 0 < crop_height <= height - top
    assert 0 < crop_width <= width - left
    if 0.8 < height / width < 1.25 and min(height, width) > 20:
        assert 0.45 < crop_height * crop_width / (height * width) <= 1


def test_random_crop_reaches_all_borders() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = np.array([random_crop(100, 100, (0.5, 1.0), generator) for _ in range(500)])
    assert crops[:, 0].min() == 0 == crops[:, 1].min()
    assert (crops[:, 0] + crops[:, 2]).max() == 100 == (crops[:, 1] + crops[:, 3]).max()
