"""Where training examples come from: one block of the config a source, read into `InstructionExample` records.

Annotations only. Videos are resolved here by name, and opened elsewhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hawkeye.config import Config
from hawkeye.datasets.registry import load_dataset
from hawkeye.datasets.videos import resolve_video
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.records import GroundingExample, InstructionExample, read_json
from hawkeye.spans import Span
from hawkeye.train.crops import CropRules
from hawkeye.train.representations import Representation, Task, Templates, draw
from hawkeye.train.shards import Member, ShardIndex, open_shards


class SourceConfig(Config):
    """One source of a mixture."""

    name: str = Field(min_length=1)  # how it is called in logs; its losses are logged under it
    dataset: str = "instruction"  # a data set's name (hawkeye prepare --help), or "shards"
    annotations: Path | list[Path]  # official file(s); for shards the folder of .tar files
    videos: Path | None = None  # folder of videos; shards bring their own
    options: dict[str, Any] = Field(default_factory=dict)  # of the data set's reader, such as split: train
    representation: Representation | None = None  # None: plain questions and answers
    task: Task = "grounding"  # for sentences with spans: find them, or caption them
    instructions: list[str] | Path | None = None  # texts, or a JSON list of them; None: the built-in ones
    questions: list[str] | Path | None = None  # each holds {query}
    crops: CropRules = CropRules()
    weight: float = Field(default=1.0, gt=0)  # how often an epoch meets each example
    limit: int | None = Field(default=None, gt=0)  # so many examples, drawn once with the run's seed
    fps: float | None = Field(default=None, gt=0)  # of frame folders; None: 3
    augment: bool | None = None  # random crop and flip; None: as data.augment says

    @model_validator(mode="after")
    def _has_videos(self) -> SourceConfig:
        if self.videos is None and self.dataset != "shards":
            raise ValueError("videos: name the folder of videos")
        return self

    def below(self, root: Path) -> SourceConfig:
        """The same source with its relative paths taken from ``root``."""
        files = self.annotations
        paths: dict[str, Any] = {
            "annotations": [root / path for path in files] if isinstance(files, list) else root / files,
            "videos": root / self.videos if self.videos is not None else None,
        }
        for key in ("instructions", "questions"):
            given = getattr(self, key)
            paths[key] = root / given if isinstance(given, Path) else given
        return self.model_copy(update=paths)


@dataclass(frozen=True)
class Source:
    """A source that has been read. ``members``: for shards, where each example's video lies."""

    config: SourceConfig
    examples: Sequence[InstructionExample]
    templates: Templates
    dropped: dict[str, int]
    members: Sequence[Member] | None = None

    @property
    def media(self) -> Literal["video", "image"]:
        return "image" if self.examples[0].kind == "image" else "video"

    def text_lengths(self) -> list[int]:
        """About how many characters each example's text will have: what batches of like length are made by."""
        first, rules, method = self.examples[0], self.config.crops, self.config.representation
        known = replace(first, duration=first.duration or first.span.end) if first.span else first
        drawn = draw(known, method, rules, 1, random.Random(0), self.config.task, self.templates)
        # What is said around the example's own words is the same for all of a source.
        around = len(drawn.conversation(None).text) - _own_length(first)
        return [around + _own_length(example) for example in self.examples]

    def path(self, index: int) -> Path:
        """Raises VideoError that names the places looked at."""
        assert self.config.videos is not None
        return resolve_video(self.examples[index], self.config.videos)


def _own_length(example: InstructionExample) -> int:
    own = sum(len(str(turn.get(key, ""))) for turn in example.rounds for key in "qa")
    return own + len(example.extra.get("query", ""))


def load_source(config: SourceConfig, seed: int, root: Path = Path()) -> Source:
    """Raises AnnotationError or ConfigError, each with the source's name, before anything costly is done."""
    config = config.below(root)
    if config.videos is not None and not config.videos.is_dir():
        raise AnnotationError(
            f"source {config.name}: {config.videos}: no such folder of videos: set data.sources.videos"
        )
    members = None
    dropped: Counter[str] = Counter()
    if config.dataset == "shards":
        index: ShardIndex = open_shards(config.annotations)
        examples, members = list(index.examples), list(index.members)
    else:
        loaded = load_dataset(config.dataset, config.annotations, **config.options)
        if loaded.kind == "qa":
            raise ConfigError(f"source {config.name}: {config.dataset} is a benchmark of questions, not training data")
        dropped.update(loaded.dropped)
        examples = [_instruction(e) if isinstance(e, GroundingExample) else e for e in loaded.examples]
    usable = [i for i, example in enumerate(examples) if _fits(example, config, dropped)]
    if config.limit is not None and config.limit < len(usable):
        # The same subset on every rank, whatever its number (quirk 19).
        usable = sorted(random.Random(f"{seed}\n{config.name}").sample(usable, config.limit))
    if not usable:
        raise AnnotationError(f"source {config.name}: {config.annotations}: nothing to train on ({dict(dropped)})")
    kinds = {examples[i].kind for i in usable}
    if len(kinds) > 1:
        raise ConfigError(f"source {config.name}: mixes {' and '.join(sorted(kinds))}: make one source of each")
    return Source(
        config,
        [examples[i] for i in usable],
        _templates(config),
        dict(dropped),
        [members[i] for i in usable] if members is not None else None,
    )


def _instruction(example: GroundingExample) -> InstructionExample:
    context = example.extra.get("context")
    return InstructionExample(
        id=example.id,
        media=example.video,
        rounds=(),
        span=example.spans[0] if example.spans else None,
        negative_span=Span(*context) if context else None,
        duration=example.duration,
        extra={**example.extra, "query": example.query},
    )


def _fits(example: InstructionExample, config: SourceConfig, dropped: Counter[str]) -> bool:
    """Whether the representation can be made of it; if not, the reason is counted."""
    reason = None
    if config.representation is None:
        if not example.rounds:
            reason = "no question and answer (set a representation)"
    elif example.span is None:
        reason = "no span (representation needs one)"
    elif example.negative_span is not None and not example.span.clamp(*example.negative_span).length > 0:
        reason = "span out of its context"
    if reason:
        dropped[reason] += 1
    return reason is None


def _templates(config: SourceConfig) -> Templates:
    values: dict[str, list[str]] = {}
    own = "caption_instructions" if config.task == "caption" else "instructions"
    for key, given in ((own, config.instructions), ("questions", config.questions)):
        if given is None:
            continue
        texts = read_json(given) if isinstance(given, Path) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"source {config.name}: {given}: expected a JSON list of texts")
        values[key] = [text.replace("%s", "{query}", 1) if key == "questions" else text for text in texts]
    if any("{query}" not in question for question in values.get("questions", [])):
        raise ConfigError(f"source {config.name}: every question must hold {{query}} (or %s)")
    return Templates(**values)
