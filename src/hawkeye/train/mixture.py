"""Which example is met when: the batches of an epoch, from the sizes and weights of the sources and a seed alone.

A batch holds one media type (pictures and videos differ in shape) and texts of about the same length. The plan is the
same on every rank and each takes its slice of every batch, so that N processes with batch B see what one process with
batch N x B sees. Nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hawkeye.errors import ConfigError
from hawkeye.runtime import seed_for

BUCKET_BATCHES = 32  # texts are sorted by length within so many batches: enough to save padding, little enough to mix
BLUR = 0.2  # lengths are sorted as if they were so much shorter or longer: texts of equal length often say the same


class Entry(NamedTuple):
    """One meeting with one example. ``turn`` tells the meetings of one epoch apart, where a weight is above 1."""

    epoch: int
    source: int
    item: int
    turn: int = 0


@dataclass(frozen=True)
class SourceShape:
    """What the plan must know of a source. ``lengths``: of the texts, any unit. ``shards``: which shard holds each
    example; the examples of a shard then stay together, so that each shard is read once and in order."""

    media: str
    lengths: Sequence[int]
    weight: float = 1.0  # how often an epoch meets each example
    shards: Sequence[int] | None = None


def epoch_plan(
    sources: Sequence[SourceShape], batch_size: int, seed: int, epoch: int, bucket: bool = True, multiple: int = 1
) -> list[list[Entry]]:
    """The batches of one epoch, each of ``batch_size`` examples; their number is a multiple of ``multiple``.

    What doesn't fill a batch is left for the next epoch's other order. Raises ConfigError if there is no batch at all.
    """
    rng = np.random.default_rng(seed_for(seed, "plan", epoch))
    batches: list[list[Entry]] = []
    places: list[np.ndarray] = []
    sharded = any(source.shards is not None for source in sources)
    for media in sorted({source.media for source in sources}):
        rows = np.concatenate([_meetings(source, n, rng) for n, source in enumerate(sources) if source.media == media])
        rows = rows[np.argsort(rows["key"], kind="stable")]
        if bucket:
            window = np.arange(len(rows)) // (batch_size * BUCKET_BATCHES)
            blurred = rows["length"] * rng.uniform(1 - BLUR, 1 + BLUR, len(rows))
            rows = rows[np.lexsort((blurred, window))]
        whole = rows[: len(rows) // batch_size * batch_size].reshape(-1, batch_size)
        names = ("source", "item", "turn")
        batches.extend([Entry(epoch, *(int(row[name]) for name in names)) for row in batch] for batch in whole)
        # Where each batch comes in the epoch: anywhere, or with shards not far from where it stands.
        near = np.arange(len(whole)) + BUCKET_BATCHES * rng.random(len(whole))
        places.append(near / max(1, len(whole)) if sharded else rng.random(len(whole)))
    order = np.argsort(np.concatenate(places), kind="stable")
    plan = [batches[i] for i in order][: len(batches) // multiple * multiple]
    if not plan:
        total = sum(round(len(source.lengths) * source.weight) for source in sources)
        raise ConfigError(
            f"the sources give {total} examples an epoch, too few for one step of {batch_size} x {multiple} examples: "
            "lower batch.size or batch.accumulate, or add data"
        )
    return plan


def rank_batches(plan: Sequence[list[Entry]], rank: int, world: int, start: int = 0) -> Iterator[list[Entry]]:
    """This rank's slice of every batch from number ``start`` on."""
    for batch in plan[start:]:
        # Every world-th entry, not a block: neighbours have texts of like length, so all ranks get like shares of work.
        yield batch[rank::world]


_ROW = np.dtype([("source", "i4"), ("item", "i8"), ("turn", "i4"), ("length", "i8"), ("key", "f8")])


def _meetings(source: SourceShape, number: int, rng: np.random.Generator) -> np.ndarray:
    """One row for each meeting with an example of this source, with a random place (``key``) in the epoch."""
    size = len(source.lengths)
    wanted = round(size * source.weight)
    turns, rest = divmod(wanted, size) if size else (0, 0)
    index = np.concatenate([np.tile(np.arange(size), turns), rng.permutation(size)[:rest]])
    rows = np.zeros(len(index), _ROW)
    rows["source"], rows["item"] = number, index
    rows["turn"] = np.repeat(np.arange(turns + 1), [size] * turns + [rest])
    rows["length"] = np.asarray(source.lengths, np.int64)[index]
    rows["key"] = rng.random(len(index))
    if source.shards is not None:
        shard = np.asarray(source.shards)[index]
        place = rng.permutation(int(shard.max(initial=0)) + 1)[shard]
        rows = rows[np.lexsort((rows["key"], place))]
        rows["key"] = np.sort(rows["key"])
    return rows
