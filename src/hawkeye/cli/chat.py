"""``hawkeye chat VIDEO``: questions from the keyboard (or a pipe), one a line, until the end of input or "exit"."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hawkeye.cli.common import DeviceOption, DtypeOption, ModelOption, WeightsOption, choose_model, say


def command(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of pictures.")],
    start: Annotated[float | None, typer.Option(help="Look from this second on.")] = None,
    end: Annotated[float | None, typer.Option(help="Look up to this second.")] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    num_frames: Annotated[
        int | None, typer.Option(help="Frames to look at; default: as the model was made for.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Length of a reply, at most.")] = 100,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
) -> None:
    """Talk about a video."""
    from hawkeye.qa import Chat, seen

    loaded = choose_model(model, weights, device, dtype)
    with seen(loaded, video, start, end, num_frames) as view:
        chat = Chat(loaded, view, max_new_tokens)
        if sys.stdin.isatty():
            say(
                f"{view.reader.info.path.name}, {view.window.start:.1f} to {view.window.end:.1f} s. Ask; end with: exit"
            )
        for line in sys.stdin:
            if line.strip().lower() in ("exit", "quit"):
                break
            if line.strip():
                typer.echo(chat.say(line))
