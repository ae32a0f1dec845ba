"""The text of every recorded training item, and of those made from a bare sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hawkeye.choices import OPTION_TEXT
from hawkeye.errors import AnnotationError
from hawkeye.prompts import training_conversation
from hawkeye.records import InstructionExample
from hawkeye.spans import Span
from hawkeye.train.crops import CropRules
from hawkeye.train.representations import Representation, draw, frame_tokens

TIMES = [0.3, 1.4, 2.5, 3.6, 4.7, 5.8, 6.9, 8.0, 9.1, 10.2, 11.3, 12.4]
SENTENCE = InstructionExample(
    "a#0", "a.mp4", (), span=Span(40, 45), duration=100.0, extra={"query": "a dog, 50% wet, runs"}
)


def test_conversations_are_written_as_recorded(golden: Path) -> None:
    rows = [json.loads(line) for line in (golden / "conversation.jsonl").read_text().splitlines()]
    for row in rows:
        rounds = list(row["qa"])
        if row["random_shuffle"] and len(rounds) > 1:
            random.Random(row["seed"]).shuffle(rounds)
        said = training_conversation(rounds, row["msg"], row["system"], row["media"])
        assert (said.text, said.instruction) == (row["conversation"], row["instruction"])
    assert len(rows) == 152


def test_items_are_written_as_recorded(golden: Path) -> None:
    rows = [json.loads(line) for line in (golden / "item_text.jsonl").read_text().splitlines()]
    for row in rows:
        first = row["anno"]["QA"][0]
        example = InstructionExample(
            "x",
            row["anno"]["video"],
            tuple({k: v for k, v in turn.items() if k in "iqa"} for turn in row["anno"]["QA"]),
            span=Span(first["start_sec"], first["end_sec"]) if "start_sec" in first else None,
            negative_span=Span(first["neg_start_sec"], first["neg_end_sec"]) if "neg_start_sec" in first else None,
            extra={"clip": (row["anno"]["start"], row["anno"]["end"])} if "start" in row["anno"] else {},
        )
        before = json.dumps(example.rounds)
        drawn = draw(
            example,
            Representation(row["grounding_method"]) if row["grounding_method"] else None,
            CropRules(random=row["random_video_truncate"]),
            row["num_frames"],
            random.Random(row["seed"]),
        )
        said = drawn.conversation(TIMES if row["add_second_msg"] else None)
        assert (said.text, said.instruction) == (row["conversation"], row["instruction"])
        assert (list(drawn.window) if drawn.window else None) == row["clip_read"]
        assert json.dumps(example.rounds) == before
    assert len(rows) == 114


def said(representation: Representation, task: str = "grounding", seed: int = 0) -> tuple[str, object]:
    drawn = draw(SENTENCE, representation, CropRules(), 12, random.Random(seed), task)
    return drawn.conversation(None).text, drawn


def test_a_bare_sentence_takes_every_representation() -> None:
    text, drawn = said(Representation.CHOICE)
    assert "Question: During which part of the video does 'a dog, 50% wet, runs' occur?\nOptions:\n(A) " in text
    assert text.endswith(f") {OPTION_TEXT[drawn.crop.choice]} ###")
    text, drawn = said(Representation.SECOND)
    start, end = drawn.crop.seconds
    assert text.endswith(f"###Assistant: From second {start:.1f} to second {end:.1f}. ###")
    first, last = drawn.crop.frames(12)
    assert said(Representation.FRAME)[0].endswith(f"From frame {first} to frame {last}. ###")
    assert said(Representation.FRAME_TOKEN)[0].endswith(f"From <frame_{first}> to <frame_{last}>. ###")
    assert frame_tokens(12)[first] in said(Representation.FRAME_TOKEN)[0]
    assert said(Representation.DIRECT_CAPTION)[0] == "<Video></Video>a dog, 50% wet, runs"
    texts = {said(Representation.TIME_CAPTION, seed=seed)[0] for seed in range(40)}
    assert "<Video></Video>at the end of the video a dog, 50% wet, runs" in texts
    assert "<Video></Video>a dog, 50% wet, runs at the beginning of the video" in texts


def test_the_caption_task_asks_with_the_place_and_answers_with_the_sentence() -> None:
    text, drawn = said(Representation.CHOICE, "caption")
    assert text.endswith(f"###Human: {OPTION_TEXT[drawn.crop.choice]} ###Assistant: a dog, 50% wet, runs ###")
    text, drawn = said(Representation.SECOND, "caption")
    start, end = drawn.crop.seconds
    assert f"###Human: From second {start:.1f} to second {end:.1f}. ###Assistant: a dog, 50% wet, runs ###" in text


def test_option_order_changes_with_the_seed_and_only_with_it() -> None:
    orders = {said(Representation.CHOICE, seed=seed)[0].split("Options:")[1].split(" ###")[0] for seed in range(60)}
    assert len(orders) > 15
    assert said(Representation.CHOICE, seed=5)[0] == said(Representation.CHOICE, seed=5)[0]


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(AnnotationError, match="b: has no span, which representation choice needs"):
        draw(
            InstructionExample("b", "b.mp4", ({"q": "x", "a": "y"},)),
            Representation.CHOICE,
            CropRules(),
            12,
            random.Random(),
        )
    lists = InstructionExample("c", "c.mp4", ({"i": "", "q": "x", "a": [["end", "E"]]},), span=Span(1, 2), duration=9.0)
    with pytest.raises(AnnotationError, match="c: 'a' lists choices"):
        draw(lists, Representation.SECOND, CropRules(), 12, random.Random())
