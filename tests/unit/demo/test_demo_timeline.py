"""The timeline and the panels: well-formed, in proportion, safe with any words."""

import math
from xml.etree import ElementTree

import pytest

from hawkeye.choices import Choice
from hawkeye.demo.panels import compare_html, message_html, progress_html, result_html
from hawkeye.demo.timeline import seconds, stretch, timeline_svg, turn_id
from hawkeye.grounding.result import GroundingResult, ScoredSpan, Turn
from hawkeye.spans import Span

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>alert(1)</script> \"quoted\" & 'single' ${1 + 1} {{value}} `tick` ]]> & 𝄞"


def turn(start, end, choice, chance=0.7):
    rest = math.log((1 - chance) / 3)
    log_probs = tuple(math.log(chance) if option is choice else rest for option in Choice)
    return Turn(Span(start, end), (start, (start + end) / 2), tuple(Choice), log_probs, choice)


def result(**changes):
    values = {
        "video": "a.mp4",
        "query": "a dog",
        "duration": 40.0,
        "span": Span(20.0, 30.0),
        "found": True,
        "confidence": 0.8,
        "spans": (ScoredSpan(Span(20.0, 30.0), 0.5), ScoredSpan(Span(0.0, 10.0), 0.2)),
        "turns": (turn(0, 40, Choice.END), turn(20, 40, Choice.BEGINNING)),
        "model": "test",
        **changes,
    }
    return GroundingResult(**values)


def parse(svg):
    return ElementTree.fromstring(svg)


def bars(svg):
    """aria-label -> (x, width) in per cent of every bar that can be clicked."""
    found = {}
    for group in parse(svg).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        found[group.get("aria-label")] = tuple(float(rect.get(key).rstrip("%")) for key in ("x", "width"))
    return found


def test_bars_are_in_proportion_and_narrow_turn_by_turn():
    drawn = bars(timeline_svg([result()]))
    assert drawn == {
        "Turn 1: window 0.0 - 40.0 s, chose end 70%": (0.0, 100.0),
        "Turn 2: window 20.0 - 40.0 s, chose beginning 70%": (50.0, 50.0),
        "Alternative 2: 0.0 - 10.0 s, score 0.20": (0.0, 25.0),
        "Found: 20.0 - 30.0 s": (50.0, 25.0),
    }


def test_every_bar_can_be_reached_by_keyboard_and_says_where_it_leads():
    groups = list(parse(timeline_svg([result()], name="x")).iter(f"{SVG}g"))
    assert all(g.get("tabindex") == "0" and g.get("role") == "button" for g in groups)
    assert [(g.get("data-start"), g.get("data-end")) for g in groups][-1] == ("20.000", "30.000")
    assert [g.get("data-open") for g in groups[:2]] == [turn_id("x", 0, 0), turn_id("x", 0, 1)]
    assert [g.get("data-first") for g in groups] == [None, None, None, "1"]


def test_absence_is_said_plainly_and_never_plays_by_itself():
    svg = timeline_svg([result(found=False)])
    assert "not in this video" in svg
    assert "data-first" not in svg
    assert "Alternative" not in svg
    assert "Not in this video" in result_html([result(found=False)], [], {})


def test_a_failure_is_a_row_with_its_message():
    failed = result(span=None, spans=(), turns=(), found=False, duration=None, error="a.mp4: no such file")
    svg = timeline_svg([failed, result()])
    assert "a.mp4: no such file" in svg
    assert "Found: 20.0 - 30.0 s" in bars(svg)
    assert "a.mp4: no such file" in result_html([failed], [], {})


def test_the_curve_spans_the_video_and_its_own_height():
    svg = timeline_svg([result(turns=(), curve=((0.0, -1.0), (20.0, 3.0), (40.0, 1.0)))])
    (line,) = parse(svg).iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert points == [(0.0, 96.0), (500.0, 4.0), (1000.0, 50.0)]


def test_a_flat_curve_and_a_span_beyond_the_end_are_drawn():
    svg = timeline_svg([result(curve=((0.0, 1.0), (40.0, 1.0)), span=Span(39.0, 47.0), spans=())])
    assert bars(svg)["Found: 39.0 - 47.0 s"] == (97.5, 2.5)


def test_pictures_lie_side_by_side():
    images = list(parse(timeline_svg([result()], ["data:,a", "data:,b", "data:,c", "data:,d"])).iter(f"{SVG}image"))
    assert [image.get("x") for image in images] == ["0.000%", "25.000%", "50.000%", "75.000%"]
    assert {image.get("width") for image in images} == {"25.000%"}


def test_words_of_others_stay_words():
    html = result_html([result(query=NASTY, model=NASTY)], [], {})
    for raw in ("<script", "${", "{{", "`"):
        assert raw not in html
    (query,) = [e for e in parse(timeline_svg([result(query=NASTY)])).iter(f"{SVG}text") if e.get("class") == "query"]
    assert query.text == NASTY[:59].rstrip() + "…"
    assert "<b>" not in message_html("<b>") + progress_html("<b>", 0.5) + compare_html([("<b>", "")])


def test_panels_show_every_frame_and_every_option():
    shown = result()
    times = {time for t in shown.turns for time in t.frame_times}
    html = result_html([shown], [], {time: f"data:,{time}" for time in times})
    assert html.count("<img ") == 4
    assert html.count('class="hawk-bar') == 8
    assert html.count("(chosen)") == 2
    assert f'id="{turn_id("t", 0, 1)}"' in html


@pytest.mark.parametrize(
    ("value", "expected"), [(7.54, "7.5 s"), (59.9, "59.9 s"), (62, "1:02.0"), (3727.5, "1:02:07.5")]
)
def test_times_are_short(value, expected):
    assert seconds(value) == expected


def test_a_stretch_has_one_unit():
    assert stretch(Span(1, 2.25)) == "1.0 - 2.2 s"
    assert stretch(Span(58, 61)) == "58.0 s - 1:01.0"


@pytest.mark.parametrize("duration", [0.5, 3.0, 46.0, 600.0, 7200.0, 90000.0])
def test_the_ruler_never_crowds(duration):
    svg = parse(timeline_svg([result(duration=duration, span=Span(0, duration / 2), turns=(), spans=())]))
    ticks = [e for e in svg.iter(f"{SVG}line") if e.get("class") == "tick"]
    assert 1 <= len(ticks) <= 27
