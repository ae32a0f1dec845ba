"""Videos that are played from kept features, so that the real `Grounder` can be measured a hundred times in a minute.

A frame is the number of a row of features, written as one pixel; `Rows` stands for the vision part and reads it back. Nothing
is measured here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mini_material import Material, log
from torch import Tensor, nn

from hawkeye.grounding.direct import LOOKS_PER_FRAME, Stretches, direct_reads
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.shots import cut_times, shot_numbers, split_at_cuts, thumbnails
from hawkeye.grounding.source import Request
from hawkeye.models.base import load_model
from hawkeye.models.frame_head import describe
from hawkeye.models.hawkeye.mini_config import FEATURES, NUM_CLASSES, FrameEncoderConfig
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.records import atomic_write, read_json
from hawkeye.spans import Span
from hawkeye.video.reader import Frames, ReaderBase, VideoInfo, VideoReader, open_video

FPS = 2.0  # frames a second, as the direct strategy embeds them
KEPT = FEATURES + NUM_CLASSES  # of a frame; the rest follows from it


class Numbered(ReaderBase):
    """A video whose frames are numbers of feature rows, written as one pixel."""

    def __init__(self, name: str, rows: Sequence[int], stretches: Stretches) -> None:
        self.rows, self.stretches = list(rows), stretches
        duration = float(stretches.edges[-1])
        self._times = np.arange(len(rows)) * duration / len(rows)
        self._info = VideoInfo(Path(name), "features", duration, len(rows), len(rows) / duration, 1, 1)

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        numbers = torch.tensor([self.rows[i] for i in indices])
        pixel = torch.stack([numbers // 65536, numbers // 256 % 256, numbers % 256], dim=1).to(torch.uint8)
        return Frames(pixel[:, :, None, None], tuple(float(self._times[i]) for i in indices))


class Rows(nn.Module):
    """The vision part that reads the numbers back: (B, T, 3, 1, 1) -> (B, T, 2664)."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table

    def forward(self, pixels: Tensor) -> Tensor:
        red, green, blue = pixels[..., 0, 0].long().unbind(dim=-1)
        return self.table[red * 65536 + green * 256 + blue].float()


def made_up(material: Material, seed: int) -> tuple[list[Numbered], Rows]:
    """The planned videos, `FPS` frames a second, with as much clutter as the material has."""
    noise = torch.Generator().manual_seed(seed)
    table, readers = [], []
    for plan in material.plans:
        edges = np.linspace(0.0, plan.duration, max(1, round(plan.duration * FPS)) + 1)
        stretches = Stretches(edges, np.zeros(len(edges) - 1, dtype=int))
        first = sum(map(len, table))
        table.append(material.features([plan], [list(stretches.centers)], noise)[0])
        readers.append(Numbered(plan.id, range(first, first + len(table[-1])), stretches))
    return readers, Rows(torch.cat(table))


def filmed(folder: Path, names: Sequence[str], file: Path) -> tuple[dict[str, Numbered], Rows]:
    """Real videos, as `real_features` keeps them in ``file``."""
    encoder, table, readers = FrameEncoder(FrameEncoderConfig()), [], {}
    head = encoder.head
    for name, (features, edges, shots) in real_features(folder, names, file).items():
        first, seen = sum(map(len, table)), features.float()
        table.append(torch.cat([seen, describe(seen[:, :FEATURES], head.regression, head.offset)], dim=-1))
        readers[name] = Numbered(name, range(first, first + len(seen)), Stretches(edges.numpy(), shots.numpy()))
    return readers, Rows(torch.cat(table))


def similarity_spans(folder: Path, rows: Sequence[dict], file: Path) -> list[Span]:
    """What the similarity model finds by default, kept in ``file``; delete it when that model changes."""
    if not file.is_file():
        requests = [Request(folder / row["video"], row["query"], id=str(n)) for n, row in enumerate(rows)]
        found = {r.id: result.span for r, result in Grounder(load_model("similarity")).ground_many(requests)}
        with atomic_write(file) as out:
            json.dump([found[str(n)] for n in range(len(rows))], out)
    return [Span(*span) for span in read_json(file)]


def real_features(folder: Path, names: Sequence[str], file: Path) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each video what the direct strategy reads: float16 features and logits, borders in seconds, shot numbers. Kept in
    ``file``."""
    kept: dict = torch.load(file, weights_only=True) if file.is_file() else {}
    encoder = FrameEncoder(FrameEncoderConfig())
    for name in dict.fromkeys(names):
        if name not in kept:
            log(f"features of {name}")
            with open_video(folder / name) as reader:
                features, stretches = read_stretches(reader, encoder)
            kept[name] = (features.half(), torch.tensor(stretches.edges), torch.tensor(stretches.shots))
            with atomic_write(file, "wb") as out:
                torch.save(kept, out)
    return kept


def read_stretches(reader: VideoReader, encoder: FrameEncoder) -> tuple[Tensor, Stretches]:
    """The frames that `ground_direct` embeds, encoded, and the shots it sees."""
    parts, pictures, seen = [], [], []
    for indices, short_side in direct_reads(reader, FPS):
        frames = reader.read(indices, short_side)
        parts.append(encoder.encode(frames[slice(LOOKS_PER_FRAME // 2, None, LOOKS_PER_FRAME)].pixels)[:, :KEPT])
        pictures.append(thumbnails(frames.pixels))
        seen += indices
    features = torch.cat(parts)
    edges = np.linspace(0.0, reader.info.duration, len(features) + 1)
    once, first = np.unique(seen, return_index=True)
    cuts = cut_times(np.concatenate(pictures)[first], once.tolist(), reader.times)
    return features, Stretches(split_at_cuts(edges, cuts), shot_numbers((edges[:-1] + edges[1:]) / 2, cuts))
