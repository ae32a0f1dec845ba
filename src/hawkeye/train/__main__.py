"""``torchrun --nproc-per-node N -m hawkeye.train CONFIG [key=value ...]``: one of the processes that torchrun starts.

Only rank 0 speaks, a line at each logged step. Exit codes are those of the command line.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hawkeye.errors import ConfigError, HawkEyeError
from hawkeye.train.config import TrainConfig
from hawkeye.train.meters import Progress

log = logging.getLogger("hawkeye.train")


def listen(progress: Progress) -> None:
    if progress.values:
        values = "  ".join(f"{name} {value:.4g}" for name, value in progress.values.items())
        log.info("step %d/%d  %s", progress.step, progress.total_steps, values)


def main(arguments: list[str]) -> int:
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        if not arguments or arguments[0].startswith("-"):
            raise ConfigError("usage: torchrun --nproc-per-node N -m hawkeye.train CONFIG [key=value ...]")
        config = TrainConfig.from_yaml(Path(arguments[0]), arguments[1:])
        from hawkeye.train.evaluation import grounding_evaluation
        from hawkeye.train.loop import train

        evaluate = grounding_evaluation(config.evaluation, config.seed) if config.evaluation else None
        result = train(config, listen, evaluate)
    except HawkEyeError as error:
        log.error("hawkeye: %s", error)
        return 2 if isinstance(error, ConfigError) else 1
    for problem, count in result.unreadable.items():
        log.info("unreadable, replaced %d times: %s", count, problem)
    log.info("stopped after step %d; run it again to go on" if result.stopped else "done: %d steps", result.step)
    return 130 if result.stopped else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
