"""Measure hawkeye-mini: on made-up videos of held-out classes, and on real videos against the similarity model.

    python examples/evaluate_mini.py configs/mini/train.yaml runs/mini/model pictures=PICTURES output=runs/mini
    python examples/evaluate_mini.py configs/mini/train.yaml runs/mini/model --real VIDEOS ...

VIDEOS holds ``queries.jsonl`` (video, query, start, end, kind). Frames go through the ImageNet network once, two a second, and
are kept; everything after that is the real `Grounder`. Tables go to stdout, with 90 % intervals.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from mini_material import Material, log
from torch import Tensor, nn
from train_mini import MiniTraining

from hawkeye.choices import OPTION_TEXT, Choice, best_reachable, option_lines, sub_window
from hawkeye.eval.bootstrap import Resampler, paired_difference
from hawkeye.grounding.direct import (
    LOOKS_PER_FRAME,
    PEAK_SHARE,
    Stretches,
    best_stretches,
    direct_reads,
    smooth_in_shots,
)
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.shots import cut_times, shot_numbers, split_at_cuts, thumbnails
from hawkeye.grounding.source import Request
from hawkeye.models.base import Look, load_model
from hawkeye.models.hawkeye.mini import MiniHawkEye, load
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig
from hawkeye.models.hawkeye.mini_qformer import CAPTIONED, CHOICES
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.prompts import grounding_prompt
from hawkeye.records import atomic_write, read_json, read_jsonl
from hawkeye.spans import Span
from hawkeye.synth.items import Item, frame_times
from hawkeye.synth.pictures import read_pictures, split_classes
from hawkeye.synth.plan import recipe_at
from hawkeye.synth.recipe import coarse
from hawkeye.video.reader import Frames, VideoInfo, VideoReader, open_video, read_at

FPS = 2.0  # frames a second, as the direct strategy embeds them
DRAWS = 2000
FINE_FRAMES = 48


class Numbered:
    """A video whose frames are numbers of feature rows, written as one pixel."""

    def __init__(self, name: str, rows: Sequence[int], stretches: Stretches) -> None:
        self.rows, self.stretches = list(rows), stretches
        duration = float(stretches.edges[-1])
        self._times = np.arange(len(rows)) * duration / len(rows)
        self._info = VideoInfo(Path(name), "features", duration, len(rows), len(rows) / duration, 1, 1)

    @property
    def info(self) -> VideoInfo:
        return self._info

    @property
    def times(self) -> np.ndarray:
        return self._times

    def read(self, indices: Sequence[int], short_side: int | None = None) -> Frames:
        numbers = torch.tensor([self.rows[i] for i in indices])
        pixel = torch.stack([numbers // 65536, numbers // 256 % 256, numbers % 256], dim=1).to(torch.uint8)
        return Frames(pixel[:, :, None, None], tuple(float(self._times[i]) for i in indices))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exc: object) -> None: ...


class Rows(nn.Module):
    """The vision part that reads the numbers back: (B, T, 3, 1, 1) -> (B, T, 2280)."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table

    def forward(self, pixels: Tensor) -> Tensor:
        red, green, blue = pixels[..., 0, 0].long().unbind(dim=-1)
        return self.table[red * 65536 + green * 256 + blue].float()


Query = tuple[VideoReader, str, Span, str]  # video, sentence, true span, kind


def report(name: str, ious: np.ndarray, groups: Sequence[str]) -> str:
    """One line of the table: mIoU and recalls in percent, mIoU with its 90 % interval over videos."""
    draws = Resampler(groups, DRAWS, 0).means(ious[:, None])[:, 0]
    low, high = np.quantile(draws, (0.05, 0.95)) * 100
    recalls = " | ".join(f"{100 * (ious >= t).mean():.1f}" for t in (0.3, 0.5, 0.7))
    return f"| {name} | {100 * ious.mean():.1f} ({low:.1f} to {high:.1f}) | {recalls} |"


