"""What one frame is made of, as a small value, and how it is painted. Equal recipes give equal pixels.

A frame is a few layers of pictures on black. It knows nothing of time: `plan` says which recipe is on screen when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from hawkeye.errors import AnnotationError

if TYPE_CHECKING:
    from PIL.Image import Image

Shape = Literal["full", "card", "oval"]
CARD_EDGE = 2  # pixels of white frame around an inset picture


class View(NamedTuple):
    """The part of a picture that is shown: ``zoom`` is its share of the largest part with the canvas's aspect (0 to 1),
    ``x`` and ``y`` its place in the room that is left (0 left or top, 1 right or bottom)."""

    zoom: float
    x: float
    y: float


class Place(NamedTuple):
    """Where on the canvas a layer lies: its centre and its height, as shares of the canvas. It may stick out."""

    x: float
    y: float
    size: float


class Layer(NamedTuple):
    picture: int  # index into the list of pictures
    view: View
    place: Place | None = None  # None: the whole canvas
    shape: Shape = "full"
    opacity: float = 1.0


Recipe = tuple[Layer, ...]  # painted in this order on black
WHOLE = View(1.0, 0.5, 0.5)


def crop_box(view: View, picture: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of ``view`` in pixels of a picture of this (width, height)."""
    scale = min(picture[0] / canvas[0], picture[1] / canvas[1]) * view.zoom
    width, height = canvas[0] * scale, canvas[1] * scale
    left, top = (picture[0] - width) * view.x, (picture[1] - height) * view.y
    return left, top, left + width, top + height


def render(recipe: Recipe, load: Callable[[int], Image], canvas: tuple[int, int]) -> Image:
    """The frame as an RGB image of ``canvas`` (width, height) pixels. ``load`` gives the RGB picture with a number."""
    from PIL import Image

    frame = Image.new("RGB", canvas)
    for layer in recipe:
        if layer.place is None:
            painted = _cut(load(layer.picture), layer.view, canvas)
            frame = painted if layer.opacity >= 1 else Image.blend(frame, painted, layer.opacity)
        else:
            _paste(frame, load(layer.picture), layer)
    return frame


def _cut(picture: Image, view: View, size: tuple[int, int]) -> Image:
    from PIL import Image

    return picture.resize(size, Image.Resampling.BILINEAR, box=crop_box(view, picture.size, size), reducing_gap=2.0)


def _paste(frame: Image, picture: Image, layer: Layer) -> None:
    from PIL import Image, ImageDraw, ImageFilter

    assert layer.place is not None
    height = max(4, round(layer.place.size * frame.height))
    width = max(4, round(height * (1.0 if layer.shape == "oval" else frame.width / frame.height)))
    left = round(layer.place.x * frame.width - width / 2)
    top = round(layer.place.y * frame.height - height / 2)
    inset = _cut(picture, layer.view, (width, height))
    mask = Image.new("L", (width, height), round(255 * layer.opacity) if layer.shape == "card" else 0)
    if layer.shape == "card":
        ImageDraw.Draw(inset).rectangle((0, 0, width - 1, height - 1), outline=(255, 255, 255), width=CARD_EDGE)
    elif layer.shape == "oval":
        ImageDraw.Draw(mask).ellipse((2, 2, width - 3, height - 3), fill=round(255 * layer.opacity))
        mask = mask.filter(ImageFilter.GaussianBlur(1.5))
    else:
        raise AnnotationError(f"a layer with a place has shape {layer.shape!r}: expected card or oval")
    frame.paste(inset, (left, top), mask)


# Features of frames are kept by recipe. Coarse recipes are few, so that a whole training run looks at few frames.
HALF = 0.5
NEAR = 0.6  # the one zoom beside the whole picture
LEFT, RIGHT = 0.15, 0.85
COARSE_VIEWS = (WHOLE, View(NEAR, HALF, HALF), View(NEAR, LEFT, HALF), View(NEAR, RIGHT, HALF))
COARSE_PLACE = Place(HALF, HALF, 0.55)  # of any guest


def coarse(recipe: Recipe) -> Recipe:
    """The nearest of a small set of recipes: one or two opaque layers, four views, one place; () for a dark frame."""
    base = next((layer for layer in reversed(recipe) if layer.place is None and layer.opacity >= HALF), None)
    if base is None:
        return ()
    guest = next((layer for layer in reversed(recipe) if layer.place is not None and layer.opacity >= HALF), None)
    if guest is None or not _is_inside(guest):
        return (Layer(base.picture, _coarse_view(base.view)),)
    return Layer(base.picture, WHOLE), Layer(guest.picture, WHOLE, COARSE_PLACE, "oval")


def _is_inside(layer: Layer) -> bool:
    assert layer.place is not None
    return 0 <= layer.place.x <= 1 and 0 <= layer.place.y <= 1


def _coarse_view(view: View) -> View:
    if view.zoom > (1 + NEAR) / 2:
        return WHOLE
    return View(NEAR, min((LEFT, HALF, RIGHT), key=lambda x: abs(x - view.x)), HALF)
