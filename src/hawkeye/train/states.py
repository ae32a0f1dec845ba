"""Weights, optimizer and generators as plain CPU values by name, and back; whole also where FSDP holds only shards.

Every rank must call these, because shards are gathered from all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from hawkeye.errors import CheckpointError
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.runtime import seed_for
from hawkeye.train.distributed import World


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """What is trained, by parameter name."""
    return {name: _whole(p.detach()) for name, p in model.named_parameters() if p.requires_grad}


def whole_weights(model: HawkEye) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter under its plain name, gathered one at a time; every rank must walk through it if there are shards."""
    return ((name, _whole(parameter.detach())) for name, parameter in model.plain_parameters())


@torch.no_grad()
def load_trained_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Raises CheckpointError if names or shapes are not those of what this model trains."""
    wanted = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name in [*wanted, *weights]:
        if name not in weights or name not in wanted:
            side = "the checkpoint lacks" if name not in weights else "this model doesn't train"
            raise CheckpointError(f"the checkpoint is of another model: {side} {name}")
        if wanted[name].shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)} in the checkpoint, {tuple(wanted[name].shape)} here"
            raise CheckpointError(f"the checkpoint is of another model: {name} is {shapes}")
    for name, parameter in wanted.items():
        parameter.copy_(_like(weights[name], parameter))


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """``{parameter name: {"step", "exp_avg", "exp_avg_sq"}}``; groups and rates come from the config."""
    return {
        name: {key: _whole(value) for key, value in optimizer.state[parameter].items()}
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        if parameter in optimizer.state
    }


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            if name not in state:
                continue
            kept = state[name]
            # The step count stays where the optimizer wants it: on the CPU, unless it is fused.
            place = parameter.device if group.get("fused") else torch.device("cpu")
            optimizer.state[parameter] = {
                key: value.to(place) if key == "step" else _like(value, parameter) for key, value in kept.items()
            }


def generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the generators behind dropout and drop-path."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def load_generators(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def own_generators(seed: int, world: World) -> Iterator[None]:
    """Dropout can only draw from torch's global generators: seed them by rank, and give them back as they were."""
    with torch.random.fork_rng([world.device] if world.device.type == "cuda" else []):
        torch.manual_seed(seed_for(seed, "dropout", world.rank) % 2**32)
        yield


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()  # type: ignore[operator]
    return tensor.to("cpu", copy=True)


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """``tensor`` on the parameter's device, cut into shards as the parameter is."""
    moved = tensor.to(parameter.device)
    if not hasattr(parameter, "device_mesh"):
        return moved
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(moved, parameter.device_mesh, parameter.placements)  # type: ignore[attr-defined]
