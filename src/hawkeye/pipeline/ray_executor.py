"""Run works on a Ray cluster: decoding on CPUs everywhere, models in actors of their own (on GPUs where there are any).

The steps are those of `work`; only where they run differs. Videos must lie under the same path on every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.work import VideoWork
from hawkeye.pipeline.worker import Worker, single_threaded
from hawkeye.runtime import require

WORKS_PER_BLOCK = 4


def run_ray(works: Iterable[VideoWork], config: InternVidGConfig, num_workers: int) -> Iterator[VideoWork]:
    """Works as they get done. ``num_workers``: how many videos are decoded at a time.

    Joins the cluster that RAY_ADDRESS names, or starts one on this machine. Raises MissingDependency.
    """
    ray = require("ray", "ray")
    data = require("ray.data", "ray")
    listed = list(works)
    if not listed:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    data.DataContext.get_current().enable_progress_bars = False
    num_gpus = int(ray.cluster_resources().get("GPU", 0)) if config.device in ("auto", "cuda") else 0
    num_blocks = max(1, len(listed) // WORKS_PER_BLOCK)
    scanned = data.from_items([{"work": work} for work in listed], override_num_blocks=num_blocks).map(
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
        yield row["work"]


def _pool(data: Any, size: int) -> Any:
    return data.ActorPoolStrategy(min_size=1, max_size=max(1, size))


class _Stage:
    """An actor: it lives as long as the run, with its models loaded."""

    def __init__(self, config: InternVidGConfig) -> None:
        single_threaded().__enter__()  # to the end of the process
        self.worker = Worker(config)


class _Scanner(_Stage):
    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"work": self.worker.scan(row["work"])}


class _Looker(_Stage):
    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"work": self.worker.look(row["work"])}
