"""Intervals: right coverage, videos kept whole, differences paired."""

from __future__ import annotations

import numpy as np
import pytest

from hawkeye.eval.bootstrap import Resampler, paired_difference


def test_interval_of_independent_rows_is_the_binomial_one() -> None:
    rng = np.random.default_rng(0)
    hits = (rng.random((2000, 1)) < 0.3).astype(float)
    (interval,) = Resampler(range(2000), draws=4000).intervals(hits)
    assert interval is not None
    spread = 1.96 * np.sqrt(hits.var() / 2000)
    assert interval.low == pytest.approx(hits.mean() - spread, abs=0.15 * spread)
    assert interval.high == pytest.approx(hits.mean() + spread, abs=0.15 * spread)


def test_queries_of_one_video_move_together() -> None:
    """Ten equal rows a video hold no more than one row a video."""
    rng = np.random.default_rng(1)
    per_video = rng.random(200)
    (one,) = Resampler(range(200)).intervals(per_video[:, None])
    (ten,) = Resampler(np.repeat(np.arange(200), 10)).intervals(np.repeat(per_video, 10)[:, None])
    assert one is not None
    assert ten is not None
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high), abs=1e-6)


def test_interval_covers_the_truth_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(300):
        values = rng.beta(0.5, 1.0, (150, 1))  # many near zero, as IoUs are; the mean is 1/3
        (interval,) = Resampler(range(150), draws=400, seed=trial).intervals(values)
        assert interval is not None
        covered += interval.low <= 1 / 3 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


def test_masks_restrict_a_column_to_its_rows() -> None:
    values = np.arange(100, dtype=float)[:, None].repeat(2, axis=1)
    masks = np.stack([np.ones(100, bool), np.arange(100) < 10], axis=1)
    everything, few = Resampler(range(100)).intervals(values, masks, [0, 1])
    assert everything is not None
    assert few is not None
    assert everything.low < 49.5 < everything.high
    assert few.low < 4.5 < few.high < 9.1


def test_same_seed_same_interval_and_an_empty_column_has_none() -> None:
    values = np.random.default_rng(3).random((50, 1))
    assert Resampler(range(50), seed=1).intervals(values) == Resampler(range(50), seed=1).intervals(values)
    assert Resampler(range(50), seed=1).intervals(values) != Resampler(range(50), seed=2).intervals(values)
    assert Resampler(range(50)).intervals(values, np.zeros((50, 1), bool), [0]) == [None]
    assert Resampler([]).intervals(np.zeros((0, 1))) == [None]


def test_a_paired_difference_sees_what_separate_intervals_hide() -> None:
    rng = np.random.default_rng(4)
    hard = rng.random(400)  # the examples differ far more than the runs
    first = hard[:, None]
    second = first + 0.01 + rng.normal(0, 0.02, (400, 1))
    (found,) = paired_difference(first, second, range(400))
    assert found.interval.low > 0
    assert found.p_value < 0.01
    (nothing,) = paired_difference(first, first, range(400))
    assert (nothing.value, nothing.p_value) == (0.0, 1.0)
    (backwards,) = paired_difference(second, first, range(400))
    assert backwards.value == pytest.approx(-found.value)
    assert backwards.interval.high < 0
