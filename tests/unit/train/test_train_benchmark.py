"""The training benchmark: both loops compute the same losses, and the full-size run's way works (here with the tiny model)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hawkeye.train.config import TrainConfig


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    spec = spec_from_file_location("train_benchmark", Path(__file__).parents[3] / "benchmarks" / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["train_benchmark"] = module
    threads = torch.get_num_threads()
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)
    del sys.modules["train_benchmark"]


def test_both_loops_take_the_same_steps(benchmark: ModuleType, tmp_path: Path) -> None:
    found = benchmark.compare(tmp_path, rounds=1, steps=2, batch=4)
    assert found["largest_difference_of_losses"] < 1e-5
    assert found["steps"] == 2
    assert set(found["rows"]) == {"loop", "loop, without frame cache", "naive"}
    assert all(0 <= row["waiting_share"] < 1 for row in found["rows"].values())


def test_the_full_size_way_counts_operations_and_seconds(benchmark: ModuleType, tmp_path: Path) -> None:
    found = benchmark.full(tmp_path, "hawkeye-tiny", "cpu", batch=2, steps=1, workers=0, peak=1e-3)
    assert found["samples_per_second"] > 0
    assert found["model_flops_utilisation"] > 0


def test_what_is_frozen_costs_less_backward(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.make_data(tmp_path, 4, 32)
    counts = {}
    for language, vision in (("lora", False), ("full", True)):
        values = benchmark.settings(tmp_path, tmp_path / "run", "hawkeye-tiny", num_frames=4, workers=0)
        values["model"].update(language=language, train_vision=vision)
        counts[language] = benchmark.model_flops(
            TrainConfig.from_dict({**values, "device": "cpu"}), torch.device("cpu")
        )
    assert 1.2 < counts["full"] / counts["lora"] < 3
