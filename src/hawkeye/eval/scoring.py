"""One call from files to a score: the annotations, the predictions, and the right scorer for their kind."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.datasets.registry import LoadedDataset, find_dataset, load_dataset
from hawkeye.errors import ConfigError
from hawkeye.eval import grounding_score, qa_score
from hawkeye.eval.bootstrap import DRAWS
from hawkeye.eval.conventions import Convention, find_convention
from hawkeye.eval.guess import guess_dataset
from hawkeye.eval.metrics import pack_spans
from hawkeye.eval.predictions import read_predictions
from hawkeye.eval.score import Score, ScoreRow


def load_examples(
    annotations: Path | Sequence[Path], dataset: str | None = None, options: dict[str, Any] | None = None
) -> LoadedDataset:
    """Read annotations; the data set is guessed from the (first) file if not named."""
    first = annotations if isinstance(annotations, Path) else annotations[0]
    return load_dataset(dataset or guess_dataset(first), annotations, **(options or {}))


def load_training(annotations: Path, dataset: str, options: dict[str, Any]) -> LoadedDataset:
    """The training split of a data set: with ``split=train`` where its reader knows splits."""
    module, function = find_dataset(dataset).reader.split(":")
    knows_splits = "split" in inspect.signature(getattr(import_module(module), function)).parameters
    return load_dataset(dataset, annotations, **(options | {"split": "train"} if knows_splits else options))


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
    how: dict[str, Any] = {"draws": draws, "seed": seed}
    if loaded.kind == "grounding":
        return grounding_score.score_grounding(loaded.examples, rows, rule, max_turns=max_turns, train=train, **how)
    if loaded.kind == "qa":
        return qa_score.score_qa(loaded.examples, rows, **how)
    raise ConfigError(f"data set {loaded.name} holds {loaded.kind} items: there is nothing to score")


def reference_points(
    loaded: LoadedDataset, max_turns: int | None = None, train: Sequence[Any] = (), seed: int = 0
) -> list[ScoreRow]:
    """What can be said of a data set before any model has run. Raises ConfigError if nothing can."""
    if loaded.kind == "grounding":
        examples = [example for example in loaded.examples if example.spans]
        durations = np.array([example.duration or np.nan for example in examples], dtype=float)
        gold = pack_spans([example.spans for example in examples])
        rows = grounding_score.reference_rows(gold, durations, max_turns or 4, train, seed) if examples else []
    else:
        answered = [example for example in loaded.examples if getattr(example, "answer", None) is not None]
        rows = qa_score.reference_rows(answered) if answered else []
    if not rows:
        raise ConfigError(f"{loaded.name}: no true spans with durations and no answers: there are no reference points")
    return rows
