"""Run works on a Ray cluster: decoding on CPUs everywhere, models in actors of their own (on GPUs where there are any).

The steps are those of `work`; only where they run differs. Videos must lie under the same path on every node.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.work import VideoWork
from hawkeye.pipeline.worker import Worker, single_threaded
from hawkeye.runtime import require

MAX_BLOCKS = 10_000


def run_ray(works: Iterable[VideoWork], config: InternVidGConfig, num_workers: int) -> Iterator[VideoWork]:
    """Works as they get done. ``num_workers``: how many videos are decoded at a time.

    Joins the cluster that RAY_ADDRESS names, or starts one on this machine. Raises MissingDependency.
    """
    ray = require("ray", "ray")
    data = require("ray.data", "ray")
    rows = [_pack(work) for work in works]
    if not rows:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)
    data.DataContext.get_current().enable_progress_bars = False
    num_gpus = int(ray.cluster_resources().get("GPU", 0)) if config.device in ("auto", "cuda") else 0
    # A row a block, so that a row is handed on as soon as it is done.
    scanned = data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS)).map(
        _Scanner, fn_constructor_args=(config,), compute=_pool(data, num_workers), num_cpus=1
    )
    looked = scanned.map(
        _Looker,
        fn_constructor_args=(config,),
        compute=_pool(data, num_gpus or num_workers),
        num_cpus=1,
        num_gpus=1 if num_gpus else 0,
    )
    for row in looked.iter_rows():
        yield _unpack(row)


def _pack(work: VideoWork) -> dict[str, bytes]:
    """A work as an Arrow value."""
    return {"work": pickle.dumps(work)}


def _unpack(row: dict[str, bytes]) -> VideoWork:
    return pickle.loads(row["work"])


def _pool(data: Any, size: int) -> Any:
    return data.ActorPoolStrategy(min_size=1, max_size=max(1, size))


class _Stage:
    """An actor: it lives as long as the run, with its models loaded."""

    def __init__(self, config: InternVidGConfig) -> None:
        single_threaded().__enter__()  # to the end of the process
        self.worker = Worker(config)


class _Scanner(_Stage):
    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return _pack(self.worker.scan(_unpack(row)))


class _Looker(_Stage):
    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return _pack(self.worker.look(_unpack(row)))
