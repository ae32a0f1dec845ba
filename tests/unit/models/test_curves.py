"""Stretches of a curve, against trying all."""

import numpy as np
import pytest

from hawkeye.models.curves import best_stretches, largest_sum


def test_the_first_stretch_against_trying_all():
    generator = np.random.default_rng(5)
    for _ in range(20):
        curve, lengths = generator.normal(size=30), generator.uniform(0.3, 0.7, size=30)
        first, last = best_stretches(curve, lengths, 1, 0.5)[0]
        over = curve - np.average(curve, weights=lengths)
        gains = (over - 0.5 * over.max()) * lengths
        best = max(gains[a:b].sum() for a in range(30) for b in range(a + 1, 31))
        assert gains[first:last].sum() == pytest.approx(best)


def test_stretches_are_ranked_and_do_not_touch():
    curve = np.array([0, 3, 3, 0, 0, 2, 2, 2, 0, 0, 1.5, 0])
    assert best_stretches(curve, np.ones(12), 5, 0.5) == [(1, 3), (5, 8), (10, 11)]
    assert best_stretches(curve, np.ones(12), 2, 0.5) == [(1, 3), (5, 8)]
    below_the_mean = np.array([0, 3, 3, 0, 0, 0.5, 0, 0])
    assert best_stretches(below_the_mean, np.ones(8), 5, 0.5) == [(1, 3)]


def test_a_flat_curve_is_one_stretch():
    assert best_stretches(np.full(7, 0.2), np.ones(7), 5, 0.5) == [(0, 7)]
    assert best_stretches(np.array([4.0]), np.array([0.04]), 5, 0.5) == [(0, 1)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-3, -1, -2], (1, 2)),
        ([1, -5, 2, 2], (2, 4)),
        ([0, 0], (0, 2)),
        ([-np.inf, 1, -np.inf], (1, 2)),
        ([-1], (0, 1)),
    ],
)
def test_largest_sum(values, expected):
    assert largest_sum(np.array(values, dtype=float)) == expected
