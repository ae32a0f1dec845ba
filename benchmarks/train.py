"""Samples a second of the training loop, beside a naive loop on the same tiny model and items, interleaved in one process.

    python benchmarks/train.py [--rounds 3] [--steps 40]          the comparison, on a CPU
    python benchmarks/train.py full [--batch 8] [--steps 20]      HawkEye-7B with random weights on one GPU

The mixture is choices (long texts) and captions (short ones) of the same made-up videos. The naive loop works as the
reference does (``models/hawkeye_it.py:283-375``): batches in random order whatever their lengths, each text tokenised and
embedded on its own in the main process, rows joined one by one and padded, logits at every position; its videos are decoded
in a worker at each meeting, as the loop's are in the row "without frame cache". It is granted fused attention and the same
optimizer. Prints JSON. Not measured: evaluation, checkpoints.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from hawkeye.choices import OPTION_TEXT, option_lines
from hawkeye.models.hawkeye.conversation import IGNORED, VISUAL, encode_conversation, encode_instructions
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.prompts import Conversation, grounding_prompt
from hawkeye.train.build import build_model
from hawkeye.train.config import TrainConfig
from hawkeye.train.dataset import Item, TrainingSet
from hawkeye.train.distributed import World
from hawkeye.train.loop import train
from hawkeye.train.meters import Step
from hawkeye.train.mixture import Entry
from hawkeye.train.optimizer import build_optimizer, parameter_groups
from hawkeye.train.run import Run
from hawkeye.train.sources import load_source
from hawkeye.train.tokenizers import make_tokenizers
from hawkeye.video.synthetic import write_video
from hawkeye.video.transforms import CLIP_MEAN, CLIP_STD, normalize

WARM_UP = 5  # steps that are not counted: workers start, memory is taken
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230), "yellow": (220, 210, 40)}


def make_data(folder: Path, videos: int, size: int, seconds: int = 20, fps: int = 5) -> None:
    """Videos with a coloured square for a while, a sentence of three to thirty words on each, and tokenizers."""
    rng, noise = random.Random(1), np.random.default_rng(1)
    rows, texts = [], []
    for number in range(videos):
        colour = rng.choice(list(COLOURS))
        start = rng.uniform(0, seconds - 8)
        span = (start, start + rng.uniform(3, 8))
        frames = noise.normal(118, 8, (seconds * fps, size, size, 3)).clip(0, 255).astype(np.uint8)
        frames[int(span[0] * fps) : int(span[1] * fps), size // 8 : -size // 8, size // 8 : -size // 8] = COLOURS[
            colour
        ]
        write_video(folder / "videos" / f"{number:03d}.mp4", list(frames), fps=fps, preset="ultrafast")
        query = " ".join([f"a {colour} square", *["that shows for a while"] * rng.randrange(6)])
        rows.append({"video": f"{number:03d}.mp4", "query": query, "span": span, "duration": seconds})
        prompt = grounding_prompt(query, option_lines(list(OPTION_TEXT.values())), [number / 7, number / 3])
        texts.append(prompt.before_video + prompt.after_video)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_tokenizers(texts, folder / "tokenizers")


def settings(folder: Path, output: Path, start: str, **data: Any) -> dict[str, Any]:
    source = {"dataset": "jsonl", "annotations": "train.jsonl", "videos": "videos"}
    return {
        "output": str(output),
        "model": {"start": start, "tokenizers": str(folder / "tokenizers")},
        "data": {
            "root": str(folder),
            "normalization": "clip",
            "augment": False,
            "sources": [
                {**source, "name": "choices", "representation": "choice"},
                {**source, "name": "captions", "representation": "time_caption"},
            ],
            **data,
        },
        "optimizer": {"clip_norm": 1.0},
        "log": {"every_steps": 1000},
        "checkpoint": {"every_steps": 100_000},
        "resume": "never",
    }


def our_steps(config: TrainConfig) -> list[Step]:
    """The steps that the loop took, those of the warm-up left out."""
    steps: list[Step] = []
    train(config, lambda progress: steps.append(progress.last))
    return steps[WARM_UP:]


def naive_row(model: HawkEye, item: Item, visual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (L, D) and labels (L,) of one item; ``visual`` (Q, D)."""
    tokenizer, embed = model.tokenizers.language, model.language.model.embed_tokens
    encoded = encode_conversation(tokenizer, item.text)
    before = embed(torch.tensor([tokenizer.bos, *encoded.before]))
    after = embed(torch.tensor(encoded.after))
    known = [i if flag else IGNORED for i, flag in zip(encoded.after, encoded.learned, strict=True)]
    labels = [IGNORED] * (len(before) + len(visual)) + known
    return torch.cat([before, visual, after]), torch.tensor(labels)


