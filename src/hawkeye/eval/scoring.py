"""One call from files to a score: the annotations, the predictions, and the right scorer for their kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hawkeye.datasets.registry import LoadedDataset, load_dataset
from hawkeye.errors import ConfigError
from hawkeye.eval.bootstrap import DRAWS
from hawkeye.eval.conventions import Convention, find_convention
from hawkeye.eval.grounding_score import score_grounding
from hawkeye.eval.guess import guess_dataset
from hawkeye.eval.predictions import read_predictions
from hawkeye.eval.qa_score import score_qa
from hawkeye.eval.score import Score


def load_examples(
    annotations: Path | Sequence[Path], dataset: str | None = None, options: dict[str, Any] | None = None
) -> LoadedDataset:
    """Read annotations; the data set is guessed from the (first) file if not named."""
    first = annotations if isinstance(annotations, Path) else annotations[0]
    return load_dataset(dataset or guess_dataset(first), annotations, **(options or {}))


def score_examples(
    loaded: LoadedDataset,
    predictions: Path,
    convention: Convention | str = "ours",
    *,
    max_turns: int | None = None,
    train: Sequence[Any] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> Score:
    """Score a predictions file (or the folder of a run) on loaded annotations. Raises AnnotationError, ConfigError."""
    rule = find_convention(convention) if isinstance(convention, str) else convention
    rows = read_predictions(predictions)
    if loaded.kind == "grounding":
        return score_grounding(loaded.examples, rows, rule, max_turns=max_turns, train=train, draws=draws, seed=seed)
    if loaded.kind == "qa":
        return score_qa(loaded.examples, rows, draws=draws, seed=seed)
    raise ConfigError(f"data set {loaded.name} holds {loaded.kind} items: there is nothing to score")
