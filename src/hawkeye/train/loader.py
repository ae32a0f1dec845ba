"""From the plan to batches on their way to the model: worker processes read and tokenise, the main process only takes.

Where a batch lies in the run is one number, so that a resumed run reads on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader

from hawkeye.models.hawkeye.conversation import IGNORED, Tokenizers, TrainingBatch, training_batch
from hawkeye.prompts import Conversation
from hawkeye.train.dataset import Item, TrainingSet
from hawkeye.train.mixture import Entry, SourceShape, epoch_plan, rank_batches
from hawkeye.train.sources import Source

PREFETCH = 4  # batches a worker makes ahead


@dataclass(frozen=True)
class Loaded:
    """A batch of one rank. ``batch.pixels`` are still bytes. ``sources``: number of each row's source."""

    batch: TrainingBatch
    ids: tuple[str, ...]
    sources: torch.Tensor
    learned: int  # tokens with a label, over all rows
    unreadable: tuple[str, ...]

    def pin_memory(self) -> Loaded:
        """Called by the loader, so that copies to a GPU don't wait."""
        pinned = {name: value.pin_memory() for name, value in vars(self.batch).items()}
        return replace(self, batch=TrainingBatch(**pinned))


@dataclass(frozen=True)
class Plan:
    """The batches of a whole run, in order, epoch after epoch. ``size``: examples of one batch over all processes."""

    shapes: tuple[SourceShape, ...]
    size: int
    accumulate: int
    seed: int
    bucket: bool
    batches_per_epoch: int

    @classmethod
    def of(cls, sources: Sequence[Source], size: int, accumulate: int, seed: int, bucket: bool) -> Plan:
        """Raises ConfigError if the sources don't fill a single step."""
        shapes = tuple(
            SourceShape(
                source.media,
                source.text_lengths(),
                source.config.weight,
                [member.shard for member in source.members] if source.members is not None else None,
            )
            for source in sources
        )
        count = len(epoch_plan(shapes, size, seed, 0, bucket, accumulate))
        return cls(shapes, size, accumulate, seed, bucket, count)

    @property
    def steps_per_epoch(self) -> int:
        return self.batches_per_epoch // self.accumulate

    def batches(self, rank: int, world: int, start: int, stop: int) -> Iterator[list[Entry]]:
        """This rank's part of the batches number ``start`` to ``stop`` of the run."""
        while start < stop:
            epoch, first = divmod(start, self.batches_per_epoch)
            plan = epoch_plan(self.shapes, self.size, self.seed, epoch, self.bucket, self.accumulate)
            plan = plan[: stop - epoch * self.batches_per_epoch]
            yield from rank_batches(plan, rank, world, first)
            start = (epoch + 1) * self.batches_per_epoch


@dataclass(frozen=True)
class Collate:
    """Items -> `Loaded`, in the worker."""

    tokenizers: Tokenizers
    num_visual_tokens: int
    max_text_tokens: int
    max_instruction_tokens: int

    def __call__(self, items: Sequence[Item]) -> Loaded:
        batch = training_batch(
            self.tokenizers,
            [Conversation(item.text, item.instruction) for item in items],
            torch.stack([item.pixels for item in items]),
            self.num_visual_tokens,
            self.max_text_tokens,
            self.max_instruction_tokens,
        )
        return Loaded(
            batch=batch,
            ids=tuple(item.id for item in items),
            sources=torch.tensor([item.source for item in items]),
            learned=int((batch.labels[:, 1:] != IGNORED).sum()),
            unreadable=tuple(problem for item in items for problem in item.unreadable),
        )


def open_loader(
    data: TrainingSet, batches: Iterator[list[Entry]], collate: Collate, workers: int, pin: bool
) -> Iterator[Loaded]:
    """Batches in the order of the plan, whatever the number of workers."""
    loader = DataLoader(
        data,
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        pin_memory=pin,
        generator=torch.Generator(),  # or it would draw from the one behind dropout, and a resumed run would differ
    )
    return iter(loader)