def naive_loss(model: HawkEye, items: list[Item]) -> torch.Tensor:
    pixels = normalize(torch.stack([item.pixels for item in items]), CLIP_MEAN, CLIP_STD)
    ids, mask = encode_instructions(
        model.tokenizers.qformer, [item.instruction for item in items], model.config.qformer.max_positions
    )
    visual = model.visual_tokens(model.vision_features(pixels), ids, mask)
    rows = [naive_row(model, item, own) for item, own in zip(items, visual, strict=True)]
    longest = max(len(labels) for _, labels in rows)
    embedded = torch.stack([F.pad(row, (0, 0, 0, longest - len(row))) for row, _ in rows])
    labels = torch.stack([F.pad(own, (0, longest - len(own)), value=IGNORED) for _, own in rows])
    seen = torch.stack([torch.arange(longest) < len(own) for _, own in rows])
    logits = model.language(inputs_embeds=embedded, attention_mask=seen, use_cache=False).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED)


def naive_steps(config: TrainConfig, seed: int) -> Iterator[tuple[float, float]]:
    """Seconds, and seconds of waiting for data, of each step after the warm-up."""
    model, _ = build_model(config, torch.device("cpu"))
    model.train()
    optimizer = build_optimizer(parameter_groups(model.named_parameters(), config.optimizer), config.optimizer, False)
    sources = [load_source(source, config.seed, config.data.root) for source in config.data.sources]
    items = TrainingSet.of(config, sources, model.config.vision.image_size)
    rng, size = random.Random(seed), config.batch.size
    entries = [Entry(0, s, i) for s, source in enumerate(sources) for i in range(len(source.examples))]
    wanted = config.schedule.max_steps or 1
    batches = [rng.sample(entries, size) for _ in range(wanted)]
    workers = config.data.workers
    loader = DataLoader(
        items, batch_sampler=batches, collate_fn=list, num_workers=workers, prefetch_factor=4 if workers else None
    )  # type: ignore[arg-type]
    began = time.perf_counter()
    for number, batch in enumerate(loader):
        waited = time.perf_counter() - began
        optimizer.zero_grad(set_to_none=True)
        naive_loss(model, batch).backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        seconds, began = time.perf_counter() - began, time.perf_counter()
        if number >= WARM_UP:
            yield seconds, waited


def same_losses(config: TrainConfig) -> float:
    """The largest difference between the two ways' losses on the same items: the comparison is of like with like."""
    run = Run(config, World(0, 1, torch.device("cpu")))
    items = run.items()
    found = []
    for number in range(8):
        chosen = [items[Entry(0, n % 2, number)] for n in range(4)]
        pixels = normalize(torch.stack([item.pixels for item in chosen]), CLIP_MEAN, CLIP_STD)
        run.model.eval()
        with torch.no_grad():
            batch = run.model.training_batch([Conversation(item.text, item.instruction) for item in chosen], pixels)
            found.append(abs(float(run.model(batch).loss - naive_loss(run.model, chosen))))
            assert int((batch.tokens == VISUAL).sum()) == 4 * run.model.config.num_visual_tokens
    return max(found)


