"""What is asked about a video: sentences, spans, negative spans, questions; and the training items made of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hawkeye.choices import Choice, best_reachable
from hawkeye.errors import AnnotationError
from hawkeye.spans import Span
from hawkeye.synth.events import context_of, events_of, with_article
from hawkeye.synth.items import absent_item, frame_times, inside_labels, item_for
from hawkeye.synth.names import class_text
from hawkeye.synth.pictures import Picture, read_pictures, split_classes
from hawkeye.synth.plan import make_plan
from hawkeye.synth.questions import absent_sentences, questions_about

PICTURES = [Picture(f"{n}.jpg", Path(f"{n}.jpg"), text=class_text(n)) for n in range(0, 1000, 17)]
PLANS = [make_plan(7, number, len(PICTURES)) for number in range(60)]


def test_every_span_lies_in_its_negative_span_and_in_the_video():
    kinds = set()
    for plan in PLANS:
        for event in events_of(plan, PICTURES):
            assert 0 <= event.context.start <= event.span.start < event.span.end <= event.context.end <= plan.duration
            assert event.sentences
            assert all(sentence.strip() == sentence and sentence for sentence in event.sentences)
            kinds.add(event.kind)
    assert kinds == {"shot", "guest", "pair", "after", "wider"}


def test_a_negative_span_stops_at_the_next_showing_of_the_same_thing():
    checked = 0
    for plan in PLANS:
        shown = [*plan.shots, *plan.guests]
        for event in events_of(plan, PICTURES):
            if event.kind in ("shot", "guest"):
                same = [o.span for o in shown if o.picture == event.pictures[0] and o.span != event.span]
                assert all(not event.context.intersection(other) for other in same)
                checked += bool(same)
    assert checked > 10


def test_context_is_the_whole_video_if_nothing_is_alike():
    assert context_of(Span(4, 6), [], 10.0) == (0.0, 10.0)
    assert context_of(Span(4, 6), [Span(1, 2), Span(8, 9)], 10.0) == (2, 8)


def test_words_are_varied_and_tell_nothing_shared():
    sentences = {s for plan in PLANS for e in events_of(plan, PICTURES) for s in e.sentences}
    assert len(sentences) > 1000
    assert any(s.startswith("The camera zooms in on") for s in sentences)
    assert not any("Canis lupus familiaris" in s for s in sentences)  # the Latin name of every dog
    assert events_of(PLANS[0], PICTURES) == events_of(PLANS[0], PICTURES)


@pytest.mark.parametrize(
    ("noun", "said"), [("dog", "a dog"), ("orange", "an orange"), ("jeans", "jeans"), ("bus", "a bus")]
)
def test_articles(noun: str, said: str):
    assert with_article(noun) == said


def test_questions_have_one_right_answer():
    kinds = set()
    for plan in PLANS:
        for question in questions_about(plan, PICTURES):
            assert 0 <= question.answer < len(question.options)
            assert len(set(question.options)) == len(question.options)
            kinds.add(question.kind)
            if question.kind == "first":
                right = PICTURES[plan.shots[0].picture].text
                assert right is not None
                named = question.options[question.answer].lower()
                assert any(name.lower() in named for name in (right.name, *right.synonyms))
    assert kinds == {"first", "last", "after", "camera", "present"}


def test_absent_sentences_name_nothing_that_is_shown():
    for plan in PLANS[:20]:
        shown = [PICTURES[i.picture].text for i in (*plan.shots, *plan.guests)]
        for sentence in absent_sentences(plan, PICTURES, 5):
            assert not any(text and f" {text.name.lower()}." in sentence.lower() for text in shown)


def test_items_are_labelled_by_what_can_still_be_reached():
    rng = random.Random(0)
    choices = set()
    for number, plan in enumerate(PLANS):
        for event in events_of(plan, PICTURES):
            item = item_for(number, plan, event, True, rng)
            assert item.span == event.span
            assert event.context.start - 1e-6 <= item.window.start < item.window.end <= event.context.end + 1e-6
            assert item.choice is best_reachable(event.span, item.window, 3)[1]
            choices.add(item.choice)
    assert choices == set(Choice)


def test_inside_labels_follow_the_span():
    times = frame_times(Span(0, 10), 5)
    assert times == [1, 3, 5, 7, 9]
    rng = random.Random(0)
    item = absent_item(0, PLANS[0], "a unicorn", rng)
    assert inside_labels(item, times) == [0] * 5
    assert item.window.start >= 0
    assert item.window.end <= PLANS[0].duration
    assert inside_labels(type(item)(0, Span(0, 10), "a dog", Span(3, 7), None), times) == [0, 1, 1, 0, 0]


def test_held_out_subjects_are_never_trained_on(class_pictures: Path):
    pictures = read_pictures(class_pictures)
    train, kept_back = split_classes(pictures, 3)
    assert len({p.subject for p in kept_back}) == 3
    assert not {p.subject for p in train} & {p.subject for p in kept_back}
    assert split_classes(list(reversed(pictures)), 3)[1] == list(reversed(kept_back))
    with pytest.raises(AnnotationError, match="too few to hold out 8"):
        split_classes(pictures, 8)
