"""Twelve things drawn with a few lines each, for the miniature benchmark: no photographs, no licences, no download.

They are drawn so that an ImageNet network knows them; the sentences are the queries.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = (640, 480)  # of a drawing, in pixels; the drawing code counts in half of that
UNITS = 2


class Pen:
    """Pillow's drawing calls in units of two pixels, so that edges come out smooth when the drawing is scaled down."""

    def __init__(self, background: str) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", SIZE, background)
        self._draw = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, fill: str, radius: float = 0) -> None:
        self._draw.rounded_rectangle(_scaled(left, top, right, bottom), radius * UNITS, fill)

    def disc(self, x: float, y: float, rx: float, ry: float, fill: str | tuple[int, ...], edge: str = "") -> None:
        self._draw.ellipse(_scaled(x - rx, y - ry, x + rx, y + ry), fill, edge or None, UNITS)

    def half_disc(self, x: float, y: float, radius: float, fill: str) -> None:
        """The upper half."""
        self._draw.pieslice(_scaled(x - radius, y - radius, x + radius, y + radius), 180, 360, fill)

    def line(self, *points: float, fill: str, width: float = 1) -> None:
        self._draw.line(_scaled(*points), fill, round(width * UNITS))

    def shape(self, *points: float, fill: str | tuple[int, ...]) -> None:
        self._draw.polygon(_scaled(*points), fill)

    def text(self, x: float, y: float, text: str, size: float, fill: str = "black") -> None:
        self._draw.text((x * UNITS, y * UNITS), text, fill, anchor="mm", font_size=size * UNITS)


def _scaled(*numbers: float) -> list[float]:
    return [number * UNITS for number in numbers]


