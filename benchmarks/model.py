"""HawkEye's own speed: seconds of each piece, and of grounding many queries, beside the reference's way of working.

    python benchmarks/model.py                                        # hawkeye-mid on the CPU, against the naive way
    python benchmarks/model.py --preset hawkeye-7b --device cuda --dtype bfloat16 --batches 1 8 32

Ten queries on one video, four turns each. ``spread``: the queries' moments lie evenly over the video, so that they part ways and
share little; ``events``: they speak of three moments; ``together``: of one. The naive way takes one query at a time, encodes its
window, prefills its prompt and decodes up to 20 greedy tokens with a KV cache (`naive`). Both have the same random weights,
whose head is fitted so that greedy decoding really says the options that lead down each query's path (and babbles for one look
in ten); the exact choices of both must agree. Video decoding is left out. Prints JSON with machine and versions. On a busy
machine --cpu-time with OMP_NUM_THREADS=1 counts CPU seconds, and --naive-every 4 runs the naive way on every fourth look and
multiplies.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from naive import naive_answers

from hawkeye.choices import OPTION_TEXT, Choice, geometric_choice, option_lines, shuffled, sub_window
from hawkeye.models.base import Look
from hawkeye.models.hawkeye import answering, sharing
from hawkeye.models.hawkeye.config import PRESETS, HawkEyeConfig
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.language import settle
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.packed import Row
from hawkeye.models.hawkeye.sharing import plan_for, prompts_of, run_row, visual_table
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer, WordPieceTokenizer, continuation
from hawkeye.models.hawkeye.tree import Branch
from hawkeye.prompts import grounding_prompt
from hawkeye.runtime import pick_device, pick_dtype
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

TOKENIZERS = Path(__file__).parents[1] / "tests" / "golden" / "model"
DURATION, TURNS = 120.0, 4
EVENTS = {"spread": None, "events": 3, "together": 1}  # moments that the queries are about; None: one each
clock = time.perf_counter
THINGS = ("a man", "the dog", "two women", "a child", "the cat")
DEEDS = ("opens the door", "pours water into a glass", "runs across the field", "puts a book on the table")


def random_model(config: HawkEyeConfig, device: torch.device, dtype: torch.dtype, seed: int = 0) -> HawkEye:
    """Random weights, made on the device itself: 7 billion of them take seconds on a GPU."""
    tokenizers = Tokenizers(
        SentencePieceTokenizer(TOKENIZERS / "llama_tiny.model"), WordPieceTokenizer(TOKENIZERS / "bert_vocab.txt")
    )
    with torch.device("meta"):
        model = HawkEye(config, tokenizers, lora=False).to(dtype)
    model.to_empty(device=device)
    settle(model.language, device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.fill_(1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, 0.02, generator=generator)
    return model.eval().requires_grad_(False)


def window_frames(window: Span, num_frames: int, size: int) -> Frames:
    """Smooth random pictures that depend on the window."""
    generator = torch.Generator().manual_seed(round(window.start * 1000) * 100003 + round(window.end * 1000))
    coarse = torch.rand((num_frames, 3, 14, 14), generator=generator)
    pixels = torch.nn.functional.interpolate(coarse, size, mode="bilinear").mul(255).to(torch.uint8)
    step = window.length / num_frames
    return Frames(pixels, tuple(window.start + step * (i + 0.5) for i in range(num_frames)))


def scripted_turns(scenario: str, num_queries: int, model: HawkEye) -> list[list[tuple[Look, Choice]]]:
    """For each turn the look of every query, and the choice that leads it on to its moment."""
    frames: dict[Span, Frames] = {}
    windows = [Span(0.0, DURATION)] * num_queries
    events = EVENTS[scenario] or num_queries
    starts = [(i % events + 0.5) / events * (DURATION - 0.5) for i in range(num_queries)]
    moments = [Span(start, start + 0.5) for start in starts]
    turns = []
    for turn in range(TURNS):
        looks = []
        for i, window in enumerate(windows):
            if window not in frames:
                frames[window] = window_frames(window, model.num_frames, model.config.vision.image_size)
            query = f"{THINGS[i % len(THINGS)]} {DEEDS[i // len(THINGS) % len(DEEDS)]}" + " again" * (i // 20)
            order = shuffled(0, query, turn)
            lines = tuple(option_lines([OPTION_TEXT[choice] for choice in order]))
            prompt = grounding_prompt(query, lines, [t - window.start for t in frames[window].times])
            look = Look("video", DURATION, window, frames[window], query, prompt, lines, tuple(order))
            looks.append((look, geometric_choice(moments[i], window)))
        windows = [sub_window(choice, look.window) for look, choice in looks]
        turns.append(looks)
    return turns


@torch.inference_mode()
def fit_head(model: HawkEye, told: Sequence[tuple[Look, Choice]]) -> None:
    """Make greedy decoding say the wanted option of each look, and babble for every tenth, by a linear fit of the head."""
    looks = [look for look, _ in told]
    replies = []
    for i, (look, choice) in enumerate(told):
        said = look.options[look.choices.index(choice)].removeprefix("(") if i % 10 != 9 else "I do not know."
        replies.append(tuple(continuation(model.tokenizers.language, look.prompt.after_video, said + "\n###")))
    table, videos = visual_table(model, looks)
    states, targets = [], []
    prompts = prompts_of(model, looks, videos)
    for numbers in sharing.rows([Branch(p) for p in prompts], videos):
        plan = plan_for(model, [Branch(prompts[i], (replies[i],)) for i in numbers])
        hidden = run_row(model, plan.ids, plan.positions, table, Row(plan.parts))
        for at, i in enumerate(numbers):
            first = plan.options[at][0]
            states.append(hidden[[plan.ends[at], *range(first, first + len(replies[i]) - 1)]].float().cpu())
            targets += replies[i]
    known = sorted(set(targets))
    wanted = torch.zeros(len(targets), len(known))
    wanted[torch.arange(len(targets)), torch.tensor([known.index(t) for t in targets])] = 10.0
    inputs = torch.cat(states)
    # A little ridge: the fit must hold for states that differ in their last bits.
    square = inputs.T @ inputs + 1e-4 * inputs.square().sum() / inputs.shape[1] * torch.eye(inputs.shape[1])
    fitted = torch.linalg.solve(square.double(), (inputs.T @ wanted).double()).T
    weight = model.language.lm_head.weight
    weight[torch.tensor(known, device=weight.device)] = fitted.to(weight.device, weight.dtype)


def seconds(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began, result


@torch.inference_mode()
def pieces(model: HawkEye, look: Look, runs: int) -> dict[str, float]:
    """Seconds of each step for one look on its own, the least of ``runs``."""
    config = model.config
    pixels = torch.zeros(1, model.num_frames, 3, config.vision.image_size, config.vision.image_size)
    pixels = pixels.to(model.device, model.dtype)
    features = model.vision_features(pixels)
    instruction = model.encode_instructions([look.prompt.instruction])
    table, videos = visual_table(model, [look])
    prompt = prompts_of(model, [look], videos)[0]
    plan = plan_for(model, [Branch(prompt)])
    options = answering._option_tokens(model.tokenizers.language, look)
    hidden = run_row(model, plan.ids, plan.positions, table, Row(plan.parts))
    targets = [t for option in options for t in option]
    work = {
        "vision": lambda: model.vision_features(pixels),
        "qformer": lambda: model.visual_tokens(features, *instruction),
        "prefill": lambda: run_row(model, plan.ids, plan.positions, table, Row(plan.parts)),
        "head": lambda: answering._head(model, hidden[: len(targets)], targets),
        "one look, all steps": lambda: model.score([look]),
        "one look, naive": lambda: naive_answers(model, [look]),
        "one look, naive with fused attention": lambda: naive_answers(model, [look], "sdpa"),
    }
    found = {name: min(seconds(model.device, step)[0] for _ in range(runs)) for name, step in work.items()}
    return {**{name: round(value, 5) for name, value in found.items()}, "prompt tokens": len(prompt)}


def against_naive(model: HawkEye, scenario: str, num_queries: int, every: int) -> dict[str, Any]:
    """Both ways turn by turn in alternation, so that a slow minute of the machine meets both."""
    turns = scripted_turns(scenario, num_queries, model)
    fit_head(model, [told for looks in turns for told in looks])
    model.decoding = "exact"
    model.answer([turns[0][0][0]])  # warm up
    naive_answers(model, [turns[0][0][0]])
    ours = theirs = 0.0
    indices: list[int | None] = []
    compared = agree = as_taught = 0
    for looks in turns:
        plain = [look for look, _ in looks]
        spent, answers = seconds(model.device, lambda: model.answer(plain))  # noqa: B023
        ours += spent
        spent, naive = seconds(model.device, lambda: naive_answers(model, plain[::every]))  # noqa: B023
        theirs += spent * len(plain) / len(naive)
        indices += [a.index for a in answers]
        compared += len(naive)
        agree += sum(a.index == n for a, n in zip(answers[::every], naive, strict=True))
        chosen = [None if a.index is None else look.choices[a.index] for a, look in zip(answers, plain, strict=True)]
        as_taught += sum(c is choice for c, (_, choice) in zip(chosen, looks, strict=True))
    return {
        "scenario": scenario,
        "queries": num_queries,
        "looks": len(indices),
        "different windows": sum(len({look.window for look, _ in looks}) for looks in turns),
        "seconds": round(ours, 2),
        "naive seconds": round(theirs, 2),
        "times faster": round(theirs / ours, 2),
        "same exact choice": f"{agree} of {compared}",
        "readable replies": sum(index is not None for index in indices),
        "replies as taught": as_taught,
    }


def flops(config: HawkEyeConfig, windows: int, tokens: int, prefix: int) -> float:
    """Multiply-adds x 2 of the dense layers and of attention, for so many windows and language-model tokens."""
    v, q, text = config.vision, config.qformer, config.language
    patches = (v.image_size // v.patch_size) ** 2 * config.num_frames
    tower = v.num_blocks * (2 * patches * 12 * v.width**2 + 4 * patches**2 * v.width)
    queries = config.num_visual_tokens
    former = q.num_layers * 2 * queries * (
        8 * q.width**2 + 2 * q.width * q.mlp_width
    ) + q.num_layers * patches * q.width * (2 * v.width)
    layer = 2 * (4 * text.width**2 + 3 * text.width * text.mlp_width)
    return windows * (tower + former) + tokens * text.num_layers * (layer + 4 * text.width * prefix / 2)


def throughput(model: HawkEye, batch: int, peak: float | None, runs: int) -> dict[str, Any]:
    """Queries on different videos, four turns each: nothing but the first words of the prompts is shared."""
    looks = []
    for i, told in enumerate(scripted_turns("spread", batch, model)[0]):
        look = told[0]
        window = Span(0.0, 20.0 + i)
        frames = window_frames(window, model.num_frames, model.config.vision.image_size)
        looks.append(Look(f"video{i}", 99.0, window, frames, look.query, look.prompt, look.options, look.choices))
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    model.score(looks)
    best = min(seconds(model.device, lambda: model.score(looks))[0] for _ in range(runs))
    _, videos = visual_table(model, looks)
    prompts = prompts_of(model, looks, videos)
    options = [answering._option_tokens(model.tokenizers.language, look) for look in looks]
    plan = plan_for(model, [Branch(p, o) for p, o in zip(prompts, options, strict=True)])
    work = flops(model.config, batch, len(plan.ids), len(prompts[0]))
    row: dict[str, Any] = {
        "batch": batch,
        "seconds a turn": round(best, 4),
        "queries a second (4 turns)": round(batch / best / TURNS, 2),
        "TFLOP a turn": round(work / 1e12, 2),
        "TFLOP/s": round(work / best / 1e12, 2),
    }
    if model.device.type == "cuda":
        row["peak memory GiB"] = round(torch.cuda.max_memory_allocated(model.device) / 2**30, 2)
    if peak:
        row["share of peak"] = round(work / best / 1e12 / peak, 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hawkeye-mid", choices=sorted(PRESETS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--scenarios", nargs="*", default=list(EVENTS), choices=list(EVENTS))
    parser.add_argument("--batches", type=int, nargs="*", default=[], help="batch sizes to time on different videos")
    parser.add_argument(
        "--peak", type=float, help="the device's dense peak in TFLOP/s, for the share of it (H100, bf16: 989)"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--naive-every", type=int, default=1, help="run the naive way on every so manieth look only")
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds in place of seconds")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    if arguments.cpu_time:
        global clock
        clock = time.process_time
    device = pick_device(arguments.device)
    dtype = pick_dtype(arguments.dtype, device)
    model = random_model(PRESETS[arguments.preset](), device, dtype)
    first = scripted_turns("spread", 1, model)[0][0][0]
    report: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": {
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "processor": platform.processor() or platform.machine(),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        },
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "preset": arguments.preset,
        "dtype": str(dtype),
        "clock": "CPU seconds" if arguments.cpu_time else "seconds",
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds of one look": pieces(model, first, arguments.runs),
        "grounding": [],
        "batches": [],
    }
    print(json.dumps(report), file=sys.stderr)
    for scenario in arguments.scenarios:
        report["grounding"].append(against_naive(model, scenario, arguments.queries, arguments.naive_every))
        print(json.dumps(report["grounding"][-1]), file=sys.stderr, flush=True)
    for batch in arguments.batches:
        report["batches"].append(throughput(model, batch, arguments.peak, arguments.runs))
        print(json.dumps(report["batches"][-1]), file=sys.stderr, flush=True)
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
