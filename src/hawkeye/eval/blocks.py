"""How examples are dealt out: grouped by video, a few videos a block, whole blocks to a shard.

A block is what the model works on at once, so batches hold the same looks in a run that was interrupted, in a shard and
in one go, and the numbers are the same to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hawkeye.errors import ConfigError

VIDEOS_A_BLOCK = 16


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (1 to ``count``) of the blocks."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/3`` is the second of three. Raises ConfigError."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"--shard is {text!r}: expected i/n with i from 1 to n, such as 1/3")
        return cls(int(found[1]), int(found[2]))


Group = tuple[str, list[Any]]  # a video and its examples


def make_blocks(
    examples: Sequence[Any], limit: int | None = None, shard: Shard = Shard(), videos: int = VIDEOS_A_BLOCK
) -> list[list[Group]]:
    """The blocks of ``shard``, over the first ``limit`` examples; videos in the order of their first example."""
    groups: dict[str, list[Any]] = {}
    for example in examples[:limit]:
        groups.setdefault(example.video, []).append(example)
    ordered = list(groups.items())
    blocks = [ordered[i : i + videos] for i in range(0, len(ordered), videos)]
    return blocks[shard.index - 1 :: shard.count]
