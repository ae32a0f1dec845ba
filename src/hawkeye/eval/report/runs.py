"""Runs as a report needs them: what was asked, what was answered, and how good each answer is.

Runs that are compared must be about the same examples; what a run did not answer counts as a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hawkeye.datasets.registry import LoadedDataset, load_dataset
from hawkeye.errors import ConfigError
from hawkeye.eval.blocks import Shard
from hawkeye.eval.conventions import CONVENTIONS
from hawkeye.eval.grounding_score import Arrays, arrays_of, score_grounding
from hawkeye.eval.manifest import FILE
from hawkeye.eval.matching import match
from hawkeye.eval.predictions import Predicted, Predictions, read_predictions
from hawkeye.eval.qa_score import chosen_option, score_qa
from hawkeye.eval.runner import RunSettings
from hawkeye.eval.score import Score
from hawkeye.eval.scoring import load_examples
from hawkeye.eval.session import covered
from hawkeye.records import read_json

OURS = CONVENTIONS["ours"]


@dataclass(frozen=True)
class Run:
    """One run. ``values``: the IoU of each example, or 1 for a right option; ``arrays``: for grounding."""

    name: str
    model: str
    rows: list[Predicted | None]
    values: np.ndarray
    score: Score
    arrays: Arrays | None = None


@dataclass(frozen=True)
class Comparison:
    """Runs on the same examples. ``videos``: where their videos lie, if that is known."""

    name: str  # of the task, or of the data set
    dataset: str
    kind: str
    examples: Sequence[Any]
    runs: list[Run]
    videos: Path | None

    @property
    def groups(self) -> list[str]:
        return [example.video for example in self.examples]


def load_runs(
    paths: Sequence[Path],
    annotations: Sequence[Path] = (),
    dataset: str | None = None,
    options: dict[str, Any] | None = None,
    videos: Path | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Read the runs in ``paths`` (folders of `hawkeye eval`, or, with ``annotations``, any predictions files).

    Raises ConfigError if they are not about the same data, AnnotationError for files that can't be read.
    """
    found = [_source(path) for path in paths]
    if annotations:
        loaded = load_examples(list(annotations), dataset, options)
    else:
        loaded = _remembered(paths, found)
    scored = [e for e in loaded.examples if (e.spans if loaded.kind == "grounding" else e.answer is not None)]
    if not scored:
        raise ConfigError(f"{loaded.name}: no example has a known answer, so there is nothing to report")
    names = _names(paths)
    runs = [
        _run(name, manifest, scored, read_predictions(path), loaded.kind, draws, seed)
        for name, path, manifest in zip(names, paths, found, strict=True)
    ]
    known = next((Path(m["sessions"][-1]["videos"]) for m in found if m), None)
    place = videos or known
    task = next((m["run"]["task"]["name"] for m in found if m), loaded.name)
    return Comparison(task, loaded.name, loaded.kind, scored, runs, place if place and place.is_dir() else None)


def _source(path: Path) -> dict[str, Any] | None:
    return read_json(path / FILE) if (path / FILE).is_file() else None


def _remembered(paths: Sequence[Path], manifests: Sequence[dict[str, Any] | None]) -> LoadedDataset:
    """The examples that the first run is about; the others must be about the same files, and as many of them."""
    about = []
    for path, manifest in zip(paths, manifests, strict=True):
        if manifest is None:
            raise ConfigError(f"{path}: holds no {FILE}: give --annotations to report on a predictions file")
        run = manifest["run"]
        about.append((run["data"], run["task"]["options"], run["limit"], run["shard"]))
    different = next((path for path, data in zip(paths, about, strict=True) if data != about[0]), None)
    if different is not None:
        raise ConfigError(f"{different} is not about the same examples as {paths[0]}: compare runs on the same data")
    first = manifests[0]
    assert first is not None
    run = first["run"]
    annotations = [Path(path) for path in first["sessions"][-1]["annotations"]]
    loaded = load_dataset(run["task"]["dataset"], annotations, **run["task"]["options"])
    files = {Path(path).name: digest for path, digest in loaded.sources.items()}
    if files != run["data"]["files"]:
        raise ConfigError(f"{annotations[0]}: has changed since {paths[0]} was run: give --annotations of that time")
    return covered(loaded, RunSettings(run["limit"], Shard.parse(run["shard"]), run["block"]))


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names; with their parents' where two are the same."""
    short = [path.resolve().name for path in paths]
    if len(set(short)) == len(short):
        return short
    return ["/".join(path.resolve().parts[-2:]) for path in paths]


def _run(
    name: str,
    manifest: dict[str, Any] | None,
    examples: Sequence[Any],
    predictions: Predictions,
    kind: str,
    draws: int,
    seed: int,
) -> Run:
    model = manifest["run"]["model"]["name"] if manifest else f"format {predictions.format}"
    matched = match(examples, predictions)
    if kind == "grounding":
        arrays = arrays_of(examples, matched, OURS)
        turns = manifest["run"]["task"]["max_turns"] if manifest else None
        score = score_grounding(examples, predictions, OURS, max_turns=turns, draws=draws, seed=seed)
        return Run(name, model, matched.rows, arrays.ious, score, arrays)
    right = [chosen_option(row, example) == example.answer for row, example in zip(matched.rows, examples, strict=True)]
    score = score_qa(examples, predictions, draws=draws, seed=seed)
    return Run(name, model, matched.rows, np.array(right, dtype=float), score)
