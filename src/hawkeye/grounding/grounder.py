"""The door: a model, a video, a sentence -> a `GroundingResult`. CLI, evaluation and demo all come in here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, overload

from hawkeye.errors import ConfigError, ModelError, VideoError
from hawkeye.grounding.direct import ground_direct
from hawkeye.grounding.recursive import Search, Settings, rank_spans, search_all
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.source import Request, Source, VideoGroup, group_by_video
from hawkeye.models.base import FrameTextModel, VideoLanguageModel, load_model
from hawkeye.version import __version__
from hawkeye.video.reader import VideoReader

Strategy = Literal["recursive", "direct"]
Progress = Callable[[int, GroundingResult], None]
MAX_QUERY_CHARACTERS = 2000
MAX_TURNS = 16


def check_query(query: str) -> str:
    """The query without outer white space. Raises ConfigError if it is empty or too long for any model to read."""
    if not isinstance(query, str) or not query.strip():
        raise ConfigError("the query is empty: give a sentence such as 'a dog runs across the grass'")
    if len(query) > MAX_QUERY_CHARACTERS:
        raise ConfigError(f"the query has {len(query)} characters: expected at most {MAX_QUERY_CHARACTERS}; shorten it")
    return " ".join(query.split())


class Grounder:
    """Finds sentences in videos.

    ``model``: what `load_model` returns (the embedded default if None). ``strategy``: ``recursive`` (the paper's way),
    ``direct`` (a curve over the whole video, for models that compare frames with text), or None for the model's own
    default. ``orders``: option orders to average over at each turn. Raises ConfigError for impossible settings.
    """

    def __init__(
        self,
        model: VideoLanguageModel | None = None,
        strategy: Strategy | None = None,
        max_turns: int = 4,
        num_frames: int | None = None,
        seed: int = 0,
        top_k: int = 5,
        orders: int = 1,
        batch_size: int = 16,
        decode_threads: int = 2,
    ) -> None:
        self.model: VideoLanguageModel = load_model() if model is None else model
        self.strategy: str = strategy or getattr(self.model, "default_strategy", "recursive")
        _check("strategy", self.strategy, self.strategy in ("recursive", "direct"), "recursive or direct")
        if self.strategy == "direct" and not isinstance(self.model, FrameTextModel):
            raise ConfigError(
                f"strategy direct needs a model that compares frames with text; {self.model.name} does not"
            )
        frames = self.model.num_frames if num_frames is None else num_frames
        _check("max-turns", max_turns, 1 <= max_turns <= MAX_TURNS, f"1 to {MAX_TURNS}")
        _check("num-frames", frames, 1 <= frames <= 256, "1 to 256")
        _check("top-k", top_k, top_k >= 1, "1 or more")
        _check("orders", orders, 1 <= orders <= 24, "1 to 24")
        _check("batch-size", batch_size, batch_size >= 1, "1 or more")
        self.settings = Settings(max_turns, frames, seed, orders, top_k, batch_size)
        self._decode_threads = decode_threads
        if self.strategy == "direct" and not isinstance(self.model, FrameTextModel):
            raise ConfigError(
                f"strategy direct needs a model that compares frames with text; {self.model.name} does not"
            )

    @overload
    def ground(self, video: str | Path | VideoReader, query: str) -> GroundingResult: ...

    @overload
    def ground(
        self, video: str | Path | VideoReader, query: list[str] | tuple[str, ...], progress: Progress | None = None
    ) -> list[GroundingResult]: ...

    def ground(
        self,
        video: str | Path | VideoReader,
        query: str | list[str] | tuple[str, ...],
        progress: Progress | None = None,
    ) -> GroundingResult | list[GroundingResult]:
        """One result for one query, a list for a list. Raises VideoError or ModelError where it fails."""
        queries = [query] if isinstance(query, str) else list(query)
        requests = [Request(video, check_query(q)) for q in queries]
        results: dict[int, GroundingResult] = {}
        for done, (request, result) in enumerate(self.ground_many(requests), 1):
            if result.error is not None:
                # No duration: the video could not be opened; otherwise something failed later on.
                raise (VideoError if result.duration is None else ModelError)(result.error)
            results[id(request)] = result
            if progress:
                progress(done, result)
        in_order = [results[id(request)] for request in requests]
        return in_order[0] if isinstance(query, str) else in_order

    def ground_many(
        self, requests: Iterable[Request], progress: Progress | None = None
    ) -> Iterator[tuple[Request, GroundingResult]]:
        """Results as they are finished; one that fails has its ``error`` set and the rest goes on.

        Put requests about one video next to each other: they share its frames.
        """
        groups = group_by_video(requests)
        found = self._direct(groups) if self.strategy == "direct" else self._recursive(groups)
        for done, (request, result) in enumerate(found, 1):
            if progress:
                progress(done, result)
            yield request, result

    def _recursive(self, groups: Iterator[VideoGroup]) -> Iterator[tuple[Request, GroundingResult]]:
        executor = ThreadPoolExecutor(self._decode_threads, thread_name_prefix="hawkeye-decode")
        try:
            for search in search_all(self.model, groups, self.settings, executor):
                yield search.request, self._result_of(search)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _direct(self, groups: Iterator[VideoGroup]) -> Iterator[tuple[Request, GroundingResult]]:
        assert isinstance(self.model, FrameTextModel)
        for group in groups:
            source, requests, began = group.source, group.requests, time.perf_counter()
            answers, error = [], source.error
            if source.reader is not None:
                try:
                    queries = [request.query for request in requests]
                    answers = ground_direct(self.model, source.reader, queries, self.settings.top_k)
                except (VideoError, ModelError) as failure:
                    error = str(failure)
                source.close()
            for i, request in enumerate(requests):
                if error is not None:
                    yield request, self._failure(request, source, error)
                    continue
                found = answers[i]
                yield (
                    request,
                    GroundingResult(
                        video=request.name,
                        query=request.query,
                        duration=source.duration,
                        span=found.spans[0].span,
                        confidence=found.confidence,
                        found=found.found,
                        spans=found.spans,
                        curve=found.curve,
                        timings={**found.timings, "total": (time.perf_counter() - began) / len(requests)},
                        model=self.model.name,
                        strategy="direct",
                        version=__version__,
                    ),
                )

    def _result_of(self, search: Search) -> GroundingResult:
        if search.error is not None:
            return self._failure(search.request, search.source, search.error)
        spans, confidence = rank_spans(search.turns, self.settings.top_k)
        return GroundingResult(
            video=search.request.name,
            query=search.request.query,
            duration=search.source.duration,
            span=spans[0].span,
            confidence=confidence,
            found=True,
            spans=spans,
            turns=tuple(search.turns),
            timings={**search.seconds, "total": sum(search.seconds.values())},
            model=self.model.name,
            strategy="recursive",
            version=__version__,
        )

    def _failure(self, request: Request, source: Source, error: str) -> GroundingResult:
        return GroundingResult(
            video=request.name,
            query=request.query,
            duration=source.duration if source.reader is not None else None,
            span=None,
            model=self.model.name,
            strategy=self.strategy,
            version=__version__,
            error=error,
        )


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise ConfigError(f"--{name} is {value!r}: expected {expected}")
