"""Multiple-choice questions in batches: one look a question, and the model chooses an option.

The prompt is the reference's (``tasks/test.py``): times are seconds of the whole video, and blanks after the last option
are cut. Unlike `hawkeye.qa.ask` it takes the options as a benchmark has them, equal ones and single ones included.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkeye.choices import option_lines
from hawkeye.errors import ModelError, VideoError
from hawkeye.eval.decoding import Plan
from hawkeye.models.base import Answer, Look, VideoLanguageModel, answer
from hawkeye.prompts import qa_prompt
from hawkeye.records import QAExample
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, VideoReader, open_video
from hawkeye.video.sampling import sample_window

Answered = tuple[QAExample, dict[str, Any], dict[str, float]]  # the question, the answer's fields, seconds


@dataclass(frozen=True)
class Answering:
    """How to answer: ``num_frames`` of the question's window, ``batch_size`` looks a model call."""

    model: VideoLanguageModel
    num_frames: int
    batch_size: int = 16

    def plan(self, examples: Sequence[QAExample]) -> Plan:
        """The windows that the questions about one video are asked of, each once."""
        windows = tuple(dict.fromkeys(example.window for example in examples))
        return Plan(self.num_frames, windows, fps=_fps(examples))

    def answer(self, videos: Iterable[tuple[Path | VideoReader, Sequence[QAExample]]]) -> Iterator[Answered]:
        """The answers, in the order of the questions but for those that fail early."""
        waiting: list[tuple[QAExample, Look, float]] = []
        for example, look, seconds in self._looks(videos):
            if isinstance(look, str):
                yield example, _failed(look), {"decode": seconds, "total": seconds}
                continue
            waiting.append((example, look, seconds))
            if len(waiting) == self.batch_size:
                yield from self._choose(waiting)
                waiting = []
        yield from self._choose(waiting)

    def _looks(
        self, videos: Iterable[tuple[Path | VideoReader, Sequence[QAExample]]]
    ) -> Iterator[tuple[QAExample, Look | str, float]]:
        """Each question with what the model will see, or with the error that prevents it."""
        for video, examples in videos:
            try:
                reader = open_video(video, fps=_fps(examples)) if isinstance(video, Path) else video
            except VideoError as error:
                for example in examples:
                    yield example, str(error), 0.0
                continue
            seen: dict[Span | None, Frames | str] = {}
            for example in examples:
                began = time.perf_counter()
                if example.window not in seen:
                    seen[example.window] = self._frames(reader, example.window)
                frames = seen[example.window]
                look = frames if isinstance(frames, str) else _look(reader, example, frames)
                yield example, look, time.perf_counter() - began
            if reader is not video:
                reader.close()

    def _frames(self, reader: VideoReader, window: Span | None) -> Frames | str:
        try:
            indices, _ = sample_window(reader, window, self.num_frames)
            return reader.read(indices)
        except VideoError as error:
            return str(error)

    def _choose(self, asked: Sequence[tuple[QAExample, Look, float]]) -> Iterator[Answered]:
        if not asked:
            return
        began = time.perf_counter()
        given = _ask(self.model, [look for _, look, _ in asked])
        share = (time.perf_counter() - began) / len(asked)
        for (example, look, decode), found in zip(asked, given, strict=True):
            seconds = {"decode": decode, "model": share, "total": decode + share}
            yield example, _failed(found) if isinstance(found, str) else _fields(look, found), seconds


def _look(reader: VideoReader, example: QAExample, frames: Frames) -> Look:
    info = reader.info
    lines = option_lines(example.options)
    lines[-1:] = [line.rstrip() for line in lines[-1:]]
    return Look(
        video=str(info.path),
        duration=info.duration,
        window=example.window or Span(0.0, info.duration),
        frames=frames,
        query=example.question,
        prompt=qa_prompt(example.question, lines, frames.times),
        options=tuple(lines),
    )


def _fields(look: Look, found: Answer) -> dict[str, Any]:
    return {
        "window": list(look.window),
        "choice": found.index,
        "log_probs": list(found.log_probs),
        "reply": found.reply,
        "error": None,
    }


def _failed(error: str) -> dict[str, Any]:
    return {"choice": None, "error": error}


def _ask(model: VideoLanguageModel, looks: Sequence[Look]) -> list[Answer | str]:
    """The answers; an error's text in place of one that can't be had, without harm to the rest of the batch."""
    try:
        return list(answer(model, looks))
    except ModelError as error:
        if len(looks) == 1:
            return [str(error)]
    return [reply for look in looks for reply in _ask(model, [look])]


def _fps(examples: Sequence[QAExample]) -> float | None:
    return next((example.extra["fps"] for example in examples if "fps" in example.extra), None)
