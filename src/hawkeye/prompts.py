r"""Every string a model ever sees. Pure functions, no torch; each text is as the released weights were scored with.

Layout of an evaluation prompt (reference ``tasks/test_recursive_grounding.py:280-300``, ``tasks/test.py``)::

    INSTRUCTION\n###Human: <Video>[visual tokens]</Video> MESSAGE\n###Human: INSTRUCTION\nQUESTION
    Only give the best option.\n###Assistant: Best option: (

It is kept to the character, with its repeated instruction and its two spellings of the reply start (quirks I3, I5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GROUNDING_INSTRUCTION = (
    "Examine the video and choose the most appropriate choice in accordance with the video's content.\n"
)
QA_INSTRUCTION = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of objects, "
    "and the action and pose of persons. Based on your observations, select the best option that accurately addresses the "
    "question.\n"
)
OPEN_INSTRUCTION = "Assess the displayed video and answer the subsequent question with accuracy.\n"
CAPTION_INSTRUCTION = "Describe what happens in the given part of the video.\n"
WHOLE_CAPTION_INSTRUCTION = "Describe what happens in the video.\n"
QUESTION_TEMPLATE = "During which part of the video does '{query}' occur?"
OPTION_PROMPT = "\nOnly give the best option."
GROUNDING_REPLY_START = "Best option: ("
QA_REPLY_START = "Best option:("
HUMAN, ASSISTANT, SEPARATOR = "Human: ", "Assistant: ", "###"
VIDEO_START, VIDEO_END = "<Video>", "</Video>"


@dataclass(frozen=True)
class Prompt:
    """The parts of one prompt. A language model joins ``before_video``, its visual tokens and ``after_video``;
    a chat model takes ``instruction``, ``message`` and ``question``."""

    instruction: str  # system text; also the Q-Former's instruction
    message: str  # " The video contains ..." or ""
    question: str  # the whole question text, with options if there are any
    request: str = ""  # what comes after the question, such as OPTION_PROMPT
    reply_start: str = ""  # the beginning of the reply that the model continues

    @property
    def before_video(self) -> str:
        return f"{self.instruction}{SEPARATOR}{HUMAN}{VIDEO_START}"

    @property
    def after_video(self) -> str:
        # Without a reply start nothing follows the colon: the blank is the first thing that the model says.
        reply = f"{ASSISTANT}{self.reply_start}" if self.reply_start else ASSISTANT.rstrip()
        asked = f"{self.instruction}{self.question}{self.request}\n{SEPARATOR}{reply}"
        return f"{VIDEO_END}{self.message}\n{SEPARATOR}{HUMAN}{asked}"


def format_seconds(seconds: float) -> str:
    """One decimal, from round-half-to-even of tenths, as NumPy rounds (quirk 18); never ``-0.0``."""
    return f"{_round_half_even(seconds * 10) / 10 + 0.0:.1f}"


def _round_half_even(value: float) -> float:
    return float(round(value)) if math.isfinite(value) else value


def frames_message(times: Sequence[float]) -> str:
    """The sentence that tells when the frames were taken (seconds; the caller says relative to what)."""
    listed = ", ".join(format_seconds(t) for t in times)
    return f"The video contains {len(times)} frames sampled at {listed} seconds."


def question_with_options(question: str, options: Sequence[str]) -> str:
    """``options`` are lettered lines (see ``choices.option_lines``)."""
    return "Question: " + question + "\nOptions:\n" + "\n".join(options)


def grounding_prompt(query: str, options: Sequence[str], times: Sequence[float]) -> Prompt:
    """``times`` are relative to the window's start (quirk I9)."""
    return Prompt(
        instruction=GROUNDING_INSTRUCTION,
        message=" " + frames_message(times),
        question=question_with_options(QUESTION_TEMPLATE.format_map({"query": query}), options),
        request=OPTION_PROMPT,
        reply_start=GROUNDING_REPLY_START,
    )


def qa_prompt(question: str, options: Sequence[str], times: Sequence[float]) -> Prompt:
    """Multiple choice, as the reference asks MVBench and the other question sets."""
    return Prompt(
        instruction=QA_INSTRUCTION,
        message=" " + frames_message(times),
        question=question_with_options(question, options),
        request=OPTION_PROMPT,
        reply_start=QA_REPLY_START,
    )