HEAD = "| | mIoU (90 %) | R@1 0.3 | 0.5 | 0.7 |\n|---|---|---|---|---|"


def ground(model: object, queries: Sequence[Query], **settings: object) -> list[GroundingResult]:
    grounder = Grounder(model, **settings)  # type: ignore[arg-type]
    requests = [Request(video, text, id=str(n)) for n, (video, text, _, _) in enumerate(queries)]
    found = {request.id: result for request, result in grounder.ground_many(requests)}
    return [found[str(n)] for n in range(len(queries))]


@torch.inference_mode()
def refined(model: MiniHawkEye, query: Query, result: GroundingResult) -> Span | None:
    """A fine step after the last turn: the best stretch of the curve in the last window, grown by half on both sides."""
    if result.span is None:
        return None
    video, text, _, _ = query
    room = Span(result.span.start - result.span.length / 2, result.span.end + result.span.length / 2)
    room = room.clamp(0.0, video.info.duration)
    frames = read_at(video, frame_times(room, FINE_FRAMES))
    curve = model.similarity(model.embed_frames(frames), [text])[0].sigmoid().numpy()
    sums = np.concatenate([[0.0], np.cumsum(curve - curve.max() / 2)])
    starts, ends = np.triu_indices(len(sums), k=1)
    best = np.argmax(sums[ends] - sums[starts])
    slot = room.length / FINE_FRAMES
    return Span(room.start + slot * starts[best], room.start + slot * ends[best])


@torch.inference_mode()
def along_curve(model: MiniHawkEye, query: Query) -> Span:
    """The direct strategy on kept features: the best stretch of the curve, smoothed inside each shot."""
    video, text, _, _ = query
    frames = video.read(range(video.info.num_frames))
    curve = model.similarity(model.embed_frames(frames), [text])[0].numpy()
    stretches = video.stretches  # type: ignore[attr-defined]
    smooth = smooth_in_shots(curve, stretches.shots)
    first, last = best_stretches(smooth, stretches.lengths, 1, PEAK_SHARE)[0]
    return Span(float(stretches.edges[first]), float(stretches.edges[last]))


def after_turns(result: GroundingResult, turns: int) -> Span:
    """Where the recursion stood after so many turns."""
    used = result.turns[: min(turns, len(result.turns))]
    return sub_window(used[-1].choice, used[-1].window)


def ious_of(spans: Sequence[Span | None], queries: Sequence[Query]) -> np.ndarray:
    return np.array([span.iou(true) if span else 0.0 for span, (_, _, true, _) in zip(spans, queries, strict=True)])


def tables(model: MiniHawkEye, queries: Sequence[Query], title: str) -> dict[str, np.ndarray]:
    """Print the recursion turn by turn, the direct curve, and both together; returns the IoUs by name."""
    groups = [str(video.info.path) for video, _, _, _ in queries]
    results = ground(model, queries, strategy="recursive", max_turns=4)
    found = {f"recursive, {n} turns": ious_of([after_turns(r, n) for r in results], queries) for n in (1, 2, 3, 4)}
    fine = [refined(model, q, r) for q, r in zip(queries, results, strict=True)]
    found["recursive, 4 turns, then a fine step"] = ious_of(fine, queries)
    averaged = ground(model, queries, strategy="recursive", max_turns=4, orders=4)
    found["recursive, 4 turns, 4 orders"] = ious_of([r.span for r in averaged], queries)
    exact = copy(model)
    exact.decoding = "exact"
    found["recursive, 4 turns, exact"] = ious_of(
        [r.span for r in ground(exact, queries, strategy="recursive")], queries
    )
    found["direct curve"] = ious_of([along_curve(model, q) for q in queries], queries)
    whole = [Span(0.0, video.info.duration) for video, _, _, _ in queries]
    found["always throughout"] = ious_of(whole, queries)
    best = [best_span(true, Span(0.0, video.info.duration)) for video, _, true, _ in queries]
    found["ceiling of 4 turns"] = ious_of(best, queries)
    print(f"\n### {title} ({len(queries)} queries, {len(set(groups))} videos)\n\n{HEAD}")
    for name, ious in found.items():
        print(report(name, ious, groups))
    return found


