"""Where and how to compute: device, number type, optional packages, and a generator per item."""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from hawkeye.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's names for mallopt, in bytes


def require(package: str, extra: str | None = None) -> ModuleType:
    """Import an optional package, or say which pip command brings it.

    Raises MissingDependency.
    """
    if find_spec(package.split(".")[0]) is None:
        wanted = f"'hawkeye-vtg[{extra}]'" if extra else package
        raise MissingDependency(f"{package} is not installed: run  pip install {wanted}")
    return import_module(package)


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor. Does nothing where the allocator is another one.

    By default it hands every large block back to the kernel, which then clears each page anew: half of the time that a
    convolutional network takes on the CPU. The price is a higher peak (docs/experiments.md has the figures).
    """
    import ctypes
    import platform

    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU. Raises ConfigError if the named device is not there."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.split(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in there:
        raise ConfigError(f"device {name!r} is unknown: expected one of {', '.join(DEVICES)} (or cuda:1, ...)")
    if not there[kind]:
        raise ConfigError(f"device {name!r} is not available on this machine: use --device auto or --device cpu")
    return torch.device(name)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the GPU has it, float16 on other GPUs and MPS, float32 on the CPU."""
    import torch

    if name not in DTYPES:
        raise ConfigError(f"dtype {name!r} is unknown: expected one of {', '.join(DTYPES)}")
    if name == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
    return getattr(torch, name)


def seed_for(seed: int, *item: object) -> int:
    """A 63-bit seed that depends on the run's seed and on what identifies the item, and on nothing else."""
    text = "\n".join(str(part) for part in (seed, *item))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
