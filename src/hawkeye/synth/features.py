"""Features of frames, computed once for each coarse recipe and kept: training then costs no painting and no encoding.

The encoder is any function from pixels to one row a frame; this file knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hawkeye.errors import CheckpointError
from hawkeye.records import atomic_write
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Style, partners_of
from hawkeye.synth.recipe import COARSE_PLACE, COARSE_VIEWS, WHOLE, Layer, Place, Recipe, View, coarse
from hawkeye.synth.video import paint

if TYPE_CHECKING:
    import torch

Encoder = Callable[["torch.Tensor"], "torch.Tensor"]  # uint8 (B, 3, H, W) -> float (B, D)
BATCH_SIZE = 8
SAVE_EVERY = 2000  # frames


class FeatureStore:
    """``rows(recipes)`` gives float16 features of the nearest coarse recipes, computing those that are not there yet.

    ``file``: where they are kept between runs; it belongs to one list of pictures and one encoder.
    Raises CheckpointError for a file made from other pictures.
    """

    def __init__(self, pictures: Sequence[Picture], encoder: Encoder, file: Path | None = None) -> None:
        import torch

        self.pictures, self.encoder, self.file = pictures, encoder, file
        self._numbers: dict[Recipe, int] = {}
        self._features = torch.empty(0, 0, dtype=torch.float16)
        self._names = [picture.id for picture in pictures]
        if file is not None and file.is_file():
            self._load(file)

    def __len__(self) -> int:
        return len(self._numbers)

    def rows(self, recipes: Sequence[Recipe]) -> torch.Tensor:
        """float16 (len(recipes), D)."""
        wanted = [coarse(recipe) for recipe in recipes]
        self.add(wanted)
        return self._features[[self._numbers[recipe] for recipe in wanted]]

    def add(self, recipes: Iterable[Recipe], progress: Callable[[int, int], None] | None = None) -> None:
        """Compute what is missing, a small batch at a time; with a file, what is done is kept when interrupted."""
        import torch

        missing = [r for r in dict.fromkeys(recipes) if r not in self._numbers]
        if not missing:
            return
        new: list[torch.Tensor] = []
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            pixels = torch.stack([torch.from_numpy(paint(r, self.pictures).copy()) for r in batch])
            new.append(self.encoder(pixels.permute(0, 3, 1, 2)).to(torch.float16))
            done = start + len(batch)
            if done % SAVE_EVERY < len(batch) or done == len(missing):
                self._append(missing[done - sum(len(part) for part in new) : done], torch.cat(new))
                new = []
                if self.file is not None and len(missing) > SAVE_EVERY:
                    self.save(self.file)
            if progress:
                progress(done, len(missing))

    def _append(self, recipes: Sequence[Recipe], features: torch.Tensor) -> None:
        import torch

        first = len(self._numbers)
        self._numbers.update({recipe: first + i for i, recipe in enumerate(recipes)})
        self._features = features if first == 0 else torch.cat([self._features, features])

    def save(self, file: Path) -> None:
        import torch

        values = {"pictures": self._names, "recipes": [_plain(r) for r in self._numbers], "features": self._features}
        with atomic_write(file, "wb") as out:
            torch.save(values, out)

    def _load(self, file: Path) -> None:
        import torch

        values = torch.load(file, map_location="cpu", weights_only=True)
        if values["pictures"] != self._names:
            raise CheckpointError(f"{file}: holds features of other pictures: delete it, or give another file")
        self._numbers = {_recipe(plain): i for i, plain in enumerate(values["recipes"])}
        self._features = values["features"]


def all_coarse_recipes(num_pictures: int, style: Style = Style()) -> list[Recipe]:
    """Every coarse recipe that plans over so many pictures can come to: the dark frame, all views, all guests."""
    found: list[Recipe] = [()]
    for number in range(num_pictures):
        found += [(Layer(number, view),) for view in COARSE_VIEWS]
        for partner in partners_of(number, style.partners, num_pictures):
            found.append((Layer(number, WHOLE), Layer(partner, WHOLE, COARSE_PLACE, "oval")))
    return found


def _plain(recipe: Recipe) -> list:
    return [[r.picture, list(r.view), list(r.place) if r.place else [], r.shape, r.opacity] for r in recipe]


def _recipe(plain: list) -> Recipe:
    return tuple(
        Layer(number, View(*view), Place(*place) if place else None, shape, opacity)
        for number, view, place, shape, opacity in plain
    )
