"""From a task's name to a finished, scored run: what `hawkeye eval TASK` and a script of one's own both call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hawkeye.datasets.registry import LoadedDataset, load_dataset
from hawkeye.errors import ConfigError
from hawkeye.eval.blocks import make_blocks
from hawkeye.eval.manifest import describe_model, prompt_text
from hawkeye.eval.runner import OnRow, RunSettings, RunSummary, run
from hawkeye.eval.score import Score
from hawkeye.eval.scoring import score_examples
from hawkeye.eval.tables import score_markdown
from hawkeye.eval.tasks import EvalTask
from hawkeye.eval.work import Work, make_work
from hawkeye.records import atomic_write
from hawkeye.version import __version__

SCORE, SCORE_TABLE = "score.json", "score.md"
DEFAULT_FOLDER = Path("data/annotations")


@dataclass(frozen=True)
class ModelChoice:
    """The model that answers, and how it was asked for (for the manifest)."""

    model: Any
    asked: str | None = None
    weights: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # dtype, decoding


@dataclass(frozen=True)
class Session:
    """One task on one model."""

    task: EvalTask
    loaded: LoadedDataset
    work: Work
    identity: dict[str, Any]
    seed: int


def read_annotations(task: EvalTask) -> LoadedDataset:
    """The task's examples. Raises ConfigError, AnnotationError."""
    return load_dataset(task.dataset, _annotation_paths(task), **task.options)


def _annotation_paths(task: EvalTask) -> list[Path]:
    if task.annotations is not None:
        return task.annotations if isinstance(task.annotations, list) else [task.annotations]
    usual = DEFAULT_FOLDER / task.dataset.replace("-", "_")
    if not usual.exists():
        raise ConfigError(f"task {task.name} needs its annotations: give --annotations (looked for {usual})")
    return [usual]


def prepare(task: EvalTask, loaded: LoadedDataset, choice: ModelChoice, seed: int = 0, batch_size: int = 16) -> Session:
    """Set up what will be asked of the model. Raises ConfigError for settings that can't be."""
    work = make_work(task, loaded.kind, choice.model, seed, batch_size)
    identity = {
        "task": task.model_dump(mode="json", exclude={"annotations", "videos", "about"}),
        "data": {
            "examples": len(loaded.examples),
            "files": {Path(path).name: digest for path, digest in loaded.sources.items()},
        },
        "model": describe_model(choice.model, choice.asked, choice.weights, **choice.settings),
        "num_frames": task.num_frames or choice.model.num_frames,
        "strategy": work.strategy,
        "seed": seed,
        "batch_size": batch_size,
        "prompt": prompt_text(),
        "hawkeye": __version__,
    }
    return Session(task, loaded, work, identity, seed)


def evaluate(
    session: Session, videos: Path, out: Path, settings: RunSettings | None = None, on_row: OnRow | None = None
) -> RunSummary:
    """Run (or go on with) the task; rows are in ``out``/predictions.jsonl."""
    settings = settings or RunSettings()
    notes = {"annotations": [str(path.resolve()) for path in _annotation_paths(session.task)]}
    return run(session.work, session.loaded.examples, videos, out, session.identity, settings, on_row, notes)


def score_run(
    session: Session, out: Path, settings: RunSettings | None = None, *, train: Any = (), draws: int = 1000
) -> Score:
    """Score what the run covers, and write score.json and score.md beside it."""
    settings = settings or RunSettings()
    loaded = covered(session.loaded, settings)
    turns = session.task.max_turns if session.work.strategy == "recursive" else None
    score = score_examples(loaded, out, max_turns=turns, train=train, draws=draws, seed=session.seed)
    write_score(score, out)
    return score


def has_truth(loaded: LoadedDataset) -> bool:
    """Whether a single example says what is right: the test splits of some benchmarks keep it to themselves."""
    return any(e.spans if loaded.kind == "grounding" else e.answer is not None for e in loaded.examples)


def covered(loaded: LoadedDataset, settings: RunSettings) -> LoadedDataset:
    """The examples that a run with these settings is about."""
    blocks = make_blocks(loaded.examples, settings.limit, settings.shard, settings.block)
    return replace(loaded, examples=tuple(e for block in blocks for _, members in block for e in members))


def write_score(score: Score, folder: Path) -> None:
    with atomic_write(folder / SCORE) as file:
        json.dump(score.to_dict(), file, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(folder / SCORE_TABLE) as file:
        file.write(score_markdown(score, folder.name))
