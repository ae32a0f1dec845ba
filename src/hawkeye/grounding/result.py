"""What grounding a query gives: the span, how it was found turn by turn, and what else it could be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hawkeye.choices import Choice
from hawkeye.errors import AnnotationError
from hawkeye.spans import Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ScoredSpan:
    span: Span
    score: float  # 0 to 1


@dataclass(frozen=True)
class Turn:
    """One look: what was shown, what was offered, what was chosen."""

    window: Span
    frame_times: tuple[float, ...]  # seconds of the video
    options: tuple[Choice, ...]  # in the order shown
    log_probs: tuple[float, ...]  # aligned with ``options``
    choice: Choice
    reply: str | None = None  # the model's text, where it replied in text


@dataclass(frozen=True)
class GroundingResult:
    """The answer to one query about one video. All times in seconds. ``error`` is set, and the span None, if it failed."""

    video: str
    query: str
    duration: float | None
    span: Span | None
    confidence: float = 0.0  # 0 to 1
    found: bool = False  # False: "not in this video"
    spans: tuple[ScoredSpan, ...] = ()  # ranked; the first is ``span``
    turns: tuple[Turn, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()  # (time, score) of the direct strategy
    timings: dict[str, float] = field(default_factory=dict)
    model: str = ""
    strategy: str = "recursive"
    version: str = ""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` gives back an equal result."""
        return {
            "video": self.video,
            "query": self.query,
            "duration": self.duration,
            "span": list(self.span) if self.span else None,
            "confidence": self.confidence,
            "found": self.found,
            "spans": [{"span": list(s.span), "score": s.score} for s in self.spans],
            "turns": [
                {
                    "window": list(t.window),
                    "frame_times": list(t.frame_times),
                    "options": [str(c) for c in t.options],
                    "log_probs": list(t.log_probs),
                    "choice": str(t.choice),
                    "reply": t.reply,
                }
                for t in self.turns
            ],
            "curve": [list(point) for point in self.curve],
            "timings": self.timings,
            "model": self.model,
            "strategy": self.strategy,
            "version": self.version,
            "error": self.error,
        }

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GroundingResult:
        """Raises AnnotationError if a field is missing or ill-typed."""
        try:
            return cls(
                video=values["video"],
                query=values["query"],
                duration=values["duration"],
                span=Span(*values["span"]) if values["span"] else None,
                confidence=values["confidence"],
                found=values["found"],
                spans=tuple(ScoredSpan(Span(*s["span"]), s["score"]) for s in values["spans"]),
                turns=tuple(_turn(t) for t in values["turns"]),
                curve=tuple((float(t), float(v)) for t, v in values.get("curve", ())),
                timings=dict(values.get("timings", {})),
                model=values.get("model", ""),
                strategy=values.get("strategy", "recursive"),
                version=values.get("version", ""),
                error=values.get("error"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(f"not a grounding result: {type(error).__name__} {error}") from None

    @classmethod
    def from_json(cls, text: str) -> GroundingResult:
        """Raises AnnotationError if the text is no result."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise AnnotationError(f"not a grounding result: not valid JSON ({error.msg})") from None
        return cls.from_dict(values)

    def __str__(self) -> str:
        if self.error:
            return f"{self.video}: {self.query!r}: failed: {self.error}"
        if self.span is None:
            return f"{self.video}: {self.query!r}: no span"
        head = f"{self.span.start:.1f} - {self.span.end:.1f} s" if self.found else "not in this video"
        guess = "" if self.found else f" (best guess {self.span.start:.1f} - {self.span.end:.1f} s)"
        return f"{self.query!r}: {head}{guess}, confidence {self.confidence:.2f}"

    def plot(self) -> Figure:
        """A matplotlib figure: the windows of every turn, the curve if there is one, and the span."""
        from hawkeye.grounding.plot import plot_result

        return plot_result(self)


def _turn(values: dict[str, Any]) -> Turn:
    return Turn(
        window=Span(*values["window"]),
        frame_times=tuple(values["frame_times"]),
        options=tuple(Choice(c) for c in values["options"]),
        log_probs=tuple(values["log_probs"]),
        choice=Choice(values["choice"]),
        reply=values.get("reply"),
    )
