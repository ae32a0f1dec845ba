"""Training, top to bottom: set up, go on from the last checkpoint, step, log, evaluate, save, export.

N processes with a batch of B learn what one process with N x B does. A run that is killed and started again gives the
same weights as one that was not (bit by bit on a CPU). Drawing progress, reading YAML and printing are the caller's
business; how one step works is in `run`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.train import checkpoints
from hawkeye.train.config import TrainConfig
from hawkeye.train.distributed import World, join_world
from hawkeye.train.export import export
from hawkeye.train.meters import Clock, Losses, Progress, Step, peak_memory
from hawkeye.train.run import Run
from hawkeye.train.states import own_generators
from hawkeye.train.trackers import Tracker, open_trackers

Listener = Callable[[Progress], None]
Evaluate = Callable[[HawkEye, World], dict[str, float]]


@dataclass(frozen=True)
class Result:
    """How a run ended. ``stopped``: a signal asked for it, and the run can be resumed."""

    output: Path
    step: int
    total_steps: int
    values: dict[str, float]  # as last logged
    stopped: bool = False
    skipped: int = 0  # steps left out because their loss was not finite
    unreadable: dict[str, int] = field(default_factory=dict)  # items that were replaced: what was wrong -> how often
    best: dict[str, Any] | None = None
    exported: Path | None = None


def train(config: TrainConfig, listen: Listener | None = None, evaluate: Evaluate | None = None) -> Result:
    """Run, or go on with, the training that ``config`` describes.

    ``evaluate`` is called every ``evaluation.every_steps`` steps on every rank, with the model in evaluation mode. Raises
    ConfigError, AnnotationError or CheckpointError before the first step, ModelError for a loss that is not finite.
    """
    with join_world(config.device) as world, own_generators(config.seed, world), stop_signals() as asked_to_stop:
        run = Run(config, world)
        run.resume()
        trackers: list[Tracker] = []
        if world.first:
            settings = config.model_dump(mode="json")
            trackers = open_trackers(config.output, config.log.trackers, config.log.project, settings, run.step)
        clock, logged, stopped, began = Clock(), {}, False, time.perf_counter()

        for loaded in run.batches():
            step = run.take(loaded, began, asked_to_stop())
            began = time.perf_counter()
            clock.add(step)
            stopped = step.stop
            last = stopped or run.step == run.total_steps

            values: dict[str, float] = {}
            if last or run.step % config.log.every_steps == 0:
                values = logged = _values(run, step, clock)
                clock = Clock()
            best = False
            if evaluate and config.evaluation and (run.step % config.evaluation.every_steps == 0 or last):
                run.model.eval()
                scores = evaluate(run.model, world)
                run.model.train()
                values = logged = {**(values or logged), **{f"eval/{name}": value for name, value in scores.items()}}
                best = _is_best(config, scores)
            for tracker in trackers if values else []:
                tracker.log(run.step, values)

            every = config.checkpoint.every_steps or run.plan.steps_per_epoch
            if last or best or run.step % every == 0:
                folder = run.save()
                if world.first:
                    if best and config.evaluation:
                        checkpoints.mark_best(config.output, folder, config.evaluation.metric, values)
                    checkpoints.prune(config.output, config.checkpoint.keep)
            if listen and world.first:
                listen(_progress(run, step, values))
            if stopped:
                break

        for tracker in trackers:
            tracker.close()
        unreadable = run.all_unreadable()
        exported = None if stopped else export(run.model, config, world)
        best_so_far = checkpoints.best_of(config.output)
        return Result(
            config.output, run.step, run.total_steps, logged, stopped, run.skipped, unreadable, best_so_far, exported
        )


def _values(run: Run, step: Step, clock: Clock) -> dict[str, float]:
    """What is logged, of the steps since the last time. Starts the sums anew."""
    values = Losses.values(run.losses.names, run.world.sum(run.losses.sums.clone()))
    run.losses.sums.zero_()
    return {
        **values,
        "epoch": run.step / run.plan.steps_per_epoch,
        "lr": step.lr,
        "grad_norm": step.grad_norm,
        "samples_per_second": clock.samples / clock.seconds,
        "tokens_per_second": clock.tokens / clock.seconds,
        "waiting_share": clock.waited / clock.seconds,
        "memory_gib": peak_memory(run.world.device),
        "skipped": run.skipped,
        "unreadable": sum(run.unreadable.values()),
    }


def _progress(run: Run, step: Step, values: dict[str, float]) -> Progress:
    return Progress(
        run.step, run.total_steps, run.step / run.plan.steps_per_epoch, step, peak_memory(run.world.device), values
    )


def _is_best(config: TrainConfig, scores: dict[str, float]) -> bool:
    assert config.evaluation is not None
    best = checkpoints.best_of(config.output)
    value = scores[config.evaluation.metric]
    return best is None or best["metric"] != config.evaluation.metric or value > best["value"]


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within the block, the first Ctrl-C or SIGTERM asks for a checkpoint and an end; a second Ctrl-C ends at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: Any) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