def open_prompt(question: str, times: Sequence[float], history: Sequence[tuple[str, str]] = ()) -> Prompt:
    """A question to be answered in free words; ``history``: (question, reply) pairs that were said before.

    As the reference asks its open questions (``tasks/test.py``, modes ``grounding_sec`` and ``grounding_frame``). Earlier turns
    stand inside the question's text, so that every kind of model sees them.
    """
    said = "".join(f"{asked}\n{SEPARATOR}{ASSISTANT}{reply}\n{SEPARATOR}{HUMAN}" for asked, reply in history)
    return Prompt(OPEN_INSTRUCTION, " " + frames_message(times), f"{said}Question: {question}\n")


def caption_prompt(times: Sequence[float], where: str | None = None) -> Prompt:
    """Describe the part that ``where`` names (an option's text of `choices.OPTION_TEXT`), or all of the video.

    The segment-captioning objective (HawkEye paper, section 3.2) in the layout of evaluation; the place is the question.
    """
    instruction = CAPTION_INSTRUCTION if where else WHOLE_CAPTION_INSTRUCTION
    return Prompt(instruction, " " + frames_message(times), where or "")


@dataclass(frozen=True)
class Conversation:
    """The text of one training item: everything said, with an empty place for the visual tokens, and the Q-Former's
    instruction."""

    text: str
    instruction: str


MEDIA_MARKS = {"video": (VIDEO_START, VIDEO_END), "image": ("<Image>", "</Image>")}


def training_conversation(
    rounds: Sequence[Mapping[str, str]], message: str = "", system: str = "", media: str = "video"
) -> Conversation:
    """Rounds ``{"i", "q", "a"}`` -> a conversation; the first round's instruction counts (reference ``it_dataset.py:66-98``).

    ``message`` is the sentence about the frames, with a blank before it. Training separates turns with a blank where
    evaluation has a line feed (quirk 69); the Q-Former sees the first question too, if there is an instruction.
    """
    given = rounds[0].get("i", "")
    parts = [f"{given} " if given else "", f"{SEPARATOR}{HUMAN}{''.join(MEDIA_MARKS[media])}{message.rstrip()} "]
    for turn in rounds:
        if turn["q"]:
            parts.append(f"{SEPARATOR}{HUMAN}{turn['q']} ")
        parts.append(f"{SEPARATOR}{ASSISTANT}{turn['a']} ")
    return Conversation(
        text=system + "".join(parts) + SEPARATOR,
        instruction=f"{given} {rounds[0]['q']}".strip() if given else "",
    )


def caption_conversation(caption: str, media: str = "video") -> Conversation:
    """A bare caption after the visual tokens: no turns, no instruction; all of it is learned."""
    return Conversation("".join(MEDIA_MARKS[media]) + caption, "")


def inference_conversation(
    rounds: Sequence[Mapping[str, str]], message: str = "", media: str = "video", choose: bool = False
) -> Conversation:
    """A training conversation laid out exactly as an evaluation prompt and its reply (see the top of this file).

    For models that are trained anew: what they learn is then what they are asked. The released weights were trained on
    `training_conversation`. ``choose``: the answer is a lettered option, asked for and begun as in evaluation.
    """
    first, *others = rounds
    given = first.get("i", "")
    instruction = f"{given}\n" if given else ""
    answer = first["a"].removeprefix("(") if choose else first["a"]
    request, reply_start = (OPTION_PROMPT, GROUNDING_REPLY_START) if choose else ("", "")
    prompt = Prompt(instruction, message.rstrip(), first["q"], request, reply_start)
    start, end = MEDIA_MARKS[media]
    asked = prompt.before_video.replace(VIDEO_START, start) + prompt.after_video.replace(VIDEO_END, end, 1)
    text = f"{asked}{'' if choose else ' '}{answer}"
    for turn in others:
        text += f"\n{SEPARATOR}{HUMAN}{turn['q']}\n{SEPARATOR}{ASSISTANT}{turn['a']}"
    return Conversation(f"{text}\n{SEPARATOR}", given)
