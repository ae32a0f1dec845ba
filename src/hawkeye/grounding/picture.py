"""Results as a picture: the whole video as a filmstrip, each turn's window under it, and the span that was found.

Drawn with Pillow alone, so that it needs no extra. For the interactive timeline see the demo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hawkeye.grounding.result import GroundingResult
from hawkeye.spans import Span
from hawkeye.video.reader import open_video, read_at

WIDTH, MARGIN, LABEL, STRIP, ROW = 1200, 24, 110, 84, 26
INK, MUTED, PAPER, TRACK = "#1b1f24", "#6a737d", "#ffffff", "#eaeef2"
TURN_COLORS = ("#cfe3fb", "#9cc8f7", "#5fa5ee", "#2f7fd6", "#1a5fb0", "#0f4585")
FOUND, OTHER, CURVE = "#d9480f", "#f5b38d", "#7048e8"


def draw_results(video: str | Path, results: Sequence[GroundingResult]) -> Image.Image:
    """An RGB picture, 1200 pixels wide. All ``results`` must be about ``video`` and have a span. Raises VideoError."""
    duration = results[0].duration or 0.0
    heights = [_height(result) for result in results]
    image = Image.new("RGB", (WIDTH, MARGIN * 2 + STRIP + 30 + sum(heights)), PAPER)
    draw = ImageDraw.Draw(image)
    left, width = MARGIN + LABEL, WIDTH - 2 * MARGIN - LABEL
    _filmstrip(image, video, left, MARGIN, width, duration)
    _ruler(draw, left, MARGIN + STRIP, width, duration)
    top = MARGIN + STRIP + 30
    for result, height in zip(results, heights, strict=True):
        _result(draw, result, left, top, width, duration)
        top += height
    return image


def _height(result: GroundingResult) -> int:
    rows = len(result.turns) + 1 + bool(result.curve) * 2
    return 44 + rows * ROW + 14


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _filmstrip(image: Image.Image, video: str | Path, left: int, top: int, width: int, duration: float) -> None:
    """As many pictures as fit side by side, each taken at the time its middle stands for."""
    with open_video(video) as reader:
        aspect = reader.info.width / reader.info.height
        count = max(1, min(24, round(width / (STRIP * min(max(aspect, 0.5), 2.5)))))
        frames = read_at(reader, [(i + 0.5) * duration / count for i in range(count)], short_side=STRIP * 2)
    for i in range(count):
        x, end = left + i * width // count, left + (i + 1) * width // count
        picture = Image.fromarray(frames.pixels[i].permute(1, 2, 0).numpy())
        image.paste(_cover(picture, end - x - 1, STRIP), (x, top))


def _cover(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled and cropped about its centre to exactly this size."""
    scale = max(width / picture.width, height / picture.height)
    size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    x, y = (size[0] - width) // 2, (size[1] - height) // 2
    return picture.resize(size).crop((x, y, x + width, y + height))


def _ruler(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, duration: float) -> None:
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800) if duration / s <= 12), 3600)
    for i in range(int(duration // step) + 1):
        x = left + width * i * step / duration
        draw.line((x, top + 2, x, top + 7), fill=MUTED)
        draw.text((x, top + 9), f"{i * step} s", fill=MUTED, font=_font(12), anchor="ma")


def _result(
    draw: ImageDraw.ImageDraw, result: GroundingResult, left: int, top: int, width: int, duration: float
) -> None:
    draw.text((MARGIN, top + 14), _shorten(result.query, 110), fill=INK, font=_font(18))
    y = top + 44
    for number, turn in enumerate(result.turns):
        probability = math.exp(turn.log_probs[turn.options.index(turn.choice)])
        label, text = f"turn {number + 1}", f"{turn.choice} {probability:.0%}"
        color = TURN_COLORS[min(number, len(TURN_COLORS) - 1)]
        _bar(draw, turn.window, left, y, width, duration, color, label, text)
        y += ROW
    if result.curve:
        _curve(draw, result, left, y, width, duration)
        y += ROW * 2
    for other in result.spans[1:]:
        _bar(draw, other.span, left, y, width, duration, OTHER)
    assert result.span is not None
    note = f"{result.span.start:.1f} - {result.span.end:.1f} s" + (
        "" if result.found else "  (probably not in this video)"
    )
    _bar(draw, result.span, left, y, width, duration, FOUND, "found", note, track=len(result.spans) < 2)


def _bar(
    draw: ImageDraw.ImageDraw,
    span: Span,
    left: int,
    y: int,
    width: int,
    duration: float,
    color: str,
    label: str = "",
    text: str = "",
    track: bool = True,
) -> None:
    if track:
        draw.rectangle((left, y + 3, left + width, y + ROW - 5), fill=TRACK)
    x0 = left + width * span.start / duration
    x1 = max(x0 + 2, left + width * min(span.end / duration, 1.0))
    draw.rectangle((x0, y + 3, x1, y + ROW - 5), fill=color)
    draw.text((MARGIN, y + 4), label, fill=MUTED, font=_font(14))
    if text:
        font = _font(13)
        length = draw.textlength(text, font=font)
        x = x1 + 8 if x1 + 8 + length < left + width else x0 - 8 - length
        if x < left:  # the bar fills the line: write on it
            x = x0 + 8
        draw.text((x, y + 4), text, fill=INK, font=font)


def _curve(
    draw: ImageDraw.ImageDraw, result: GroundingResult, left: int, top: int, width: int, duration: float
) -> None:
    values = [value for _, value in result.curve]
    low, high = min(values), max(values)
    height = ROW * 2 - 8
    draw.rectangle((left, top + 2, left + width, top + 2 + height), fill=TRACK)
    points = [
        (left + width * min(t / duration, 1.0), top + 2 + height * (1 - (v - low) / ((high - low) or 1)))
        for t, v in result.curve
    ]
    if len(points) > 1:
        draw.line(points, fill=CURVE, width=2, joint="curve")
    draw.text((MARGIN, top + ROW - 12), "score", fill=MUTED, font=_font(14))


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "..."
