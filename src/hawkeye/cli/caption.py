"""``hawkeye caption VIDEO``: what happens in it, or in a part of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hawkeye.cli.common import DeviceOption, DtypeOption, ModelOption, WeightsOption, choose_model


def command(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of pictures.")],
    start: Annotated[float | None, typer.Option(help="Look from this second on.")] = None,
    end: Annotated[float | None, typer.Option(help="Look up to this second.")] = None,
    where: Annotated[
        str | None, typer.Option(help="beginning, middle, end or throughout: the part to describe.")
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    num_frames: Annotated[
        int | None, typer.Option(help="Frames to look at; default: as the model was made for.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Length of the caption, at most.")] = 100,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Describe a video or a part of it."""
    from hawkeye.choices import Choice
    from hawkeye.errors import ConfigError
    from hawkeye.qa import caption

    if where is not None and where not in tuple(Choice):
        raise ConfigError(f"--where is {where!r}: expected {', '.join(Choice)}")
    reply = caption(choose_model(model, weights, device, dtype), video, start, end, where, num_frames, max_new_tokens)
    typer.echo(json.dumps(reply.to_dict(), ensure_ascii=False, allow_nan=False) if as_json else reply.text)
