"""A planned video that is painted when it is read: meets `VideoReader`, so no file is written for training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hawkeye.errors import VideoError
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Plan, recipe_at
from hawkeye.synth.recipe import Recipe, render
from hawkeye.video.reader import Frames, ReaderBase, VideoInfo

if TYPE_CHECKING:
    from PIL.Image import Image

CANVAS = (320, 240)  # width, height in pixels
FPS = 12.0
LONGEST_SIDE = 512  # a picture is scaled down to this before it is kept


@lru_cache(maxsize=256)
def load_picture(path: Path) -> Image:
    """RGB, at most `LONGEST_SIDE` pixels long. Raises VideoError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise VideoError(f"{path}: can't be read as a picture ({error}): replace it or take it out") from None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return picture


def paint(recipe: Recipe, pictures: Sequence[Picture], canvas: tuple[int, int] = CANVAS) -> np.ndarray:
    """uint8 (H, W, 3) RGB pixels of a recipe. Raises VideoError for a picture that can't be read."""
    return np.asarray(render(recipe, lambda number: load_picture(pictures[number].path), canvas))


class SyntheticVideo(ReaderBase):
    """Frames of ``plan`` at ``fps``, from ``pictures`` (those the plan's numbers mean)."""

    def __init__(
        self, plan: Plan, pictures: Sequence[Picture], fps: float = FPS, canvas: tuple[int, int] = CANVAS
    ) -> None:
        self.plan, self.pictures, self.canvas = plan, pictures, canvas
        count = max(1, round(plan.duration * fps))
        self._times = np.arange(count, dtype=np.float64) / fps
        self._info = VideoInfo(
            path=Path(plan.id),
            backend="synthetic",
            duration=count / fps,
            num_frames=count,
            fps=fps,
            width=canvas[0],
            height=canvas[1],
        )

    def recipes(self, indices: Sequence[int]) -> list[Recipe]:
        """What each of these frames is made of. Raises VideoError for a number outside the video."""
        wrong = [i for i in indices if not 0 <= i < len(self._times)]
        if wrong:
            raise VideoError(
                f"{self.plan.id}: frame {wrong[0]} asked, 0 to {len(self._times) - 1} are there (synthetic)"
            )
        return [recipe_at(self.plan, float(self._times[i])) for i in indices]

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        """uint8 frames; the same recipe is painted once."""
        import torch

        canvas = self.canvas
        if short_side is not None and short_side < min(canvas):
            scale = short_side / min(canvas)
            canvas = (round(canvas[0] * scale), round(canvas[1] * scale))
        recipes = self.recipes(indices)
        painted = {recipe: paint(recipe, self.pictures, canvas) for recipe in dict.fromkeys(recipes)}
        shape = (0, canvas[1], canvas[0], 3)
        stacked = np.stack([painted[r] for r in recipes]) if recipes else np.empty(shape, np.uint8)
        pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
        return Frames(pixels, tuple(float(self._times[i]) for i in indices))
