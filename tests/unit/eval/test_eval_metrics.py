"""Metrics against the scalar rules and against slow, obvious code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkeye.choices import best_reachable, geometric_choice, sub_window
from hawkeye.eval.metrics import average_precision, best_iop, best_iou, best_of_ranked, pack_spans
from hawkeye.eval.oracle import CHOICES, best_spans, geometric_choices, reachable_windows, rule_spans
from hawkeye.eval.references import best_fixed_span, references
from hawkeye.spans import Span

seconds = st.floats(0, 100, allow_nan=False)
spans = st.tuples(seconds, seconds).map(lambda s: Span(min(s), max(s) + 0.1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(spans, st.lists(spans, min_size=1, max_size=4)), min_size=1, max_size=8))
def test_ious_equal_the_scalar_ones(rows: list[tuple[Span, list[Span]]]) -> None:
    predicted, gold = np.array([p for p, _ in rows]), pack_spans([g for _, g in rows])
    assert best_iou(predicted, gold) == pytest.approx([max(p.iou(g) for g in gs) for p, gs in rows])
    assert best_iop(predicted, gold) == pytest.approx([max(p.iop(g) for g in gs) for p, gs in rows])


def test_no_prediction_overlaps_nothing() -> None:
    gold = pack_spans([[(0, 10)], [(0, 10), (20, 30)]])
    nothing = np.full((2, 2), np.nan)
    assert best_iou(nothing, gold).tolist() == [0, 0]
    assert best_iop(nothing, gold).tolist() == [0, 0]
    assert best_of_ranked(pack_spans([[], [(20, 30)]]), gold, 5).tolist() == [0, 1]


@settings(max_examples=40, deadline=None)
@given(st.lists(spans, min_size=1, max_size=6), st.floats(20, 120), st.integers(0, 4))
def test_ceilings_equal_the_scalar_rules(gold: list[Span], duration: float, turns: int) -> None:
    packed, durations = pack_spans([[g] for g in gold]), np.full(len(gold), duration)
    best = best_iou(best_spans(packed, durations, turns)[-1], packed)
    assert best == pytest.approx([best_reachable(g, (0, duration), turns)[0] for g in gold])
    followed = rule_spans(packed, durations, turns)
    for span, found in zip(gold, followed, strict=True):
        window = Span(0, duration)
        for _ in range(turns):
            choice = geometric_choice(span, window)
            window = sub_window(choice, window)
            if choice == "throughout":
                break
        assert tuple(found) == pytest.approx(tuple(window))


def test_position_rule_equals_the_scalar_one() -> None:
    rng = np.random.default_rng(0)
    gold = np.sort(rng.random((300, 2)).round(2), axis=1)
    windows = np.sort(rng.random((300, 2)).round(2), axis=1)
    numbers = geometric_choices(gold, windows)
    expected = [geometric_choice(tuple(g), tuple(w)) for g, w in zip(gold, windows, strict=True)]
    assert [CHOICES[n] for n in numbers] == expected


def test_reachable_windows_are_each_there_once() -> None:
    levels = reachable_windows(4)
    assert [len(level) for level in levels] == [1, 3, 7, 15, 31]
    assert len({tuple(window) for level in levels for window in level}) == 57


def slow_average_precision(ranked: list[Span], gold: list[Span], threshold: float) -> float:
    """ActivityNet's definition, written out for one query."""
    used: set[int] = set()
    hits = []
    for span in ranked:
        order = sorted(range(len(gold)), key=lambda i: -span.iou(gold[i]))
        found = next((i for i in order if i not in used and span.iou(gold[i]) >= threshold), None)
        if found is not None:
            used.add(found)
        hits.append(found is not None)
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precision[k:]) for k, hit in enumerate(hits) if hit) / len(gold)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(spans, max_size=6), st.lists(spans, min_size=1, max_size=4)), min_size=1, max_size=5)
)
def test_average_precision_equals_the_definition(rows: list[tuple[list[Span], list[Span]]]) -> None:
    thresholds = (0.3, 0.5, 0.75)
    found = average_precision(pack_spans([r for r, _ in rows]), pack_spans([g for _, g in rows]), thresholds)
    expected = [[slow_average_precision(r, g, t) for t in thresholds] for r, g in rows]
    assert found == pytest.approx(np.array(expected))


def test_average_precision_of_a_worked_example() -> None:
    """Hit, miss, hit on two true spans: (1 + 2/3) / 2; the same true span twice is one hit only."""
    gold = [(0.0, 10.0), (20.0, 30.0)]
    ranked = pack_spans([[(0, 10), (50, 60), (20, 30)], [(0, 10), (0, 10)]])
    found = average_precision(ranked, pack_spans([gold, gold]), (0.5,))
    assert found[:, 0] == pytest.approx([(1 + 2 / 3) / 2, 0.5])


def test_reference_points_of_one_case() -> None:
    """Gold is the first half of every video, so what each row gets is known."""
    durations = np.array([10.0, 20.0, 40.0])
    gold = pack_spans([[(0, d / 2)] for d in durations])
    train = np.array([[0.0, 0.5], [0.0, 0.55]])
    rows = {row.name: row.metrics() for row in references(gold, durations, 1, train)}
    assert rows["throughout"] == {"R1@0.3": 1, "R1@0.5": 1, "R1@0.7": 0, "mIoU": 0.5}
    assert rows["oracle, 1 turn, best choices"]["mIoU"] == 1
    assert rows["oracle, 1 turn, position rule"]["mIoU"] == 1
    assert rows["train prior, fixed"]["mIoU"] == pytest.approx(0.5 / best_fixed_span(train)[1])
    assert rows["train prior, drawn"]["R1@0.7"] == 1
    assert 0 < rows["random"]["mIoU"] < 1


def test_best_fixed_span_finds_the_common_one() -> None:
    rng = np.random.default_rng(1)
    shares = np.clip(np.array([0.25, 0.5]) + rng.normal(0, 0.02, (400, 2)), 0, 1)
    assert best_fixed_span(shares) == pytest.approx([0.25, 0.5], abs=0.03)
