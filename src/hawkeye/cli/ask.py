"""``hawkeye ask VIDEO QUESTION``: multiple choice, or an answer in the model's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hawkeye.cli.common import DeviceOption, DtypeOption, ModelOption, WeightsOption, choose_model


def command(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of pictures.")],
    question: Annotated[str, typer.Argument(help="What to ask.")],
    options: Annotated[
        list[str] | None, typer.Option(help="Answers to choose from: 'He sat|He left', or give it several times.")
    ] = None,
    start: Annotated[float | None, typer.Option(help="Look from this second on.")] = None,
    end: Annotated[float | None, typer.Option(help="Look up to this second.")] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Also find when it happens.")] = False,
    model: ModelOption = None,
    weights: WeightsOption = None,
    num_frames: Annotated[
        int | None, typer.Option(help="Frames to look at; default: as the model was made for.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Length of a free answer, at most.")] = 100,
    decoding: Annotated[str, typer.Option(help="best, or exact (the reference's greedy decoding).")] = "best",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Ask a question about a video."""
    from hawkeye.qa import ask, check_options, check_question

    texts = check_options([text for given in options or [] for text in given.split("|")])
    check_question(question)
    loaded = choose_model(model, weights, device, dtype, decoding)
    reply = ask(loaded, video, question, texts, start, end, num_frames, evidence, max_new_tokens)
    if as_json:
        typer.echo(json.dumps(reply.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    typer.echo(reply.text or "(a reply that names none of the options)")
    for i, (line, chance) in enumerate(zip(reply.options, reply.probabilities, strict=True)):
        typer.echo(f"  {'*' if i == reply.index else ' '} {chance:6.1%}  {line}")
    if reply.evidence is not None:
        typer.echo(f"evidence: {reply.evidence}")
