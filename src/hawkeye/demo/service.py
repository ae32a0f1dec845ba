"""What the page does, without the page: ground, compare, ask and caption an uploaded video with one of the offered models.

Every function works on a `Job`, so that it shows progress and can be stopped. Nothing is remembered between calls.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hawkeye.demo.jobs import Job, WatchedReader
from hawkeye.demo.panels import compare_html, reply_html, result_html
from hawkeye.demo.pictures import filmstrip, pictures_at, turn_pictures
from hawkeye.errors import ConfigError
from hawkeye.grounding.direct import direct_reads
from hawkeye.grounding.grounder import Grounder, check_query
from hawkeye.grounding.picture import draw_results
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.source import Request
from hawkeye.models.base import DEFAULT_MODEL, REGISTRY, load_model
from hawkeye.qa import Reply, ask, caption, check_options, check_question, check_window
from hawkeye.records import atomic_write
from hawkeye.video.cut import cut_clip
from hawkeye.video.reader import VideoReader, open_video

MAX_SENTENCES = 20
MAX_CLIPS, MAX_CLIP_SECONDS = 5, 300.0  # longer stretches are left to `hawkeye ground --cut`
AUTO = "auto"


@dataclass(frozen=True)
class Offer:
    """A model that visitors may choose: its name in the list, and what `load_model` needs."""

    name: str
    model: str
    weights: str | None = None


def read_offers(words: Sequence[str]) -> list[Offer]:
    """``name`` or ``name=weights`` each; the default model if there is none. Raises ConfigError."""
    offers = []
    for word in words or [DEFAULT_MODEL]:
        model, _, weights = word.partition("=")
        known = model in REGISTRY or Path(model).is_dir()
        if not known:
            raise ConfigError(f"--model {word}: no such model or folder. Known models: {', '.join(REGISTRY)}")
        name = model if model in REGISTRY else Path(model).name
        while any(offer.name == name for offer in offers):
            name += "'"
        offers.append(Offer(name, model, weights or None))
    return offers


class Models:
    """The offered models, loaded at first use; only one piece of work uses a model at a time."""

    def __init__(self, offers: Sequence[Offer], device: str = "auto", dtype: str = "auto") -> None:
        self.offers = {offer.name: offer for offer in offers}
        self._device, self._dtype = device, dtype
        self._loaded: dict[str, Any] = {}
        self._locks = {name: threading.Lock() for name in self.offers}

    @classmethod
    def of(cls, loaded: Mapping[str, Any]) -> Models:
        """Models of your own that are in memory already: name -> object that meets `VideoLanguageModel`."""
        models = cls([Offer(name, name) for name in loaded])
        models._loaded.update(loaded)
        return models

    @property
    def names(self) -> list[str]:
        """What visitors can choose from, the default first."""
        return list(self.offers)

    def lock(self, name: str) -> threading.Lock:
        """Raises ConfigError for a model that is not offered."""
        if name not in self._locks:
            raise ConfigError(f"model {name!r} is not offered here: expected one of {', '.join(self.names)}")
        return self._locks[name]

    def get(self, name: str) -> Any:
        """The loaded model; call it with its `lock` held. Raises ConfigError, CheckpointError."""
        if name not in self._loaded:
            offer = self.offers[name]
            self._loaded[name] = load_model(offer.model, offer.weights, self._device, self._dtype)
        return self._loaded[name]


@dataclass(frozen=True)
class Search:
    """How to look: an offered model, a strategy (or auto), and the number of turns."""

    model: str
    strategy: str = AUTO
    max_turns: int = 4

    @property
    def title(self) -> str:
        return self.model if self.strategy == AUTO else f"{self.model}, {self.strategy}"


def read_sentences(words: str) -> list[str]:
    """One sentence a line. Raises ConfigError if there is none, too many, or one is too long."""
    sentences = list(dict.fromkeys(check_query(line) for line in words.splitlines() if line.strip()))
    if not sentences:
        raise ConfigError("no sentence yet: type one such as 'a dog runs across the grass'")
    if len(sentences) > MAX_SENTENCES:
        raise ConfigError(f"{len(sentences)} sentences: expected at most {MAX_SENTENCES} at once")
    return sentences


def ground(models: Models, video: Path, sentences: Sequence[str], search: Search, job: Job) -> list[GroundingResult]:
    """One result a sentence, in order; ``video`` in them is the file's name. Raises Stopped, ConfigError, ...."""
    with models.lock(search.model):
        job.phase("Loading the model")
        model = models.get(search.model)
        grounder = Grounder(model, None if search.strategy == AUTO else search.strategy, int(search.max_turns))  # pyright: ignore[reportArgumentType]
        with open_video(video) as reader:
            job.phase("Looking", _frames_to_read(grounder, reader, len(sentences)))
            watched = WatchedReader(reader, job)
            found = {
                request.query: replace(result, video=video.name)
                for request, result in grounder.ground_many([Request(watched, query) for query in sentences])
            }
    job.check()
    return [found[query] for query in sentences]


