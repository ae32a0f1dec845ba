"""Checkpoints of a run: a folder that appears whole or not at all, and holds all that going on needs.

``OUTPUT/checkpoints/step_00000120/`` has ``weights.safetensors`` (what is trained, by parameter name), ``optimizer.pt``,
``generators.pt`` (one state a rank) and ``state.json`` (step, place in the data, counters, and what the run is about).
Frozen weights are not here: they come from where the run started. Export for inference is `export`'s business.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hawkeye.errors import CheckpointError
from hawkeye.records import atomic_write, read_json

PREFIX = "step_"
BEST = "best.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, on the CPU. ``generators``: one mapping a rank."""

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    generators: list[dict[str, torch.Tensor]]
    state: dict[str, Any]


def folder_of(output: Path, step: int) -> Path:
    return output / "checkpoints" / f"{PREFIX}{step:08d}"


def newest(output: Path) -> Path | None:
    """The checkpoint with the highest step, if there is one."""
    found = sorted((output / "checkpoints").glob(f"{PREFIX}*/state.json"))
    return found[-1].parent if found else None


def save(output: Path, checkpoint: Checkpoint) -> Path:
    """Write beside its place, flush to the disk, then rename: a kill at any moment leaves the older checkpoint whole."""
    place = folder_of(output, checkpoint.state["step"])
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.weights.items()}, part / "weights.safetensors")
    torch.save(checkpoint.optimizer, part / "optimizer.pt")
    torch.save(checkpoint.generators, part / "generators.pt")
    (part / "state.json").write_text(json.dumps(checkpoint.state, indent=1), encoding="utf-8")
    for path in (*part.iterdir(), part):
        _flush(path)
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    _flush(place.parent)
    return place


def load(folder: Path) -> Checkpoint:
    """Raises CheckpointError naming the file that is missing or broken."""
    path = folder
    try:
        state = read_json(path := folder / "state.json")
        weights = load_file(path := folder / "weights.safetensors")
        optimizer = torch.load(path := folder / "optimizer.pt", map_location="cpu", weights_only=True)
        generators = torch.load(path := folder / "generators.pt", map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: can't be read ({str(error)[:120]}): remove {folder} to go on from the one before"
        ) from None
    return Checkpoint(weights, optimizer, generators, state)


def clear(output: Path) -> None:
    """Remove every checkpoint: among those of an earlier run a new one's would be lost, since they sort by step."""
    shutil.rmtree(output / "checkpoints", ignore_errors=True)


def prune(output: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints and the best."""
    folders = sorted((output / "checkpoints").glob(f"{PREFIX}*"))
    best = best_of(output)
    for folder in folders[:-keep]:
        if best is None or folder.name != best["checkpoint"]:
            shutil.rmtree(folder)


def mark_best(output: Path, folder: Path, metric: str, values: Mapping[str, float]) -> None:
    """Remember that ``folder`` is the best so far; `prune` then keeps it."""
    with atomic_write(output / "checkpoints" / BEST) as file:
        json.dump({"checkpoint": folder.name, "metric": metric, "value": values[f"eval/{metric}"]}, file)


def best_of(output: Path) -> dict[str, Any] | None:
    """``{"checkpoint", "metric", "value"}`` of the best evaluation so far."""
    path = output / "checkpoints" / BEST
    return read_json(path) if path.is_file() else None


def differences(kept: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs between two descriptions of a run, one ``name: old -> new`` each."""
    found = []
    for key in dict.fromkeys([*kept, *now]):
        old, new, name = kept.get(key), now.get(key), f"{path}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            found.extend(differences(old, new, f"{name}."))
        elif old != new:
            found.append(f"{name}: {_short(old)} -> {_short(new)}")
    return found


def check_same_run(folder: Path, kept: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises CheckpointError that says what differs, if the run that ``folder`` belongs to is not this one."""
    changed = differences(kept, now)
    if changed:
        listed = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise CheckpointError(
            f"{folder}: belongs to another run ({listed}): go on with the settings it was made with, "
            "give another output folder, or resume=never to begin anew"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
