"""Questions and captions about a video, or about a stretch of it, with any `VideoLanguageModel`.

Multiple choice is answered by the probability of the options, open questions and captions by generation. Frames are chosen as
in evaluation; times told to the model are seconds of the video (the reference does so for questions, unlike for grounding).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Look, VideoLanguageModel, answer
from hawkeye.prompts import Prompt, caption_prompt, open_prompt, qa_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, VideoReader, open_video
from hawkeye.video.sampling import sample_window

if TYPE_CHECKING:
    from hawkeye.grounding.result import GroundingResult

MAX_QUESTION_CHARACTERS = 4000
MAX_OPTIONS = 64


@dataclass(frozen=True)
class Reply:
    """What a model said about a window of a video. Times in seconds of the video."""

    text: str
    video: str
    question: str
    window: Span
    frame_times: tuple[float, ...]
    options: tuple[str, ...] = ()  # lettered lines, for multiple choice
    index: int | None = None  # the chosen option; None: an open question, or a reply that names no option
    probabilities: tuple[float, ...] = ()  # of the options
    evidence: GroundingResult | None = None
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "video": self.video,
            "question": self.question,
            "answer": self.text,
            "index": self.index,
            "options": list(self.options),
            "probabilities": list(self.probabilities),
            "window": list(self.window),
            "frame_times": list(self.frame_times),
            "evidence": self.evidence.to_dict() if self.evidence else None,
            "model": self.model,
        }


def ask(
    model: VideoLanguageModel,
    video: str | Path | VideoReader,
    question: str,
    options: Sequence[str] = (),
    start: float | None = None,
    end: float | None = None,
    num_frames: int | None = None,
    evidence: bool = False,
    max_new_tokens: int = 100,
) -> Reply:
    """Answer ``question`` about the video between ``start`` and ``end`` (seconds; its ends if None).

    With ``options`` the best of them is chosen, without the model answers in its own words. ``evidence``: also ground what was
    asked, in the whole video. Raises ConfigError, VideoError, ModelError.
    """
    asked = check_question(question)
    lines = tuple(option_lines(check_options(options)))
    with seen(model, video, start, end, num_frames) as view:
        if not lines:
            prompt = open_prompt(asked, view.frames.times)
            reply = view.reply(asked, _generate(model, view.look(asked, prompt), max_new_tokens))
        else:
            look = view.look(asked, qa_prompt(asked, lines, view.frames.times), lines)
            given = answer(model, [look])[0]
            text = lines[given.index] if given.index is not None else given.reply or ""
            chances = tuple(math.exp(log_prob) for log_prob in given.log_probs)
            reply = view.reply(asked, text, options=lines, index=given.index, probabilities=chances)
        if not evidence:
            return reply
        from hawkeye.grounding.grounder import Grounder

        return replace(reply, evidence=Grounder(model, num_frames=num_frames).ground(view.reader, asked.rstrip(" ?")))


def caption(
    model: VideoLanguageModel,
    video: str | Path | VideoReader,
    start: float | None = None,
    end: float | None = None,
    where: Choice | str | None = None,
    num_frames: int | None = None,
    max_new_tokens: int = 100,
) -> Reply:
    """Describe what happens between ``start`` and ``end``, or in the part of it that ``where`` names.

    ``where``: beginning, middle, end or throughout (the segment-captioning objective). Raises ConfigError, VideoError,
    ModelError.
    """
    if where is not None and where not in tuple(Choice):
        raise ConfigError(f"where is {where!r}: expected {', '.join(Choice)}")
    place = OPTION_TEXT[Choice(where)] if where is not None else None
    with seen(model, video, start, end, num_frames) as view:
        look = view.look(place or "", caption_prompt(view.frames.times, place))
        return view.reply(place or "", _generate(model, look, max_new_tokens))


@dataclass
class Chat:
    """A conversation of several turns about one window. The frames are read once."""

    model: VideoLanguageModel
    view: View
    max_new_tokens: int = 100
    history: list[tuple[str, str]] = field(default_factory=list)

    def say(self, question: str) -> str:
        """The model's reply, which joins the history. Raises ConfigError, ModelError."""
        asked = check_question(question)
        prompt = open_prompt(asked, self.view.frames.times, self.history)
        reply = _generate(self.model, self.view.look(asked, prompt), self.max_new_tokens)
        self.history.append((f"Question: {asked}\n", reply))
        return reply


@dataclass(frozen=True)
class View:
    """A window of an open video as a model sees it."""

    model: str
    reader: VideoReader
    window: Span
    frames: Frames

    def look(self, query: str, prompt: Prompt, options: tuple[str, ...] = ()) -> Look:
        info = self.reader.info
        return Look(str(info.path), info.duration, self.window, self.frames, query, prompt, options)

    def reply(self, question: str, text: str, **fields: Any) -> Reply:
        path = str(self.reader.info.path)
        return Reply(text, path, question, self.window, self.frames.times, model=self.model, **fields)


@contextmanager
def seen(
    model: VideoLanguageModel,
    video: str | Path | VideoReader,
    start: float | None = None,
    end: float | None = None,
    num_frames: int | None = None,
) -> Iterator[View]:
    """The frames of a window, and the video kept open around them. A reader that is given stays open afterwards."""
    reader = video if isinstance(video, VideoReader) else open_video(video)
    try:
        window = check_window(reader, start, end)
        indices, _ = sample_window(reader, window, num_frames or model.num_frames)
        yield View(model.name, reader, window, reader.read(indices))
    finally:
        if reader is not video:
            reader.close()


def check_window(reader: VideoReader, start: float | None, end: float | None) -> Span:
    """Raises ConfigError for a window that is empty or outside the video; one that sticks out at the end is cut."""
    duration = reader.info.duration
    window = Span(0.0 if start is None else start, duration if end is None else min(end, duration))
    if not window.is_valid():
        asked = f"start {window.start:g}, end {window.end if end is None else end:g}"
        raise ConfigError(f"{asked}: expected 0 <= start < end, in seconds of a video of {duration:.1f} s")
    return window


def check_question(question: str) -> str:
    """Raises ConfigError if it is empty or longer than a model can read."""
    if not question.strip():
        raise ConfigError("the question is empty: give one such as 'What does the man hold?'")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise ConfigError(f"the question has {len(question)} characters: expected at most {MAX_QUESTION_CHARACTERS}")
    return question.strip()


def check_options(options: Sequence[str]) -> list[str]:
    """Raises ConfigError unless there are none, or at least two that differ and say something."""
    texts = [option.strip() for option in options]
    if texts and (len(texts) < 2 or len(texts) > MAX_OPTIONS or not all(texts) or len(set(texts)) < len(texts)):
        raise ConfigError(f"options {texts}: expected 2 to {MAX_OPTIONS} different ones that are not empty")
    return texts


def _generate(model: VideoLanguageModel, look: Look, max_new_tokens: int) -> str:
    if getattr(model, "generate", None) is None:
        raise ModelError(f"the model {model.name} can't write text: ask with options, or use another --model")
    return model.generate([look], max_new_tokens)[0]