def compare(folder: Path, rounds: int, steps: int, batch: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    make_data(folder, 4 * batch, 32)
    rows: dict[str, list[tuple[float, float]]] = {"loop": [], "loop, without frame cache": [], "naive": []}
    base = settings(folder, folder / "run", "hawkeye-tiny", num_frames=8, workers=1)
    base["batch"], base["schedule"] = {"size": batch}, {"max_steps": steps + WARM_UP, "warmup_epochs": 0}
    base["model"].update(train_vision=True, language="full", weight_scale=4.0)
    base["device"] = "cpu"
    for number in range(rounds):
        for name, measured in rows.items():
            cache = 0.5 if name == "loop" else 0.0
            config = TrainConfig.from_dict({**base, "data": {**base["data"], "cache_gib": cache}})
            if name == "naive":
                measured.extend(naive_steps(config, number))
            else:
                measured.extend((step.seconds, step.waited) for step in our_steps(config))
    table = {
        name: {
            "samples_per_second": round(batch / statistics.median(s for s, _ in measured), 1),
            "samples_per_second_without_waiting": round(batch / statistics.median(s - w for s, w in measured), 1),
            "waiting_share": round(sum(w for _, w in measured) / sum(s for s, _ in measured), 3),
        }
        for name, measured in rows.items()
    }
    naive = table["naive"]
    return {
        "batch": batch,
        "steps": rounds * steps,
        "largest_difference_of_losses": same_losses(TrainConfig.from_dict(base)),
        "rows": table,
        "ratio": round(table["loop"]["samples_per_second"] / naive["samples_per_second"], 2),
        "ratio_without_frame_cache": round(
            table["loop, without frame cache"]["samples_per_second"] / naive["samples_per_second"], 2
        ),
        "ratio_without_waiting": round(
            table["loop, without frame cache"]["samples_per_second_without_waiting"]
            / naive["samples_per_second_without_waiting"],
            2,
        ),
    }


def model_flops(config: TrainConfig, device: torch.device) -> float:
    """Floating point operations that a step needs: frozen parts have no weight gradients, the vision tower none at all.

    What gradient checkpointing computes again is not counted, as model FLOPs utilisation wants it.
    """
    run = Run(config, World(0, 1, device))
    loaded = next(run.batches())[0]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run._forward(loaded)
    counts = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    vision = counts["HawkEye.vision"]
    language = counts["HawkEye.language.model"] + counts["HawkEye.language.lm_head"]
    rest = counts["HawkEye"] - vision - language
    backward = {
        "vision": 3 if config.model.train_vision else 1,
        "language": 3 if config.model.language == "full" else 2,
    }
    return float(vision * backward["vision"] + 3 * rest + language * backward["language"])


def full(folder: Path, start: str, device: str, batch: int, steps: int, workers: int, peak: float) -> dict[str, Any]:
    """The real size with random weights, in bfloat16 with gradient checkpointing."""
    make_data(folder, 2 * batch, 256)
    base = settings(folder, folder / "run", start, num_frames=12, workers=workers)
    base["model"].update(gradient_checkpointing=True)
    base.update(device=device, precision="bfloat16", batch={"size": batch})
    base["schedule"] = {"max_steps": steps + WARM_UP, "warmup_epochs": 0}
    config = TrainConfig.from_dict(base)
    flops = model_flops(config, torch.device(device))
    taken = our_steps(config)
    seconds = statistics.median(step.seconds for step in taken)
    on_gpu = device.startswith("cuda")
    return {
        "start": start,
        "batch": batch,
        "samples_per_second": round(batch / seconds, 2),
        "tokens_per_second": round(statistics.median(step.tokens for step in taken) / seconds),
        "waiting_share": round(sum(s.waited for s in taken) / sum(s.seconds for s in taken), 3),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if on_gpu else None,
        "model_tflops_a_step": round(flops / 1e12, 3),
        "model_flops_utilisation": round(flops / seconds / (peak * 1e12), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["compare", "full"], default="compare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--start", default="hawkeye-7b", help="full: the preset")
    parser.add_argument("--device", default="cuda", help="full: the device")
    parser.add_argument("--workers", type=int, default=6, help="full: processes that read videos")
    parser.add_argument(
        "--peak", type=float, default=989.0, help="full: teraflops of the device in bfloat16 (H100: 989)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.what == "full":
            args = (given.start, given.device, given.batch, given.steps, given.workers, given.peak)
            result = full(Path(name), *args)
        else:
            result = compare(Path(name), given.rounds, given.steps, given.batch)
    print(json.dumps({"date": date.today().isoformat(), "cpus": os.cpu_count(), **result}, indent=1))


if __name__ == "__main__":
    main()
