"""Training data as WebDataset shards: .tar files of ``KEY.mp4`` and ``KEY.json`` pairs, in place of many loose files.

Headers are read once and kept beside the shards; then each video is one seek and one read. The plan of an epoch keeps the
examples of a shard together (`mixture`), so that a shard on a slow disk is read once an epoch, front to back. Nothing is
unpacked. Frame folders can't be packed: make them videos first.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hawkeye.errors import AnnotationError, VideoError
from hawkeye.records import InstructionExample, atomic_write, read_json, to_json
from hawkeye.spans import Span

INDEX_NAME = ".index.json"


class Member(NamedTuple):
    """Where a video lies: bytes ``offset`` to ``offset + size`` of shard number ``shard``."""

    shard: int
    path: Path
    offset: int
    size: int
    suffix: str

    def read(self) -> bytes:
        """Raises VideoError."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise VideoError(f"{self.path}: can't be read ({error.strerror})") from None
        if len(data) != self.size:
            raise VideoError(f"{self.path}: ends at byte {self.offset + len(data)}, inside a video: write it again")
        return data


@dataclass(frozen=True)
class ShardIndex:
    """Every example of a folder of shards, and beside each where its video lies."""

    examples: Sequence[InstructionExample]
    members: Sequence[Member]


def write_shards(
    pairs: Iterable[tuple[Path, Sequence[InstructionExample]]], folder: Path, shard_bytes: int = 2**30
) -> int:
    """Pack videos, each with the examples about it, into ``folder/00000.tar``, ...; returns the number of shards.

    A shard appears whole or not at all. Raises VideoError for a folder of pictures.
    """
    shard = 0
    waiting = iter(pairs)
    pair = next(waiting, None)
    key = 0
    while pair is not None:
        with atomic_write(folder / f"{shard:05d}.tar", "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            while pair is not None and (file.tell() == 0 or file.tell() < shard_bytes):
                video, examples = pair
                if video.is_dir():
                    raise VideoError(f"{video}: is a folder of pictures: shards hold video files only")
                _add(tar, f"{key:09d}{video.suffix.lower()}", video.read_bytes())
                _add(tar, f"{key:09d}.json", json.dumps([json.loads(to_json(e)) for e in examples]).encode())
                key += 1
                pair = next(waiting, None)
        shard += 1
    return shard


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    tar.addfile(header, io.BytesIO(data))


def open_shards(folder: Path | list[Path]) -> ShardIndex:
    """Read (or make, and keep beside the shards if that folder can be written) the index of ``folder/*.tar``.

    Raises AnnotationError naming the shard and member that is not as it should be.
    """
    if isinstance(folder, list):
        raise AnnotationError(f"shards are read from one folder, got {len(folder)} paths")
    paths = sorted(folder.glob("*.tar"))
    if not paths:
        raise AnnotationError(f"{folder}: holds no .tar shards: write them with  hawkeye train CONFIG --pack {folder}")
    state = hashlib.sha256(
        "\n".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in paths).encode()
    ).hexdigest()
    cache = folder / INDEX_NAME
    rows = None
    if cache.is_file():
        kept = read_json(cache)
        rows = kept["rows"] if kept.get("state") == state else None
    if rows is None:
        rows = [row for number, path in enumerate(paths) for row in _scan(number, path)]
        try:
            with atomic_write(cache) as file:
                json.dump({"state": state, "rows": rows}, file)
        except OSError:
            pass  # a read-only folder: the index is made again next time
    examples, members = [], []
    for shard, offset, size, suffix, records in rows:
        for record in records:
            examples.append(_example(record))
            members.append(Member(shard, paths[shard], offset, size, suffix))
    return ShardIndex(examples, members)


def _scan(number: int, path: Path) -> Iterator[list[Any]]:
    """``[shard, offset, size, suffix, records]`` of every video of one shard."""
    videos: dict[str, tuple[int, int, str]] = {}
    texts: dict[str, list[dict[str, Any]]] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                file = tar.extractfile(member)
                if file is None:
                    continue
                if name.suffix == ".json":
                    records = json.load(file)
                    texts[name.stem] = records if isinstance(records, list) else [records]
                else:
                    videos[name.stem] = (member.offset_data, member.size, name.suffix)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise AnnotationError(f"{path}: is not a readable shard ({error}): write it again") from None
    if videos.keys() != texts.keys():
        lone = sorted(videos.keys() ^ texts.keys())[0]
        raise AnnotationError(f"{path}: member {lone} is not a pair of a video and a .json: write it again")
    for key, (offset, size, suffix) in videos.items():
        yield [number, offset, size, suffix, texts[key]]


def _example(record: dict[str, Any]) -> InstructionExample:
    """The record that `write_shards` wrote. Raises AnnotationError for another layout."""
    try:
        values = dict(record, rounds=tuple(record["rounds"]))
        for key in ("span", "negative_span"):
            values[key] = Span(*values[key]) if values.get(key) else None
        return InstructionExample(**values)
    except (KeyError, TypeError) as error:
        raise AnnotationError(f"shard record {str(record)[:80]}: is not a training example ({error})") from None
