"""The forms in which a model is taught where something happens, and how an annotated example takes each of them.

An example either brings its own rounds of text with slots (files in the layout of HawkEye-IT), or only a sentence and a
span, and then the rounds are made here. Text only: what the frames show is decided by the crop, read elsewhere.

Source: HawkEye paper, section 4.1 and table 6; reference ``dataset/it_dataset.py:176-233``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.errors import AnnotationError
from hawkeye.prompts import (
    GROUNDING_INSTRUCTION,
    QUESTION_TEMPLATE,
    Conversation,
    caption_conversation,
    frames_message,
    inference_conversation,
    question_with_options,
    training_conversation,
)
from hawkeye.records import InstructionExample
from hawkeye.spans import Span
from hawkeye.train.crops import Crop, CropRules, crop_for_choice, crop_for_numbers


class Representation(StrEnum):
    CHOICE = "choice"  # beginning, middle, end, throughout: the paper's
    SECOND = "second"  # From second 1.2 to second 3.4.
    FRAME = "frame"  # From frame 1 to frame 3.
    FRAME_TOKEN = "frame_token"  # From <frame_1> to <frame_3>., each a token of its own
    TIME_CAPTION = "time_caption"  # "a dog runs at the end of the video", without a question
    DIRECT_CAPTION = "direct_caption"  # the caption of the span alone


Task = Literal["grounding", "caption"]
Layout = Literal["training", "inference"]
IN_WORDS = (Representation.CHOICE, Representation.TIME_CAPTION)
SLOTS = {
    Representation.SECOND: "From second {start} to second {end}.",
    Representation.FRAME: "From frame {start} to frame {end}.",
    Representation.FRAME_TOKEN: "From <frame_{start}> to <frame_{end}>.",
}
# "%.1f" and "%d" of published files, and the named slots of our own templates. A bare percent sign is text (quirk 11).
_SLOT = re.compile(r"%\.\d+f|%d|\{start\}|\{end\}")


@dataclass(frozen=True)
class Templates:
    """What may be said around a sentence; one of each is drawn. A question holds ``{query}``."""

    instructions: Sequence[str] = (GROUNDING_INSTRUCTION.strip(),)
    questions: Sequence[str] = (QUESTION_TEMPLATE,)
    caption_instructions: Sequence[str] = ("Describe what happens in the given part of the video.",)


@dataclass(frozen=True)
class Drawn:
    """What an example became this time: the part of the video to show (None: all of it), and what will be said."""

    window: Span | None
    rounds: tuple[dict[str, str], ...] = ()
    caption: str | None = None  # a bare caption in place of rounds
    crop: Crop | None = None

    def conversation(
        self, times: Sequence[float] | None, media: str = "video", layout: Layout = "training"
    ) -> Conversation:
        """``times``: seconds of the frames from the window's start, or None to leave that sentence out."""
        if self.caption is not None:
            return caption_conversation(self.caption, media)
        message = "" if times is None else " " + frames_message(times)
        if layout == "training":
            return training_conversation(self.rounds, message, media=media)
        asked = self.crop is not None and self.crop.choice is not None and self.rounds[0]["a"].startswith("(")
        return inference_conversation(self.rounds, message, media, choose=asked)


def frame_tokens(num_frames: int) -> list[str]:
    """The words that `Representation.FRAME_TOKEN` adds to both tokenizers."""
    return [f"<frame_{number}>" for number in range(num_frames)]