def best_span(true: Span, window: Span, turns: int = 4) -> Span:
    for turn in range(turns):
        window = sub_window(best_reachable(true, window, turns - turn)[1], window)
    return window


def held_out(config: MiniTraining, model: MiniHawkEye, videos: int, most: int) -> None:
    """Made-up videos of classes that training never saw; the class tables forget their captions as well."""
    _, pictures = split_classes(read_pictures(config.pictures), config.held_out)
    material = Material(
        config.material, pictures, "held-out", videos, config.seed + 1, config.class_captions, captioned=0.0
    )
    hidden = [number for number in material.classes if number >= 0]
    model.qformer.tables.data[CAPTIONED, hidden] = model.qformer.tables[:1, hidden]
    model.vision = Rows(material.rows)  # type: ignore[assignment]
    readers = []
    for plan in material.plans:
        edges = np.linspace(0.0, plan.duration, max(1, round(plan.duration * FPS)) + 1)
        stretches = Stretches(edges, np.zeros(len(edges) - 1, dtype=int))
        rows = [material.numbers[coarse(recipe_at(plan, t))] for t in stretches.centers]
        readers.append(Numbered(plan.id, rows, stretches))
    queries = [
        (readers[n], event.sentences[0], event.span, event.kind)
        for n, events in enumerate(material.events)
        for event in events
        if event.context == (0.0, material.plans[n].duration)
    ]
    queries = sorted(random.Random(0).sample(queries, min(most, len(queries))), key=lambda q: str(q[0].info.path))
    tables(model, queries, "Held-out classes, made-up videos")
    _looks(config, model, material)


