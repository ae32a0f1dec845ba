"""All that can be known about a run before it begins: data, videos, steps, memory, and the first items as the model sees them.

Nothing is trained and no weights are loaded; the model is built on the meta device. Printing is the command's business.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from hawkeye.errors import AnnotationError, VideoError
from hawkeye.models.hawkeye.conversation import encode_conversation, split_at_video
from hawkeye.models.hawkeye.tokenizers import LanguageTokenizer
from hawkeye.records import atomic_write
from hawkeye.runtime import pick_device, pick_dtype
from hawkeye.train.build import model_shape
from hawkeye.train.config import TrainConfig
from hawkeye.train.dataset import TrainingSet, opened
from hawkeye.train.evaluation import grounding_evaluation
from hawkeye.train.loader import Plan
from hawkeye.train.memory import Memory, estimate_memory
from hawkeye.train.sources import Source, load_source

OPENED_VIDEOS = 20  # a source; every path is looked up, so many are opened too
SHOWN_ITEMS = 3


@dataclass(frozen=True)
class SourceReport:
    name: str
    examples: int
    met: float  # examples an epoch
    dropped: dict[str, int]
    missing: tuple[str, ...]  # videos that can't be found
    opened: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class ShownItem:
    """``pieces``: the text in order, each with whether the model learns it. ``picture``: its frames, as a file."""

    id: str
    source: str
    window: tuple[float, float] | None
    instruction: str
    pieces: tuple[tuple[str, bool], ...]
    picture: Path


@dataclass(frozen=True)
class DryRun:
    sources: tuple[SourceReport, ...]
    steps_per_epoch: int
    total_steps: int
    warmup_steps: float
    memory: Memory
    items: tuple[ShownItem, ...] = field(default=())

    @property
    def problems(self) -> list[str]:
        return [problem for source in self.sources for problem in (*source.missing, *source.unreadable)]


def dry_run(config: TrainConfig, pictures: Path, processes: int = 1) -> DryRun:
    """``pictures``: the folder for the shown items' frames. Raises ConfigError, AnnotationError or CheckpointError."""
    data = config.data
    sources = [load_source(source, config.seed, data.root) for source in data.sources]
    plan = Plan.of(sources, config.batch.size * processes, config.batch.accumulate, config.seed, data.bucket)
    if config.evaluation:
        if not config.evaluation.videos.is_dir():
            raise AnnotationError(f"evaluation.videos: {config.evaluation.videos}: no such folder of videos")
        grounding_evaluation(config.evaluation, config.seed)  # looks every video up
    reports = tuple(_report(source, config.seed) for source in sources)
    with TemporaryDirectory() as scratch:
        model, tokenizers = model_shape(config, Path(scratch))
        dtype = pick_dtype(config.precision, pick_device(config.device))
        memory = estimate_memory(model, config, dtype, processes)
        shown = _show_first(config, sources, plan, tokenizers.language, model.config.vision.image_size, pictures)
    return DryRun(
        sources=reports,
        steps_per_epoch=plan.steps_per_epoch,
        total_steps=config.schedule.max_steps or config.schedule.epochs * plan.steps_per_epoch,
        warmup_steps=config.schedule.warmup_epochs * plan.steps_per_epoch,
        memory=memory,
        items=shown,
    )


def _report(source: Source, seed: int) -> SourceReport:
    """Every video is looked up by name; a seeded sample of those found is opened and a frame of each read."""
    missing, found = [], []
    for index, example in enumerate(source.examples):
        try:
            if source.members is None:
                source.path(index)
            found.append(index)
        except VideoError as error:
            missing.append(f"{example.id}: {error}")
    picked = random.Random(f"{seed}\n{source.config.name}").sample(found, min(OPENED_VIDEOS, len(found)))
    unreadable = []
    for index in picked:
        try:
            with opened(source, index) as reader:
                reader.read([reader.info.num_frames // 2])
        except VideoError as error:
            unreadable.append(f"{source.examples[index].id}: {error}")
    return SourceReport(
        name=source.config.name,
        examples=len(source.examples),
        met=len(source.examples) * source.config.weight,
        dropped=source.dropped,
        missing=tuple(missing),
        opened=len(picked),
        unreadable=tuple(unreadable),
    )


def _show_first(
    config: TrainConfig,
    sources: Sequence[Source],
    plan: Plan,
    tokenizer: LanguageTokenizer,
    image_size: int,
    pictures: Path,
) -> tuple[ShownItem, ...]:
    """The first items of the run; none if they can't be read, which the sources' reports tell."""
    items = TrainingSet.of(config, sources, image_size)
    entries = [entry for batch in plan.batches(0, 1, 0, min(SHOWN_ITEMS, plan.batches_per_epoch)) for entry in batch]
    shown = []
    for number, entry in enumerate(entries[:SHOWN_ITEMS]):
        try:
            item = items[entry]
        except VideoError:
            continue
        picture = save_picture(item.pixels, pictures / f"item_{number}.png")
        source, window = sources[item.source].config.name, item.drawn.window
        pieces = labelled_pieces(tokenizer, item.text)
        shown.append(ShownItem(item.id, source, window, item.instruction, pieces, picture))
    return tuple(shown)


def labelled_pieces(tokenizer: LanguageTokenizer, text: str) -> tuple[tuple[str, bool], ...]:
    """The text cut where learning begins or ends, token by token as the labels have it."""
    before, after = split_at_video(text)
    _, starts = tokenizer.encode_with_starts(after)
    learned = encode_conversation(tokenizer, text).learned
    pieces = [(before, False)]
    for start, end, flag in zip(starts, [*starts[1:], len(after)], learned, strict=True):
        if pieces[-1][1] == flag:
            pieces[-1] = (pieces[-1][0] + after[start:end], flag)
        else:
            pieces.append((after[start:end], flag))
    return tuple(pieces)


def save_picture(pixels: torch.Tensor, path: Path) -> Path:
    """uint8 (T, 3, S, S) -> one PNG with the frames side by side."""
    from PIL import Image

    row = pixels.permute(2, 0, 3, 1).flatten(1, 2)  # S, T * S, 3
    with atomic_write(path, "wb") as file:
        Image.fromarray(row.contiguous().numpy()).save(file, format="png")
    return path
