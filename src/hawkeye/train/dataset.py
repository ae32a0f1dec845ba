"""From an entry of the plan to one training item: frames and text. The whole item is decided by (seed, entry).

An item that can't be read is replaced whole, video and text, by another of its source, a bounded number of times. Items
are independent of each other, so workers may make them in any order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from tempfile import NamedTemporaryFile
from typing import Literal

import torch
from torch.utils.data import Dataset

from hawkeye.errors import VideoError
from hawkeye.records import InstructionExample
from hawkeye.runtime import seed_for
from hawkeye.train.config import TrainConfig
from hawkeye.train.frame_cache import FrameCache
from hawkeye.train.mixture import Entry
from hawkeye.train.representations import Drawn, Layout, draw
from hawkeye.train.sources import Source
from hawkeye.video.reader import VideoReader, indices_at, open_video
from hawkeye.video.sampling import clip_range, training_indices
from hawkeye.video.transforms import center_crop, random_crop, resize, resize_short_side

CROP_AREA = (0.5, 1.0)  # of the picture, as the reference crops (dataset/__init__.py:43)


@dataclass(frozen=True, eq=False)
class Item:
    """One training item. ``pixels`` uint8 (T, 3, S, S); T is 1 for a picture. ``unreadable``: what it stands in for."""

    id: str
    source: int
    pixels: torch.Tensor
    text: str
    instruction: str
    drawn: Drawn
    unreadable: tuple[str, ...] = ()


class TrainingSet(Dataset[Item]):
    """All sources of a run behind one ``[entry]``. Plain values only, so that it travels to worker processes."""

    def __init__(
        self,
        sources: Sequence[Source],
        seed: int,
        image_size: int,
        num_frames: int = 12,
        sampling: Literal["rand", "middle"] = "rand",
        frame_times: bool = True,
        layout: Layout = "training",
        augmented: bool = True,
        max_replacements: int = 10,
        cache_gib: float = 0.0,
    ) -> None:
        self.sources = sources
        self.seed = seed
        self.image_size = image_size
        self.num_frames = num_frames
        self.sampling = sampling
        self.frame_times = frame_times
        self.layout: Layout = layout
        self.augmented = augmented
        self.max_replacements = max_replacements
        # Never below the size asked for, even by the smallest crop, and no needless work on large videos.
        self.short_side = 2 * image_size
        self.cache = FrameCache(cache_gib * 2**30, self.short_side)

    @classmethod
    def of(cls, config: TrainConfig, sources: Sequence[Source], image_size: int) -> TrainingSet:
        data = config.data
        return cls(
            sources,
            config.seed,
            image_size,
            data.num_frames,
            data.sampling,
            data.frame_times,
            data.layout,
            data.augment,
            data.max_replacements,
            data.cache_gib,
        )

    def __getitem__(self, entry: Entry) -> Item:
        """Raises VideoError if the item and all its replacements are unreadable."""
        source, wanted = self.sources[entry.source], entry.item
        problems: list[str] = []
        for attempt in range(self.max_replacements + 1):
            rng = random.Random(
                seed_for(self.seed, "item", entry.epoch, source.config.name, wanted, entry.turn, attempt)
            )
            try:
                return replace(self._make(entry.source, wanted, rng), unreadable=tuple(problems))
            except VideoError as error:
                problems.append(f"{source.examples[wanted].id}: {error}")
            wanted = rng.randrange(len(source.examples))
        raise VideoError(
            f"source {source.config.name}: {len(problems)} items in a row can't be read, the last was {problems[-1]}: "
            "check data.sources.videos with --dry-run"
        )

    def _make(self, number: int, index: int, rng: random.Random) -> Item:
        source = self.sources[number]
        example, config = source.examples[index], source.config
        with self._reader(source, index) as reader:
            if example.duration is None:
                example = replace(example, duration=reader.info.duration)
            drawn = draw(
                example, config.representation, config.crops, self.num_frames, rng, config.task, source.templates
            )
            times, pixels = self._frames(reader, drawn, example, rng)
        augmented = self.augmented if config.augment is None else config.augment
        shown = augment(pixels, self.image_size, rng) if augmented else whole(pixels, self.image_size)
        told = times if self.frame_times and example.kind == "video" else None
        said = drawn.conversation(told, example.kind, self.layout)
        return Item(example.id, number, shown, said.text, said.instruction, drawn)

    @contextmanager
    def _reader(self, source: Source, index: int) -> Iterator[VideoReader]:
        key = source.path(index) if source.members is None else source.members[index]
        kept = self.cache.get(key)
        if kept is not None:
            yield kept
            return
        with opened(source, index) as reader:
            yield self.cache.keep(key, reader)

    def _frames(
        self, reader: VideoReader, drawn: Drawn, example: InstructionExample, rng: random.Random
    ) -> tuple[list[float], torch.Tensor]:
        """Seconds from the window's start, and pixels, of the chosen frames."""
        info = reader.info
        count = 1 if example.kind == "image" else self.num_frames
        indices = training_indices(self.sampling, count, info.num_frames, info.fps, drawn.window, rng)
        first, _ = clip_range(drawn.window, info.fps, info.num_frames)
        # At a variable rate the frame on screen at that time is meant, as at inference.
        shown = indices_at(reader, [index / info.fps for index in indices])
        return [(index - first) / info.fps for index in indices], reader.read(shown, self.short_side).pixels


def augment(pixels: torch.Tensor, size: int, rng: random.Random) -> torch.Tensor:
    """uint8 (T, 3, H, W) -> (T, 3, size, size): one random crop, and every other time mirrored, the same for all frames.

    Normalising waits until the pixels are on the device: as bytes they travel four times faster.
    """
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    top, left, height, width = random_crop(pixels.shape[-2], pixels.shape[-1], CROP_AREA, generator)
    resized = resize(pixels[..., top : top + height, left : left + width].contiguous(), size, size)
    return resized.flip(-1) if rng.random() < 0.5 else resized


def whole(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """The picture as inference sees it: short side to ``size``, centre crop."""
    return center_crop(resize_short_side(pixels, size), size)


@contextmanager
def opened(source: Source, index: int) -> Iterator[VideoReader]:
    """The video of an example, from its file or out of its shard. Raises VideoError."""
    if source.members is None:
        with open_video(source.path(index), fps=source.config.fps) as reader:
            yield reader
        return
    member = source.members[index]
    with NamedTemporaryFile(suffix=member.suffix) as file:
        file.write(member.read())
        file.flush()
        with open_video(file.name) as reader:
            yield reader
