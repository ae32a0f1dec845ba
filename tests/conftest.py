"""What all tests share: where the real material lies, and where the recorded rows lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "golden"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # test processes side by side would fight for the cores


def read_rows(name: str) -> list[dict]:
    """The rows of a recorded JSON-lines file under tests/golden."""
    with (GOLDEN / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real annotation files and videos beside the project; users don't have it."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the material in ../shared, which is not part of the project")
    return folder
