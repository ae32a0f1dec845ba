"""Measure hawkeye-mini: on made-up videos of held-out classes, and on real videos against the similarity model.

    python examples/evaluate_mini.py configs/mini/train.yaml runs/mini/model pictures=PICTURES output=runs/mini
    python examples/evaluate_mini.py configs/mini/train.yaml runs/mini/model --real VIDEOS ...

VIDEOS holds ``queries.jsonl`` (video, query, start, end, kind). Frames go through the ImageNet network once, two a second, and
are kept; everything after that is the real `Grounder`. Tables go to stdout, with 90 % intervals.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from mini_material import Material
from mini_videos import Numbered, Rows, filmed, made_up, similarity_spans
from train_mini import MiniTraining

from hawkeye.choices import OPTION_TEXT, Choice, best_reachable, option_lines, sub_window
from hawkeye.eval.bootstrap import Resampler
from hawkeye.grounding.direct import PEAK_SHARE, Stretches, best_stretches, smooth_in_shots
from hawkeye.grounding.grounder import Grounder
from hawkeye.grounding.result import GroundingResult
from hawkeye.grounding.source import Request
from hawkeye.models.base import Look
from hawkeye.models.hawkeye.mini import MiniHawkEye, load
from hawkeye.models.hawkeye.mini_config import FEATURES, NUM_CLASSES
from hawkeye.models.hawkeye.mini_qformer import CAPTIONED, CHOICES, VIEW_SCALE, views
from hawkeye.prompts import grounding_prompt
from hawkeye.records import read_jsonl
from hawkeye.spans import Span
from hawkeye.synth.items import Item, frame_times
from hawkeye.synth.pictures import read_pictures, split_classes
from hawkeye.video.reader import Frames, read_at

DRAWS = 2000
FINE_FRAMES = 48
Query = tuple[Numbered, str, Span, str]  # video, sentence, true span, kind


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
    room = widened(result.span, query)
    frames = read_at(video, frame_times(room, FINE_FRAMES))
    curve = model.similarity(model.embed_frames(frames), [text])[0].sigmoid().numpy()
    sums = np.concatenate([[0.0], np.cumsum(curve - curve.max() / 2)])
    starts, ends = np.triu_indices(len(sums), k=1)
    best = np.argmax(sums[ends] - sums[starts])
    slot = room.length / FINE_FRAMES
    return Span(room.start + slot * starts[best], room.start + slot * ends[best])


@torch.inference_mode()
def curves_of(model: MiniHawkEye, query: Query) -> dict[str, np.ndarray]:
    """Curves over the whole video, smoothed inside each shot: mini's, similarity's from the same frames, and both added."""
    video, text, _, _ = query
    frames = model.embed_frames(video.read(range(video.info.num_frames)))
    _, logits, described = frames[None].split((FEATURES, NUM_CLASSES, frames.shape[1] - FEATURES - NUM_CLASSES), dim=-1)
    cosine = views(logits, described, model.sentences.encode([text]), model.qformer.tables)[0, :, -1] / VIEW_SCALE
    found = {"mini": model.similarity(frames, [text])[0].numpy(), "similarity": cosine.numpy()}
    even = [curve / max(float(curve.std()), 1e-6) for curve in found.values()]
    found["mini + similarity"] = even[0] + even[1]
    return {name: smooth_in_shots(curve, video.stretches.shots) for name, curve in found.items()}


def along(curve: np.ndarray, query: Query, room: Span | None = None) -> Span:
    """The best stretch of a curve, as the direct strategy takes it. ``room``: only there."""
    stretches = query[0].stretches
    inside = np.ones(len(curve), dtype=bool)
    if room is not None:
        inside = (stretches.centers >= room.start) & (stretches.centers < room.end)
        inside = inside if inside.any() else np.ones(len(curve), dtype=bool)
    places = np.flatnonzero(inside)
    first, last = best_stretches(curve[places], stretches.lengths[places], 1, PEAK_SHARE)[0]
    return Span(float(stretches.edges[places[first]]), float(stretches.edges[places[last - 1] + 1]))


def widened(span: Span, query: Query) -> Span:
    """Half as long again on both sides."""
    half = span.length / 2
    return Span(span.start - half, span.end + half).clamp(0.0, query[0].info.duration)


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
    curves = [curves_of(model, q) for q in queries]
    for turns in (1, 2, 4):
        rooms = [widened(after_turns(r, turns), q) for r, q in zip(results, queries, strict=True)]
        spans = [along(c["similarity"], q, room) for c, q, room in zip(curves, queries, rooms, strict=True)]
        found[f"recursive, {turns} turns, then similarity's curve there"] = ious_of(spans, queries)
    for name in curves[0]:
        found[f"direct: {name}"] = ious_of([along(c[name], q) for c, q in zip(curves, queries, strict=True)], queries)
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


def held_out_material(config: MiniTraining, videos: int, cluttered: float, unknown: bool = False) -> Material:
    """Made-up videos of classes that training never saw. ``unknown``: nor does the ImageNet network know them, and shots are
    asked for by captions."""
    known, pictures = split_classes(read_pictures(config.pictures), config.held_out)
    trained = Material(config.material, known, "train", 2, config.seed, config.class_captions)
    material = Material(
        config.material, pictures, "held-out", videos, config.seed + 1, config.class_captions,
        captioned=float(unknown), cluttered=cluttered, known=trained,
    )  # fmt: skip
    if unknown:
        logits = material.rows[:, FEATURES : FEATURES + NUM_CLASSES]
        logits[:, [number for number in material.classes if number >= 0]] = logits.mean(dim=1, keepdim=True)
    return material


def queries_about(material: Material, readers: Sequence[Numbered], most: int) -> list[Query]:
    """Sentences that fit one stretch of the whole video."""
    queries = [
        (readers[n], material.words(event, random.Random(n))[0], event.span, event.kind)
        for n, events in enumerate(material.events)
        for event in events
        if event.context == (0.0, material.plans[n].duration)
    ]
    return sorted(random.Random(0).sample(queries, min(most, len(queries))), key=lambda q: str(q[0].info.path))


def forget(model: MiniHawkEye, material: Material) -> None:
    """The class tables forget the captions of these classes."""
    hidden = [number for number in material.classes if number >= 0]
    model.qformer.tables.data[CAPTIONED, hidden] = model.qformer.tables[:1, hidden]


def held_out(config: MiniTraining, model: MiniHawkEye, videos: int, most: int, cluttered: float, unknown: bool) -> None:
    """Everything about made-up videos of held-out classes."""
    material = held_out_material(config, videos, cluttered, unknown)
    forget(model, material)
    readers, rows = made_up(material, config.seed)
    model.vision = rows  # type: ignore[assignment]
    queries = queries_about(material, readers, most)
    asked = ", captions of unknown things" if unknown else ""
    tables(model, queries, f"Held-out classes, made-up videos, clutter {cluttered:g}{asked}")
    _looks(model, material, config.seed)


@torch.inference_mode()
def _looks(model: MiniHawkEye, material: Material, seed: int, count: int = 500) -> None:
    """Single looks: is the right choice made, and are sentences recognised that fit nothing?"""
    rng = random.Random(0)
    items = [material.draw(rng).item for _ in range(count)]
    times = [frame_times(item.window, model.num_frames) for item in items]
    plans = [material.plans[i.plan] for i in items]
    features = material.features(plans, times, torch.Generator().manual_seed(seed))
    reading = model.read(features, material.embedding([i.sentence for i in items]))
    there = np.array([i.span is not None for i in items])
    held = [CHOICES[int(c)] for c in reading.choice.argmax(-1)]
    right = np.array([choice is i.choice for choice, i in zip(held, items, strict=True)])
    model.vision = Rows(features.flatten(0, 1))  # type: ignore[assignment]
    looks = [_look(material, i, t, n * model.num_frames) for n, (i, t) in enumerate(zip(items, times, strict=True))]
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


def _look(material: Material, item: Item, times: list[float], first: int) -> Look:
    plan, count = material.plans[item.plan], len(times)
    video = Numbered(
        plan.id, range(first, first + count), Stretches(np.linspace(0, plan.duration, count + 1), np.zeros(count))
    )
    frames = Frames(video.read(range(count)).pixels, tuple(times))
    order = random.Random(item.sentence).sample(list(Choice), 4)
    options = tuple(option_lines([OPTION_TEXT[c] for c in order]))
    prompt = grounding_prompt(item.sentence, options, times)
    return Look(plan.id, plan.duration, item.window, frames, item.sentence, prompt, options, tuple(order))


def real(config: MiniTraining, model: MiniHawkEye, folder: Path) -> None:
    """Real videos: the mini model's ways beside the similarity model's default, with paired differences."""
    rows = sorted(read_jsonl(folder / "queries.jsonl"), key=lambda row: row["video"])
    readers, table = filmed(folder, [row["video"] for row in rows], config.material / "real.pt")
    model.vision = table  # type: ignore[assignment]
    queries = [(readers[r["video"]], r["query"], Span(r["start"], r["end"]), r["kind"]) for r in rows]
    found = tables(model, queries, "Real videos")
    base = ious_of(similarity_spans(folder, rows, config.material / "similarity.json"), queries)
    groups = [r["video"] for r in rows]
    print(report("similarity (its default)", base, groups))
    print(
        "\n| mIoU | natural | montage | all against similarity (90 %) | natural | montage |\n|---|---|---|---|---|---|"
    )
    kinds = np.array([q[3] for q in queries])
    for name, ious in found.items():
        change = [_change(base, ious, groups, kinds == kind) for kind in ("natural", "montage")]
        shown = [f"{100 * ious[kinds == kind].mean():.1f}" for kind in ("natural", "montage")]
        print(f"| {' | '.join([name, *shown, _change(base, ious, groups, kinds != ''), *change])} |")


def _change(base: np.ndarray, ious: np.ndarray, groups: Sequence[str], chosen: np.ndarray) -> str:
    """Mean difference in points with its paired 90 % interval, videos drawn anew."""
    kept = [group for group, is_chosen in zip(groups, chosen, strict=True) if is_chosen]
    draws = Resampler(kept, DRAWS, 0).means((ious - base)[chosen, None])[:, 0]
    low, high = np.quantile(draws, (0.05, 0.95)) * 100
    return f"{100 * (ious - base)[chosen].mean():+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    settings, weights, *others = sys.argv[1:]
    videos = [Path(others.pop(i + 1)) for i in [others.index("--real")]] if "--real" in others else []
    options = MiniTraining.from_yaml(settings, [o for o in others if o != "--real"])
    if videos:
        real(options, load(weights), videos[0])
    for cluttered, unknown in ((0.0, False), (1.0, False), (1.0, True)):
        held_out(options, load(weights), videos=60, most=120, cluttered=cluttered, unknown=unknown)