def draw(
    example: InstructionExample,
    representation: Representation | None,
    rules: CropRules,
    num_frames: int,
    rng: random.Random,
    task: Task = "grounding",
    templates: Templates | None = None,
) -> Drawn:
    """One random instance of ``example``. ``representation`` None: a plain item, shown whole or by its own clip.

    Raises AnnotationError if the example has no span, or its text doesn't fit the representation.
    """
    if representation is None:
        rounds = [dict(turn) for turn in example.rounds]
        _shuffle(rounds, rng)
        return Drawn(_clip(example), tuple(rounds))
    if example.span is None:
        raise AnnotationError(f"{example.id}: has no span, which representation {representation!s} needs")
    if representation is Representation.DIRECT_CAPTION:
        return Drawn(example.span, caption=_sentence(example).lower())
    context = example.negative_span or Span(0.0, example.duration or example.span.end)
    cut = crop_for_choice if representation in IN_WORDS else crop_for_numbers
    crop = cut(example.span, context, rules, num_frames, rng)
    if representation is Representation.TIME_CAPTION:
        return Drawn(crop.window, caption=_time_caption(_sentence(example), crop, rng), crop=crop)
    rounds = [dict(turn) for turn in example.rounds] or [_make_round(example, representation, task, templates, rng)]
    filled = [_fill(rounds[0], crop, representation, num_frames, example.id), *rounds[1:]]
    _shuffle(filled, rng)
    return Drawn(crop.window, tuple(filled), crop=crop)


def _shuffle(rounds: list[dict[str, Any]], rng: random.Random) -> None:
    if len(rounds) > 1:
        rng.shuffle(rounds)


def _clip(example: InstructionExample) -> Span | None:
    """``start`` and ``end`` of a plain item of HawkEye-IT."""
    clip = example.extra.get("clip")
    return Span(*clip) if clip is not None else None


def _sentence(example: InstructionExample) -> str:
    return example.extra["query"] if "query" in example.extra else example.rounds[0]["q"]


def _time_caption(sentence: str, crop: Crop, rng: random.Random) -> str:
    assert crop.choice is not None
    caption, place = sentence.replace(".", "").lower(), OPTION_TEXT[crop.choice].lower().rstrip(".")
    return f"{place} {caption}" if rng.random() < 0.5 else f"{caption} {place}"


def _make_round(
    example: InstructionExample,
    representation: Representation,
    task: Task,
    templates: Templates | None,
    rng: random.Random,
) -> dict[str, Any]:
    """A round with slots, for an example that has only a sentence. Choices come as ``[[name, text], ...]``."""
    said = templates or Templates()
    query = _sentence(example)
    order = list(Choice)
    rng.shuffle(order)
    texts = [OPTION_TEXT[choice] for choice in order]
    if task == "caption":
        where: Any = SLOTS.get(representation) or [[str(c), text] for c, text in zip(order, texts, strict=True)]
        return {"i": rng.choice(said.caption_instructions), "q": where, "a": query}
    instruction = rng.choice(said.instructions)
    question = rng.choice(said.questions).replace("{query}", query)
    if representation is Representation.CHOICE:
        lines = option_lines(texts)
        answers = [[str(choice), line] for choice, line in zip(order, lines, strict=True)]
        return {"i": instruction, "q": question_with_options(question, lines), "a": answers}
    return {"i": instruction, "q": question, "a": SLOTS[representation]}


def _fill(
    turn: Mapping[str, Any], crop: Crop, representation: Representation, num_frames: int, id: str
) -> dict[str, str]:
    """The slots of a round's question or answer filled with what the crop makes true."""
    filled = {}
    for key, value in turn.items():
        if isinstance(value, str):
            filled[key] = value if key == "i" else _fill_numbers(value, crop, representation, num_frames)
            continue
        texts = dict(value)
        if representation is not Representation.CHOICE or str(crop.choice) not in texts:
            raise AnnotationError(f"{id}: {key!r} lists choices {list(texts)}, which {representation} can't answer")
        filled[key] = texts[str(crop.choice)]
    return filled


def _fill_numbers(text: str, crop: Crop, representation: Representation, num_frames: int) -> str:
    found = _SLOT.findall(text)
    if representation is Representation.CHOICE or len(found) != 2:
        return text
    values: tuple[float, float] = crop.seconds if representation is Representation.SECOND else crop.frames(num_frames)
    start, end = (_format(slot, value) for slot, value in zip(found, values, strict=True))
    before, middle, after = _SLOT.split(text)
    return f"{before}{start}{middle}{end}{after}"


def _format(slot: str, value: float) -> str:
    if slot.startswith("%"):
        return slot % value
    return str(value) if isinstance(value, int) else f"{value:.1f}"