def _frames_to_read(grounder: Grounder, reader: VideoReader, num_queries: int) -> int:
    if grounder.strategy == "direct":
        return sum(len(indices) for indices, _ in direct_reads(reader))
    return grounder.settings.num_frames * grounder.settings.max_turns * num_queries


def show(video: Path, results: Sequence[GroundingResult], job: Job, name: str = "t") -> str:
    """The HTML of results: cards, timeline, turns. Raises Stopped, VideoError."""
    job.phase("Drawing")
    with open_video(video) as reader:
        watched = WatchedReader(reader, job)
        return result_html(results, filmstrip(watched), turn_pictures(watched, results), name)


def compare(models: Models, video: Path, sentences: Sequence[str], searches: Sequence[Search], job: Job) -> str:
    """The HTML of several ways to search, side by side."""
    sides = []
    for index, search in enumerate(searches):
        results = ground(models, video, sentences, search, job)
        sides.append((search.title, show(video, results, job, name=f"c{index}")))
    return compare_html(sides)


def answer(
    models: Models,
    video: Path,
    question: str,
    options: str,
    start: float | None,
    end: float | None,
    evidence: bool,
    model: str,
    job: Job,
) -> tuple[Reply, str]:
    """A question with or without options (one a line): the reply and its HTML. ``end``: 0 or None is the video's end."""
    asked, lines = check_question(question), check_options([line for line in options.splitlines() if line.strip()])
    with models.lock(model):
        job.phase("Loading the model")
        loaded = models.get(model)
        with open_video(video) as reader:
            job.phase("Looking", loaded.num_frames)
            watched = WatchedReader(reader, job)
            reply = ask(loaded, watched, asked, lines, start, end or None, evidence=evidence)
            job.phase("Drawing")
            proof = "" if reply.evidence is None else result_html([reply.evidence], filmstrip(watched), {}, "e")
            return reply, reply_html(reply, pictures_at(watched, reply.frame_times), proof)


def describe(
    models: Models, video: Path, start: float | None, end: float | None, model: str, job: Job
) -> tuple[Reply, str]:
    """A caption of a stretch (the whole video if neither is given): the reply and its HTML."""
    with models.lock(model):
        job.phase("Loading the model")
        loaded = models.get(model)
        with open_video(video) as reader:
            job.phase("Looking", loaded.num_frames)
            watched = WatchedReader(reader, job)
            reply = caption(loaded, watched, start, end or None)
            job.phase("Drawing")
            return reply, reply_html(reply, pictures_at(watched, reply.frame_times))


def clip(video: Path, start: float | None, end: float | None, folder: Path) -> Path:
    """Seconds ``start`` to ``end`` (0 or None: its end) as an mp4 file in ``folder``. Raises ConfigError, VideoError."""
    with open_video(video) as reader:
        span = check_window(reader, start, end or None)
    return cut_clip(video, span, folder / f"{video.stem}_{span.start:.1f}-{span.end:.1f}.mp4")


def write_downloads(video: Path, results: Sequence[GroundingResult], folder: Path, job: Job) -> list[Path]:
    """The results as JSON, as a picture, and the found stretches (of the first few sentences) as clips."""
    files = [folder / f"{video.stem}.json"]
    with atomic_write(files[0]) as file:
        json.dump([result.to_dict() for result in results], file, ensure_ascii=False, allow_nan=False, indent=1)
    good = [result for result in results if result.span is not None]
    if good:
        job.phase("Writing the picture")
        files.append(folder / f"{video.stem}.png")
        with atomic_write(files[-1], "wb") as file:
            draw_results(video, good).save(file, format="PNG")
    spans = dict.fromkeys(result.span for result in good if result.found and result.span != (0.0, result.duration))
    short = [span for span in spans if span is not None and span.length <= MAX_CLIP_SECONDS]
    for number, span in enumerate(short[:MAX_CLIPS], 1):
        job.phase(f"Cutting clip {number}")
        files.append(clip(video, span.start, span.end, folder))
    return files
