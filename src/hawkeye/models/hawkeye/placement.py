"""Does it fit, and where does it lie: memory checked before loading, the language model kept on the CPU if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hawkeye.errors import CheckpointError

GIB = 1 << 30
ROOM = 0.1  # for activations and what else is running, as a share


def check_memory(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Raises CheckpointError that says how much is needed at which number type, if the device has less free."""
    values = sum(parameter.numel() for parameter in model.parameters())
    needed, free = values * dtype.itemsize * (1 + ROOM), free_memory(device)
    if free is None or needed <= free:
        return
    sizes = ", ".join(
        f"{values * size * (1 + ROOM) / GIB:.1f} GiB in {name}" for name, size in (("float32", 4), ("bfloat16", 2))
    )
    raise CheckpointError(
        f"{device} has {free / GIB:.1f} GiB free and the model needs {sizes}: use --dtype bfloat16, another --device, "
        "or from Python load_folder(..., quantize='8bit') or offload=True"
    )


def free_memory(device: torch.device) -> int | None:
    """Bytes; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if device.type == "cpu" and meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def offload_language(model: Any) -> None:
    """Keep the language model's weights in the CPU's memory; each layer visits the model's device when it is needed."""
    from accelerate import cpu_offload

    cpu_offload(model.language, execution_device=model.device)
