"""``hawkeye score``: predictions, ours or other people's, against the official annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hawkeye.errors import ConfigError


def command(
    predictions: Annotated[
        Path | None,
        typer.Argument(
            help="A predictions file of any known format, or a run's folder. Left out: reference points only."
        ),
    ] = None,
    annotations: Annotated[
        list[Path], typer.Option("--annotations", "-a", help="Official file or folder; may be repeated.")
    ] = ...,  # pyright: ignore[reportArgumentType]
    dataset: Annotated[str | None, typer.Option(help="Data set; told by the file if not given.")] = None,
    option: Annotated[
        list[str], typer.Option("--option", "-o", help="KEY=VALUE for the reader, such as split=val_1.")
    ] = [],  # noqa: B006
    convention: Annotated[str, typer.Option(help="ours, hawkeye, lmms-eval or vtimellm.")] = "ours",
    train: Annotated[
        Path | None, typer.Option(help="Training split of the same data set: adds its priors to the reference points.")
    ] = None,
    max_turns: Annotated[int | None, typer.Option(help="Turns to show; default: as many as the run took.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the 95 % intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The score as one JSON object on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON object here.")] = None,
) -> None:
    """Score predictions against the official annotations, with error bars and reference points."""
    from hawkeye.eval.scoring import load_examples, load_training, reference_points, score_examples
    from hawkeye.eval.tables import score_markdown, score_table
    from hawkeye.records import atomic_write

    options = parse_options(option)
    loaded = load_examples(annotations if len(annotations) > 1 else annotations[0], dataset, options)
    trained = load_training(train, loaded.name, options).examples if train else ()
    if predictions is None:
        typer.echo(score_table(loaded.name, reference_points(loaded, max_turns, trained, seed)))
        return
    score = score_examples(loaded, predictions, convention, max_turns=max_turns, train=trained, draws=draws, seed=seed)
    if as_json:
        typer.echo(json.dumps(score.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(score_markdown(score, predictions.name), nl=False)
        for what, count in {**loaded.dropped, **loaded.noted}.items():
            typer.echo(f"annotations: {count} x {what}", err=True)
    if out:
        with atomic_write(out) as file:
            json.dump(score.to_dict(), file, ensure_ascii=False, allow_nan=False, indent=1)


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """``["split=val_1"]`` -> ``{"split": "val_1"}``. Raises ConfigError."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"--option {pair!r}: expected KEY=VALUE, such as split=val_1")
        options[key] = value
    return options
