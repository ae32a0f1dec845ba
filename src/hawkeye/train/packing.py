"""The data of a configuration, packed into shards: one folder a source, to be named as its ``annotations``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hawkeye.errors import ConfigError, VideoError
from hawkeye.records import InstructionExample
from hawkeye.train.config import TrainConfig
from hawkeye.train.shards import write_shards
from hawkeye.train.sources import Source, load_source


def pack_sources(config: TrainConfig, folder: Path) -> Iterator[tuple[str, int]]:
    """Name and number of shards of each source, as they are written. A source that is packed already is left out.

    Raises VideoError for a video that is missing, ConfigError for a source name that is no folder name.
    """
    for source in config.data.sources:
        if source.dataset == "shards":
            continue
        if Path(source.name).name != source.name:
            raise ConfigError(f"source {source.name!r}: can't be a folder's name: rename it to pack it")
        loaded = load_source(source, config.seed, config.data.root)
        yield source.name, write_shards(_by_video(loaded), folder / source.name)


def _by_video(source: Source) -> Iterator[tuple[Path, list[InstructionExample]]]:
    """Each video with all examples about it, in the order of first meeting."""
    groups: dict[Path, list[InstructionExample]] = {}
    missing: list[str] = []
    for index, example in enumerate(source.examples):
        try:
            groups.setdefault(source.path(index), []).append(example)
        except VideoError as error:
            missing.append(str(error))
    if missing:
        raise VideoError(f"source {source.config.name}: {len(missing)} videos are missing, the first: {missing[0]}")
    yield from groups.items()
