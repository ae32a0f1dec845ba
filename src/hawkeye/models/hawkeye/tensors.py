"""Tensors by name from the files that weights come in: .pth and .bin (without running what they hold), .safetensors, folders.

Files are memory-mapped: a tensor costs memory when it is used. Names are those in the file; what they mean is `checkpoint`'s
business.
"""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hawkeye.errors import CheckpointError
from hawkeye.records import atomic_write, read_json, to_json

WRAPPERS = ("model", "state_dict", "module")  # where training loops put the weights
# Harmless classes of the standard library that settings are made of; nothing else of it is let through.
HARMLESS = ("argparse.Namespace", "collections.defaultdict", "datetime.", "pathlib.", "types.SimpleNamespace")
INDEX_FILE, SINGLE_FILE = "model.safetensors.index.json", "model.safetensors"


class Inert:
    """Stands for an object of a class that is not here, such as a settings object. Takes any state and does nothing."""

    def __init__(self, *arguments: object, **named: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a file or of the weight files of a folder. Raises CheckpointError: what is wrong with the file."""
    path = Path(path)
    if path.is_dir():
        tensors: dict[str, Tensor] = {}
        for file in weight_files(path):
            tensors.update(read_tensors(file))
        return tensors
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    return read_safetensors(path) if path.suffix == ".safetensors" else read_pickled(path)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights; .safetensors are preferred. Raises CheckpointError if one is missing."""
    for index in (*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")):
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(
                f"{folder}: {index.name} names {len(missing)} files that are missing: {missing[0]}, ..."
            )
        return [folder / name for name in names]
    found = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not found:
        raise CheckpointError(f"{folder}: holds no weights (*.safetensors or pytorch_model*.bin)")
    return found


def read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: is truncated or not a safetensors file ({error}): get it again") from None


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of what ``torch.save`` wrote: a bare state dict, or one under ``model``. Other things in it are left out.

    Classes that torch does not know become inert stand-ins; nothing in the file is run. Raises CheckpointError.
    """
    zipped = zipfile.is_zipfile(path)
    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
    for name in unknown:
        if name.split(".")[0] in sys.stdlib_module_names and not name.startswith(HARMLESS):
            raise CheckpointError(
                f"{path}: wants to call {name} when it is read, which weights never need: refused. Get it from its publisher"
            )
    # A settings object is mostly a dict with attributes; where that does not fit, anything goes.
    likely = [(name, Inert if name.startswith(HARMLESS) else OrderedDict) for name in unknown]
    content = _load(path, likely, zipped, last=not unknown)
    if content is None:
        content = _load(path, [(name, Inert) for name in unknown], zipped, last=True)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise CheckpointError(f"{path}: holds no named tensors: expected a state dict, bare or under 'model'")
    return tensors


def _load(path: Path, stand_ins: list[tuple[str, type]], zipped: bool, last: bool) -> Any:
    allowed: Any = [(type(name, (kind,), {}) if kind is Inert else kind, name) for name, kind in stand_ins]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        if not last:
            return None
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path}: is truncated or not a PyTorch file ({reason}): get it again") from None


def write_tensors(folder: Path, tensors: Iterable[tuple[str, Tensor]], max_bytes: int = 1 << 30) -> int:
    """Write ``model.safetensors``, or numbered parts of at most ``max_bytes`` and an index; returns the number of bytes.

    ``tensors`` may be lazy: no more than one part is held in memory. Weights that the folder holds already are replaced
    after all new ones are written.
    """
    parts: list[list[str]] = []
    try:
        total = _write_parts(folder, tensors, max_bytes, parts)
        for old in (*folder.glob("model*.safetensors"), folder / INDEX_FILE):
            old.unlink(missing_ok=True)
        count = len(parts)
        names = [SINGLE_FILE] if count == 1 else [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
        for i, name in enumerate(names):
            _part_file(folder, i).replace(folder / name)
    finally:
        for i in range(len(parts) + 1):
            _part_file(folder, i).unlink(missing_ok=True)
    if count > 1:
        home = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
        with atomic_write(folder / INDEX_FILE) as file:
            file.write(to_json({"metadata": {"total_size": total}, "weight_map": home}) + "\n")
    return total


def _part_file(folder: Path, number: int) -> Path:
    return folder / f".part{number}"


def _write_parts(folder: Path, tensors: Iterable[tuple[str, Tensor]], max_bytes: int, parts: list[list[str]]) -> int:
    """Fill the part files, and ``parts`` with the names in each."""
    from safetensors.torch import save_file

    pending: dict[str, Tensor] = {}
    total = pending_bytes = 0

    def flush() -> None:
        save_file(pending, _part_file(folder, len(parts)), metadata={"format": "pt"})
        _part_file(folder, len(parts)).chmod(0o644)  # the library makes it readable for its owner alone
        parts.append(list(pending))
        pending.clear()

    for name, tensor in tensors:
        held = tensor.detach().cpu()
        size = held.numel() * held.element_size()
        if pending and pending_bytes + size > max_bytes:
            flush()
            pending_bytes = 0
        # A copy of its own: a view would drag its whole storage, or its neighbours, into the file.
        pending[name] = held.clone(memory_format=torch.contiguous_format)
        pending_bytes, total = pending_bytes + size, total + size
    flush()
    return total
