"""Reference points on the real annotation files, beside the numbers that the paper prints."""

from __future__ import annotations

import numpy as np
import pytest

from hawkeye.datasets.registry import load_dataset
from hawkeye.eval.metrics import pack_spans
from hawkeye.eval.references import references


def rows_of(dataset: str, path, turns: int) -> dict[str, list[float]]:
    examples = load_dataset(dataset, path).examples
    gold, durations = pack_spans([e.spans for e in examples]), np.array([e.duration for e in examples])
    return {r.name: [round(100 * v, 1) for v in r.metrics().values()] for r in references(gold, durations, turns)}


def test_charades_sta(shared) -> None:
    rows = rows_of("charades-sta", shared / "data/annotations/charades_sta", 3)
    assert rows["random"] == pytest.approx([30.0, 18.8, 6.2, 20.1], abs=0.4)  # as published
    assert rows["throughout"] == [34.3, 0.4, 0.0, 27.0]
    assert rows["oracle, 3 turns, best choices"] == [99.9, 99.5, 75.9, 76.8]  # published: 100, 97.0, 69.2, 74.8
    assert rows["oracle, 3 turns, position rule"] == [99.9, 89.5, 37.1, 65.7]


def test_activitynet_captions(shared) -> None:
    rows = rows_of("activitynet-captions", shared / "data/annotations/activitynet_captions/val_1.json", 3)
    assert rows["oracle, 3 turns, best choices"] == pytest.approx([91.5, 84.6, 68.4, 71.9], abs=0.4)  # as published
    assert rows["throughout"] == [42.9, 22.7, 11.4, 32.3]
    assert rows["oracle, 3 turns, position rule"] == [91.2, 80.1, 37.1, 63.0]
