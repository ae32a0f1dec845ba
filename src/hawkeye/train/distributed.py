"""One process or many: who this process is, and the few sums that ranks must agree on.

Started by ``torchrun``; without it there is one process and nothing here does anything. Wrapping of the model for several
processes is here too, so that the loop reads the same in all cases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn

from hawkeye.errors import ConfigError
from hawkeye.runtime import pick_device


@dataclass(frozen=True)
class World:
    """This process among all. ``rank`` 0 writes files; every rank computes."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of ``values`` over all processes, the same on each."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in the order of ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_world(device: str = "auto") -> Iterator[World]:
    """The processes that torchrun started, joined for the time of the block. Raises ConfigError for a missing device."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    picked = pick_device(device)
    if size == 1:
        yield World(0, 1, picked)
        return
    if picked.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local} of this machine has no GPU: torchrun --nproc-per-node may be at most "
                f"{torch.cuda.device_count()} here"
            )
        picked = torch.device("cuda", local)
        torch.cuda.set_device(picked)
    began = not dist.is_initialized()
    if began:
        dist.init_process_group("nccl" if picked.type == "cuda" else "gloo")
    try:
        yield World(rank, size, picked)
    finally:
        if began:
            dist.destroy_process_group()


def wrap(model: nn.Module, world: World, parallel: Literal["ddp", "fsdp"], layers: list[nn.Module]) -> nn.Module:
    """The model as several processes train it: copies with summed gradients, or (fsdp) shards of every weight.

    ``layers``: the repeated blocks; each is gathered on its own just before it is used.
    """
    if world.size == 1:
        return model
    if parallel == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        # Buffers are constants here, so there is nothing to broadcast before each forward pass.
        places = [world.device] if world.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=places, broadcast_buffers=False, gradient_as_bucket_view=True)
    from torch.distributed.fsdp import fully_shard

    for layer in layers:
        fully_shard(layer)
    fully_shard(model)  # in place: the model gets another class
    return model


def unsynced(model: nn.Module, last: bool) -> Any:
    """For the micro-batches of one step: gradients travel between processes only with the last."""
    if isinstance(model, nn.parallel.DistributedDataParallel) and not last:
        return model.no_sync()
    if hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(last)  # type: ignore[operator]
    return nullcontext()
