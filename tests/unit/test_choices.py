import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import GOLDEN, read_rows

from hawkeye.choices import (
    Choice,
    best_reachable,
    geometric_choice,
    letter,
    option_lines,
    read_reply,
    right_choice,
    shuffled,
    sub_window,
)
from hawkeye.spans import Span

windows = st.tuples(st.floats(0, 1000), st.floats(0.1, 1000)).map(lambda t: Span(t[0], t[0] + t[1]))


def test_windows_of_every_recorded_sequence_of_answers():
    rows = read_rows("data/recursive_grounding.jsonl")
    assert len(rows) == 662
    for row in rows:
        window = Span(0.0, row["duration"])
        for answer, after in zip(row["answers"], row["span_after_turn"], strict=True):
            window = sub_window(answer, window)
            assert window == pytest.approx(after, abs=1e-6), row


def test_strict_reading_of_every_recorded_reply():
    for row in json.loads((GOLDEN / "data/recursive_reply_parsing.json").read_text())["parse"]:
        index = read_reply(row["full_reply"], [text for _, text in row["options"]])
        assert ("throughout" if index is None else row["options"][index][0]) == row["answer"], row


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("(B)", 1),
        ("B.", 1),
        ("b", 1),
        ("B) two", 1),
        ("The answer: three", 2),
        ("", None),
        ("one two", None),
        ("(D)", None),
    ],
)
def test_lenient_reading(reply, expected):
    assert read_reply(reply, option_lines(["one", "two", "three"]), lenient=True) == expected


def test_letters_go_on_after_z():
    assert [letter(i) for i in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def test_order_depends_on_seed_item_and_turn_only():
    assert shuffled(1, "x", 0) == shuffled(1, "x", 0)
    assert sorted(shuffled(1, "x", 0)) == sorted(Choice)
    orders = {tuple(shuffled(seed, "x", turn)) for seed in range(20) for turn in range(4)}
    assert len(orders) > 15


@given(windows, st.sampled_from(list(Choice)))
def test_sub_window_lies_inside_and_has_the_right_length(window, choice):
    part = sub_window(choice, window)
    assert window.start - 1e-6 <= part.start < part.end <= window.end + 1e-6
    assert part.length == pytest.approx(window.length * (1 if choice is Choice.THROUGHOUT else 0.5))


@given(windows, st.floats(0, 1), st.floats(0, 1), st.integers(0, 4))
def test_lookahead_never_loses_to_the_geometric_rule(window, a, b, turns):
    low, high = min(a, b), max(a, b)
    span = Span(window.start + low * window.length, window.start + high * window.length)
    reached, _ = best_reachable(span, window, turns)
    now = window
    for _ in range(turns):
        now = sub_window(geometric_choice(span, now), now)
    assert reached >= now.iou(span) - 1e-9


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 5), "beginning"), ((5, 10), "end"), ((3, 7), "middle"), ((1, 9), "throughout"), ((4, 9), "throughout")],
)
def test_geometric_rule(span, expected):
    assert right_choice(span, (0, 10)) == expected


def test_lookahead_stops_where_no_part_is_better():
    assert right_choice((0, 10), (0, 10), "lookahead", 3) is Choice.THROUGHOUT
    assert right_choice((0, 5), (0, 10), "lookahead", 0) is Choice.THROUGHOUT
    assert right_choice((0, 5), (0, 10), "lookahead", 1) is Choice.BEGINNING