@torch.inference_mode()
def _looks(config: MiniTraining, model: MiniHawkEye, material: Material, count: int = 500) -> None:
    """Single looks: is the right choice made, and are sentences recognised that fit nothing?"""
    rng = random.Random(0)
    items = [material.draw(rng).item for _ in range(count)]
    times = [frame_times(item.window, model.num_frames) for item in items]
    features = material.features([material.plans[i.plan] for i in items], times)
    reading = model.read(features, material.embedding([i.sentence for i in items]))
    there = np.array([i.span is not None for i in items])
    right = np.array(
        [
            i.choice is not None and CHOICES[int(c)] is i.choice
            for i, c in zip(items, reading.choice.argmax(-1), strict=True)
        ]
    )
    looks = [_look(material, i, t) for i, t in zip(items, times, strict=True)]
    named = [
        look.choices[a.index] if a.index is not None else None
        for look, a in zip(looks, model.answer(looks), strict=True)
    ]
    spoken = np.array([name is i.choice for name, i in zip(named, items, strict=True)])
    print("\n### Single looks, held-out classes\n\n| | |\n|---|---|")
    print(f"| choice accuracy, as the language model says it | {100 * spoken[there].mean():.1f} % of {there.sum()} |")
    print(f"| choice accuracy, as the Q-Former holds it | {100 * right[there].mean():.1f} % |")
    for name, scores in (("found reading", reading.found), ("highest inside reading", reading.inside.amax(dim=-1))):
        print(f"| AUROC of absent sentences, {name} | {auroc(scores.numpy(), there):.3f} ({(~there).sum()} absent) |")


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive scores above a negative."""
    ranks = scores.argsort().argsort() + 1.0
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))


def _look(material: Material, item: Item, times: list[float]) -> Look:
    plan = material.plans[item.plan]
    rows = [material.numbers[coarse(recipe_at(plan, t))] for t in times]
    frames = Numbered(plan.id, rows, Stretches(np.linspace(0, plan.duration, len(rows) + 1), np.zeros(len(rows)))).read(
        range(len(rows))
    )
    order = random.Random(item.sentence).sample(list(Choice), 4)
    options = tuple(option_lines([OPTION_TEXT[c] for c in order]))
    frames = Frames(frames.pixels, tuple(times))
    prompt = grounding_prompt(item.sentence, options, times)
    return Look(plan.id, plan.duration, item.window, frames, item.sentence, prompt, options, tuple(order))


def real(config: MiniTraining, model: MiniHawkEye, folder: Path) -> None:
    """Real videos: the mini model's ways beside the similarity model's default, with paired differences."""
    rows = sorted(read_jsonl(folder / "queries.jsonl"), key=lambda row: row["video"])
    kept = real_features(folder, [row["video"] for row in rows], config.material / "real.pt")
    table, readers = [], {}
    for name, (features, edges, shots) in kept.items():
        first = sum(map(len, table))
        table.append(features)
        numbers = range(first, first + len(features))
        readers[name] = Numbered(name, numbers, Stretches(edges.numpy(), shots.numpy()))
    model.vision = Rows(torch.cat(table))  # type: ignore[assignment]
    queries = [(readers[r["video"]], r["query"], Span(r["start"], r["end"]), r["kind"]) for r in rows]
    found = tables(model, queries, "Real videos")
    base = ious_of(similarity_spans(folder, rows, config.material / "similarity.json"), queries)
    groups = [r["video"] for r in rows]
    print(report("similarity (its default)", base, groups))
    print("\n| against similarity | mIoU difference (90 %) | p |\n|---|---|---|")
    for kind in ("all", "natural", "montage"):
        chosen = np.array([kind in ("all", q[3]) for q in queries])
        for name, ious in found.items():
            pairs = (base[chosen, None], ious[chosen, None], [g for g, c in zip(groups, chosen, strict=True) if c])
            change = paired_difference(*pairs)[0]
            low, high = (100 * v for v in (change.interval.low, change.interval.high))
            print(f"| {kind}: {name} | {100 * change.value:+.1f} ({low:+.1f} to {high:+.1f}) | {change.p_value:.3f} |")


def similarity_spans(folder: Path, rows: Sequence[dict], file: Path) -> list[Span]:
    """What the similarity model finds by default, kept in ``file``; delete it when that model changes."""
    if not file.is_file():
        requests = [Request(folder / row["video"], row["query"], id=str(n)) for n, row in enumerate(rows)]
        found = {r.id: result.span for r, result in Grounder(load_model("similarity")).ground_many(requests)}
        with atomic_write(file) as out:
            json.dump([found[str(n)] for n in range(len(rows))], out)
    return [Span(*span) for span in read_json(file)]


def real_features(folder: Path, names: Sequence[str], file: Path) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each video what the direct strategy reads: float16 features, borders in seconds, shot numbers. Kept in ``file``."""
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
        parts.append(encoder.encode(frames[slice(LOOKS_PER_FRAME // 2, None, LOOKS_PER_FRAME)].pixels))
        pictures.append(thumbnails(frames.pixels))
        seen += indices
    features = torch.cat(parts)
    edges = np.linspace(0.0, reader.info.duration, len(features) + 1)
    once, first = np.unique(seen, return_index=True)
    cuts = cut_times(np.concatenate(pictures)[first], once.tolist(), reader.times)
    return features, Stretches(split_at_cuts(edges, cuts), shot_numbers((edges[:-1] + edges[1:]) / 2, cuts))


if __name__ == "__main__":
    settings, weights, *others = sys.argv[1:]
    videos = [Path(others.pop(i + 1)) for i in [others.index("--real")]] if "--real" in others else []
    options = MiniTraining.from_yaml(settings, [o for o in others if o != "--real"])
    if videos:
        real(options, load(weights), videos[0])
    held_out(options, load(weights), videos=60, most=120)
