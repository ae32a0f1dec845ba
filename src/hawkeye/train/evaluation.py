"""Grounding of a few examples while training goes on, through the real `Grounder`; the processes share the examples.

It counts what the field counts (mean IoU, recall at three IoUs, failures as misses) and nothing more: tables, intervals
and conventions are the evaluation's business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from hawkeye.datasets.registry import load_dataset
from hawkeye.datasets.videos import resolve_video
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.source import Request
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.records import GroundingExample
from hawkeye.train.config import EvaluationConfig
from hawkeye.train.distributed import World

RECALLS = (0.3, 0.5, 0.7)


def load_examples(config: EvaluationConfig, seed: int) -> list[GroundingExample]:
    """The examples to ground, the same on every rank and at every time; neighbours are about one video."""
    loaded = load_dataset(config.dataset, config.annotations, **config.options)
    if loaded.kind != "grounding":
        raise ConfigError(f"evaluation.dataset: {config.dataset} has no sentences to ground")
    examples = [example for example in loaded.examples if example.spans]
    if not examples:
        raise AnnotationError(f"{config.annotations}: no example has a true span")
    random.Random(f"{seed}\nevaluation").shuffle(examples)
    return sorted(examples[: config.examples], key=lambda example: (example.video, example.id))


def grounding_evaluation(config: EvaluationConfig, seed: int) -> Callable[[HawkEye, World], dict[str, float]]:
    """An evaluation for `loop.train`. Raises AnnotationError before training if an annotation or video isn't there."""
    examples = load_examples(config, seed)
    paths = [resolve_video(example, config.videos) for example in examples]

    def evaluate(model: HawkEye, world: World) -> dict[str, float]:
        own = list(zip(examples, paths, strict=True))[world.rank :: world.size]
        grounder = Grounder(model, max_turns=config.max_turns, seed=seed)
        ious = ground_examples(grounder, own)
        return summarise([iou for part in world.gather(ious) for iou in part])

    return evaluate


def ground_examples(grounder: Grounder, examples: Sequence[tuple[GroundingExample, Path]]) -> list[float]:
    """The highest IoU of each answer with a true span; 0 where there is no answer."""
    spans = {example.id: example.spans for example, _ in examples}
    requests = [Request(path, example.query, example.id) for example, path in examples]
    return [
        max((result.span.iou(true) for true in spans[request.id]), default=0.0) if result.span else 0.0
        for request, result in grounder.ground_many(requests)
    ]


def summarise(ious: Sequence[float]) -> dict[str, float]:
    """mIoU and R@IoU, as shares of 1."""
    count = max(1, len(ious))
    return {
        "mIoU": sum(ious) / count,
        **{f"R@{level}": sum(iou >= level for iou in ious) / count for level in RECALLS},
        "examples": float(len(ious)),
    }