def _round(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    """The point at ``degrees`` clockwise from the top of a circle."""
    angle = math.radians(degrees)
    return x + radius * math.sin(angle), y - radius * math.cos(angle)


def clock() -> Image:
    pen = Pen("#d8cfc0")
    pen.disc(160, 120, 102, 106, "#5b3a1e")
    pen.disc(160, 120, 90, 94, "#faf7ee")
    for minute in range(60):
        hour = minute % 5 == 0
        pen.line(
            *_round(160, 120, 76 if hour else 83, 6 * minute),
            *_round(160, 120, 87, 6 * minute),
            fill="black",
            width=3 if hour else 1,
        )
    for hour in range(1, 13):
        pen.text(*_round(160, 120, 64, 30 * hour), str(hour), 18)
    pen.line(160, 120, 195, 85, fill="black", width=7)
    pen.line(160, 120, 160, 45, fill="black", width=4)
    pen.disc(160, 120, 7, 7, "black")
    return pen.image


def traffic_light() -> Image:
    pen = Pen("#8fb8de")
    pen.box(150, 190, 170, 240, "#444444")
    pen.box(115, 10, 205, 200, "#1d1d1d", 12)
    for top, colour in ((20, "#ff2a1a"), (80, "#5a4a10"), (140, "#0f4a1c")):
        pen.disc(159, top + 27, 27, 27, colour, "black")
    return pen.image


def honeycomb() -> Image:
    pen, rng, radius = Pen("#7a4a08"), random.Random(1), 15
    for row in range(-1, 12):
        for column in range(-1, 14):
            x, y = column * radius * 1.78 + (row % 2) * radius * 0.89, row * radius * 1.55
            shade = rng.randint(-25, 25)
            corners = [p for k in range(6) for p in _round(x, y, radius * 0.92, 60 * k)]
            pen.shape(*corners, fill=(225 + shade // 2, 150 + shade, 20 + max(0, shade)))
            pen.disc(x, y, radius * 0.5, radius * 0.5, (200 + shade, 115 + shade, 8))
    return pen.image


def crossword() -> Image:
    pen, rng, size = Pen("black"), random.Random(3), 20
    for left in range(0, 320, size):
        for top in range(0, 240, size):
            if rng.random() >= 0.22:
                pen.box(left + 0.5, top + 0.5, left + size - 0.5, top + size - 0.5, "white")
                pen.text(left + size / 2, top + size / 2, rng.choice("ABCDEFGHIKLMNOPRSTU"), 13, "#222222")
    return pen.image


def spider_web() -> Image:
    pen, spokes = Pen("#20301f"), [20 * k + 5 for k in range(19)]
    for spoke in spokes:
        pen.line(160, 120, *_round(160, 120, 220, spoke), fill="#e8eee8")
    for radius in range(8, 200, 9):
        pen.line(*(p for spoke in spokes for p in _round(160, 120, radius, spoke)), fill="#dfe8df")
    for side in (-24, 24):
        for reach in (-22, -8, 8, 22):
            pen.line(160, 118, 160 + side, 118 + reach, fill="#5a3a10", width=2)
    pen.disc(160, 120, 8, 12, "#c9a21a")
    pen.disc(160, 105, 5, 5, "#5a3a10")
    return pen.image


def picket_fence() -> Image:
    pen = Pen("#7db3e8")
    pen.box(0, 120, 320, 240, "#4c9a3a")
    for top in (100, 170):
        pen.box(0, top, 320, top + 12, "#e9e9e9")
    for x in range(4, 320, 26):
        pen.shape(x - 1, 69, x + 9, 50, x + 19, 69, x + 19, 216, x - 1, 216, fill="#9a9a9a")
        pen.shape(x, 70, x + 9, 52, x + 18, 70, x + 18, 215, x, 215, fill="white")
    return pen.image


def umbrella() -> Image:
    pen = Pen("#bcd3e6")
    pen.half_disc(160, 140, 110, "#c22626")
    for k in range(4):
        pen.half_disc(77.5 + k * 55, 140, 27.5, "#bcd3e6")
    for x in (105, 160, 215):
        pen.line(160, 32, x, 140, fill="#801414", width=2)
    pen.line(160, 30, 160, 215, fill="#553311", width=5)
    pen.line(160, 215, 154, 224, 144, 226, 136, 220, fill="#553311", width=5)
    return pen.image


def keyboard() -> Image:
    pen = Pen("#2b2b2b")
    for row in range(6):
        for column in range(13):
            x, y = 4 + column * 24 + (row % 3) * 4, 10 + row * 37
            pen.box(x, y, x + 21, y + 32, "#e6e6e6", 4)
            pen.text(x + 10, y + 15, chr(ord("A") + (row * 13 + column) % 26), 14, "#222222")
    return pen.image


def candle() -> Image:
    pen = Pen("#120a06")
    for radius in range(90, 0, -3):
        glow = (90 - radius) * 2
        pen.disc(160, 70, radius, radius, (min(255, 20 + glow), min(255, 10 + glow // 2), 8))
    pen.box(138, 105, 182, 240, "#e9dfc3")
    pen.line(160, 105, 160, 88, fill="black", width=3)
    pen.shape(160, 35, 175, 78, 160, 95, 145, 78, fill="#ffd34d")
    pen.shape(160, 55, 168, 80, 160, 92, 152, 80, fill="#fff6d0")
    return pen.image


def abacus() -> Image:
    pen, rng = Pen("#6b3e1a"), random.Random(4)
    pen.box(27, 22, 293, 232, "#eeeeee")
    for row in range(7):
        y, left = 42 + row * 28, rng.randint(2, 8)
        pen.line(27, y, 293, y, fill="#999999", width=3)
        for bead in range(10):
            x = 48 + bead * 17 + (86 if bead >= left else 0)
            pen.disc(x, y, 7.5, 11, ("#c0392b", "#2471a3", "#f1c40f", "#239b56")[row % 4], "#333333")
    return pen.image


def balloon() -> Image:
    pen = Pen("#79b8f2")
    pen.line(160, 165, 156, 195, 163, 240, fill="#eeeeee", width=2)
    pen.shape(160, 152, 150, 168, 170, 168, fill="#a81e17")
    for step in range(30):
        pen.disc(160 - step * 0.6, 88 - step, 66 - 2 * step, 74 - 2 * step, (200 + step, 40 + 3 * step, 35 + 3 * step))
    return pen.image


def street_sign() -> Image:
    pen = Pen("#9cc3e4")
    pen.box(152, 180, 168, 240, "#888888")
    for radius, colour in ((92, "white"), (86, "#c1121f")):
        pen.shape(*(p for k in range(8) for p in _round(160, 105, radius, 45 * k + 22.5)), fill=colour)
    pen.text(160, 105, "STOP", 56, "white")
    return pen.image


# sentence -> drawing
DRAWINGS: dict[str, Callable[[], Image]] = {
    "A wall clock shows the time.": clock,
    "A traffic light is red.": traffic_light,
    "The cells of a honeycomb.": honeycomb,
    "A crossword puzzle.": crossword,
    "A spider sits in its web.": spider_web,
    "A white picket fence stands on the grass.": picket_fence,
    "A red umbrella is open.": umbrella,
    "The keys of a keyboard.": keyboard,
    "A candle burns in the dark.": candle,
    "An abacus with coloured beads.": abacus,
    "A balloon floats in the sky.": balloon,
    "A street sign on a pole.": street_sign,
}
