"""``hawkeye convert SOURCE... OUT_DIR``: published weights into one folder that loads quickly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hawkeye.cli.common import say
from hawkeye.errors import ConfigError


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE... OUT_DIR",
            help="Weight files, a LLaMA folder, or a folder with hawkeye.pth and vicuna-7b-v0/; last the folder to write.",
        ),
    ],
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of configs/model/; default: the paper's model.")
    ] = None,
    bert_vocab: Annotated[
        Path | None, typer.Option(help="BERT's vocab.txt; default: the one that is installed.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="stored, float32, bfloat16, float16")] = "stored",
    fresh: Annotated[str, typer.Option(help="Parts that may be missing, to be trained: lora,extra_query_tokens")] = "",
    ignore: Annotated[list[str] | None, typer.Option(help="Tensors to leave out, such as 'vision_proj.*'.")] = None,
) -> None:
    """Convert published weights into a model folder."""
    if len(paths) < 2:
        raise ConfigError(f"only {paths[0]} is given: expected SOURCE... OUT_DIR")

    from hawkeye.models.hawkeye.config import HawkEyeConfig
    from hawkeye.models.hawkeye.convert import convert
    from hawkeye.runtime import DTYPES

    if dtype not in ("stored", *DTYPES[1:]):
        raise ConfigError(f"--dtype is {dtype!r}: expected stored, {', '.join(DTYPES[1:])}")
    import torch

    report, warnings = convert(
        paths[:-1],
        paths[-1],
        config=HawkEyeConfig.from_yaml(config) if config else None,
        bert_vocab=bert_vocab,
        dtype=None if dtype == "stored" else getattr(torch, dtype),
        fresh=[part for part in fresh.split(",") if part],
        ignore=ignore or [],
    )
    typer.echo(str(report))
    for warning in warnings:
        say(f"warning: {warning}")
    typer.echo(f"wrote {paths[-1]}: use it with  hawkeye ground VIDEO QUERY --model {paths[-1]}")
