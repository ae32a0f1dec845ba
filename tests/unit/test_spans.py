from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hawkeye.spans import Span, merge_overlapping, non_maximum_suppression

seconds = st.floats(0, 1e4, allow_nan=False, width=32)
spans = st.tuples(seconds, seconds).map(lambda t: Span(min(t), max(t)))


@given(spans, spans)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert 0 <= a.iou(b) <= 1
    assert abs(a.iou(b) - b.iou(a)) < 1e-9


@given(spans)
def test_iou_with_itself_is_1_unless_empty(a):
    assert a.iou(a) == (1.0 if a.length > 0 else 0.0)


def test_known_overlaps():
    assert Span(0, 10).iou((5, 15)) == 5 / 15
    assert Span(0, 10).iop((5, 15)) == 0.5
    assert Span(0, 1).iou((1, 2)) == 0


@given(spans, seconds, seconds)
def test_clamp_stays_inside(a, x, y):
    low, high = min(x, y), max(x, y)
    inside = a.clamp(low, high)
    assert low <= inside.start <= inside.end <= high


@given(st.lists(spans, max_size=8))
def test_merge_is_sorted_disjoint_and_covers_the_same(many):
    merged = merge_overlapping(many)
    assert all(a.end < b.start for a, b in pairwise(merged))
    for span in many:
        assert any(m.start <= span.start and span.end <= m.end for m in merged)


def test_merge_joins_over_a_gap():
    assert merge_overlapping([(0, 1), (1.5, 2)], gap=0.5) == [Span(0, 2)]


def test_suppression_keeps_the_best_of_each_cluster():
    scored = [(Span(0, 10), 0.5), (Span(0, 9), 0.9), (Span(20, 30), 0.1)]
    assert non_maximum_suppression(scored, 0.7) == [(Span(0, 9), 0.9), (Span(20, 30), 0.1)]
    assert len(non_maximum_suppression(scored, 0.7, top_k=1)) == 1
