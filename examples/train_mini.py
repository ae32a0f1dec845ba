"""Train hawkeye-mini from a folder of captioned pictures: one command, no network, CPU or GPU, resumable.

    python examples/train_mini.py configs/mini/train.yaml pictures=PICTURES output=runs/mini

First frames, sentences and vocabulary are prepared (`mini_material`, `mini_text`). Then three stages, each kept on disk as it
goes, so that a killed run goes on where it was: *reading* teaches the Q-Former where a sentence happens, *lookup* teaches the
language model to read the options (it needs no video, and may run beside the first: stages=[lookup]), *together* joins them
and adds captions and questions. `evaluate_mini.py` measures the result.
"""

from __future__ import annotations

import math
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from mini_material import Asked, Material, log
from mini_text import (
    CAPTION_INSTRUCTION,
    choice_conversation,
    class_tables,
    drill_batch,
    language_loss,
    read_captions,
    text_batch,
    train_tokenizer,
)
from mini_views import blur
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import OPTION_TEXT, option_lines
from hawkeye.config import Config
from hawkeye.models.hawkeye.mini import MiniHawkEye, fresh_mini, save_mini
from hawkeye.models.hawkeye.mini_config import hawkeye_mini
from hawkeye.models.hawkeye.mini_qformer import CHOICES
from hawkeye.prompts import QA_INSTRUCTION, inference_conversation, question_with_options
from hawkeye.records import atomic_write
from hawkeye.runtime import pick_device, seed_for
from hawkeye.spans import Span
from hawkeye.synth.items import frame_times, inside_labels
from hawkeye.synth.pictures import read_pictures, split_classes
from hawkeye.train.optimizer import OptimizerConfig, build_optimizer, parameter_groups

Stage = Literal["reading", "lookup", "together"]
LANGUAGE, CONTENT = r"^(language|position)\.", r"^(projection|qformer\.(content|feature))"
LEARNED: dict[Stage, str] = {
    "reading": r"^qformer\.(?!content|feature|tables)",
    "lookup": LANGUAGE,
    "together": f"{LANGUAGE}|{CONTENT}",
}
WARM_UP = 50  # steps
FLOOR = 0.02  # of the learning rate
LOG_EVERY = 50


class StageConfig(Config):
    steps: int = Field(ge=1)
    lr: float = Field(default=1.5e-3, gt=0)
    batch: int = Field(default=48, ge=1)
    minutes: float | None = None  # end after so long, with the schedule drawn together; None: by steps alone


class MiniTraining(Config):
    """The settings of a run; configs/mini/train.yaml explains each."""

    pictures: Path
    output: Path
    cache: Path | None = None
    class_captions: Path = Path(__file__).with_name("class_captions.txt")
    seed: int = 0
    device: str = "auto"
    held_out: int = Field(default=100, ge=1)
    videos: int = Field(default=700, ge=2)
    stages: tuple[Stage, ...] = ("reading", "lookup", "together")
    reading: StageConfig = StageConfig(steps=1500)
    lookup: StageConfig = StageConfig(steps=1500, batch=16)
    together: StageConfig = StageConfig(steps=400, lr=5e-4, batch=24)
    captions: bool = True
    questions: bool = True
    frames: tuple[int, ...] = (16, 24, 24, 24, 32, 64)
    captioned: float = Field(default=0.7, ge=0, le=1)
    absent: float = Field(default=0.15, ge=0, lt=1)
    negative_spans: bool = True
    noise: float = Field(default=0.03, ge=0)
    clutter: float = Field(default=1.0, ge=0, le=1)
    unknown: float = Field(default=0.5, ge=0, le=1)
    save_every: int = Field(default=100, ge=1)
    model: dict = Field(default_factory=dict)

    @property
    def material(self) -> Path:
        return (self.cache or self.output) / "material"


# What is learned


def reading_losses(
    model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random, noise: torch.Generator
) -> dict[str, Tensor]:
    """Does the sentence happen at each frame, which choice is right, does it happen at all?"""
    looks, times, features = _looks(material, config, config.reading.batch, rng, noise)
    items = [look.item for look in looks]
    reading = model.read(features.to(model.device), *_sentences(material, config, looks, noise, model.device))
    inside = torch.tensor([inside_labels(i, t) for i, t in zip(items, times, strict=True)], device=model.device)
    there = torch.tensor([float(i.span is not None) for i in items], device=model.device)
    chosen, right = _right(looks, model.device)
    return {
        "inside": F.binary_cross_entropy_with_logits(reading.inside, inside),
        "found": F.binary_cross_entropy_with_logits(reading.found, there) * 0.3,
        "choice": F.cross_entropy(reading.choice[chosen], right) * 0.5,
        "accuracy": (reading.choice[chosen].argmax(dim=-1) == right).float().mean().detach(),
    }


def lookup_losses(
    model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random, noise: torch.Generator
) -> dict[str, Tensor]:
    """The first visual token holds one choice; the options come in many orders, and its letter is asked for each time."""
    right = [rng.choice(CHOICES) for _ in range(config.lookup.batch)]
    shape = (len(right), model.config.num_visual_tokens, model.config.language.width)
    noisy = torch.randn(shape, generator=noise).to(model.device) * 0.2
    held = model.position.weight[[CHOICES.index(choice) for choice in right]]
    visual = torch.cat([held[:, None], noisy[:, 1:]], dim=1)
    return {"answer": language_loss(model, drill_batch(model, right, visual, rng), visual)}


def together_losses(
    model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random, noise: torch.Generator
) -> dict[str, Tensor]:
    """The Q-Former's own readings go to the language model, which names the option, captions, and answers questions."""
    looks, _, features = _looks(material, config, config.together.batch, rng, noise)
    chosen, _ = _right(looks, model.device)
    features, items = features.to(model.device)[chosen], [looks[n].item for n in chosen]
    sentences, own = _sentences(material, config, [looks[n] for n in chosen], noise, model.device)
    visual = model.tokens_of(model.read(features, sentences, own))
    talk = [choice_conversation(i.sentence, i.choice, rng) for i in items if i.choice]
    found = {"answer": language_loss(model, text_batch(model, talk, visual), visual)}
    if config.captions:
        some = slice(len(items) // 2)
        places = [OPTION_TEXT[i.choice] for i in items[some] if i.choice]
        turns = [{"i": CAPTION_INSTRUCTION, "q": p, "a": i.sentence} for p, i in zip(places, items[some], strict=True)]
        visual = model.tokens_of(model.read(features[some], material.embedding(places)))
        batch = text_batch(model, [inference_conversation([turn]) for turn in turns], visual)
        found["caption"] = language_loss(model, batch, visual) * 0.5
    if config.questions:
        found["question"] = _question_loss(model, material, config, rng) * 0.3
    return found


def _question_loss(model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random) -> Tensor:
    numbers = [rng.choice(material.with_questions) for _ in range(max(1, config.together.batch // 4))]
    asked = [rng.choice(material.questions[n]) for n in numbers]
    plans = [material.plans[n] for n in numbers]
    times = [frame_times(Span(0.0, p.duration), model.num_frames, rng) for p in plans]
    turns = []
    for question in asked:
        lines = option_lines(question.options)
        text = question_with_options(question.text, lines)
        turns.append({"i": QA_INSTRUCTION.strip(), "q": text, "a": lines[question.answer]})
    reading = model.read(material.features(plans, times).to(model.device), material.embedding([q.text for q in asked]))
    visual = model.tokens_of(reading)
    return language_loss(
        model, text_batch(model, [inference_conversation([t], choose=True) for t in turns], visual), visual
    )


Losses = Callable[[MiniHawkEye, Material, MiniTraining, random.Random, torch.Generator], dict[str, Tensor]]
LOSSES: dict[Stage, Losses] = {"reading": reading_losses, "lookup": lookup_losses, "together": together_losses}


def _looks(
    material: Material, config: MiniTraining, batch: int, rng: random.Random, noise: torch.Generator
) -> tuple[list[Asked], list[list[float]], Tensor]:
    count = rng.choice(config.frames)
    looks = [material.draw(rng) for _ in range(batch)]
    times = [frame_times(look.item.window, count, rng) for look in looks]
    features = material.features([material.plans[look.item.plan] for look in looks], times, noise)
    features = material.without_class(features, [look.own for look in looks], noise)
    return looks, times, blur(features, noise)


def _sentences(
    material: Material, config: MiniTraining, looks: list[Asked], noise: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Noisy embeddings (B, 384), each by a strength of its own, and each one's class if it is that class's caption."""
    clean = material.embedding([look.item.sentence for look in looks])
    strength = config.noise * torch.rand(len(clean), 1, generator=noise)
    noisy = F.normalize(clean + strength * torch.randn(clean.shape, generator=noise), dim=-1)
    return noisy.to(device), torch.tensor([look.own for look in looks], device=device)


def _right(looks: list[Asked], device: torch.device) -> tuple[list[int], Tensor]:
    """The looks in which there is a choice to make, and the number of the right one."""
    chosen = [(n, look.item.choice) for n, look in enumerate(looks) if look.item.choice is not None]
    return [n for n, _ in chosen], torch.tensor([CHOICES.index(c) for _, c in chosen], device=device)


# The run


def build(config: MiniTraining, material: Material) -> MiniHawkEye:
    """Fresh weights; the vocabulary and the class tables are made once and kept."""
    file = config.material / "tables.pt"
    if not file.is_file():
        with atomic_write(file, "wb") as out:
            torch.save(class_tables(read_captions(config.class_captions)), out)
    settings = hawkeye_mini(**config.model)
    texts = list(material.sentences) + [o for questions in material.questions for q in questions for o in q.options]
    tokenizer = train_tokenizer(texts, config.material / "tokenizer.model", settings.language.vocab_size)
    return fresh_mini(settings, tokenizer, torch.load(file, weights_only=True), config.seed)


def run_stage(
    model: MiniHawkEye, material: Material, config: MiniTraining, stage: Stage,
    losses: Losses | None = None, taught: str | None = None,
) -> None:  # fmt: skip
    """Train what the stage teaches, from its last checkpoint if there is one; its weights end up in ``model``.

    ``losses``, ``taught`` (names of weights): something else than the stage's own.
    """
    losses, taught = losses or LOSSES[stage], taught or LEARNED[stage]
    settings: StageConfig = getattr(config, stage)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(re.search(taught, name) is not None)
    optimizing = OptimizerConfig(lr=settings.lr, betas=(0.9, 0.99), clip_norm=1.0)
    optimizer = build_optimizer(parameter_groups(model.named_parameters(), optimizing), optimizing, fused=False)
    learned = [p for p in model.parameters() if p.requires_grad]
    file, step, seconds = config.output / f"{stage}.pt", 0, 0.0
    if file.is_file():
        state = torch.load(file, map_location=model.device, weights_only=True)
        _take(model, state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    log(f"{stage}: {sum(p.numel() for p in learned) / 1e6:.2f} million weights, {step} of {settings.steps} steps done")
    began, logged, sums = time.perf_counter() - seconds, time.perf_counter(), {}
    while step < settings.steps:
        minutes = (time.perf_counter() - began) / 60
        done = max(step / settings.steps, minutes / settings.minutes if settings.minutes else 0.0)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * rate_at(step, done)
        torch.manual_seed(seed_for(config.seed, "dropout", stage, step))
        noise = torch.Generator().manual_seed(seed_for(config.seed, "noise", stage, step))
        parts = losses(model, material, config, random.Random(seed_for(config.seed, "step", stage, step)), noise)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([part for name, part in parts.items() if name != "accuracy"]).sum().backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        step += 1
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach()) / LOG_EVERY
        if step % LOG_EVERY == 0:
            speed = LOG_EVERY * settings.batch / (time.perf_counter() - logged)
            shown = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
            log(f"{stage} {step} {minutes:.1f} min {speed:.0f}/s {shown}")
            sums, logged = {}, time.perf_counter()
        if step % config.save_every == 0:
            _save(file, model, optimizer, step, time.perf_counter() - began)
    _save(file, model, optimizer, step, time.perf_counter() - began)


def rate_at(step: int, done: float) -> float:
    """What the learning rate is multiplied by: a short warm-up, then half a cosine down to a floor."""
    return min((step + 1) / WARM_UP, 1.0) * max(FLOOR, 0.5 * (1 + math.cos(math.pi * done)))


def _save(file: Path, model: MiniHawkEye, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    state = {"model": weights, "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
    with atomic_write(file, "wb") as out:
        torch.save(state, out)


@torch.no_grad()
def _take(model: MiniHawkEye, weights: dict[str, Tensor]) -> None:
    """Only the stage's own weights are in a stage's file; they must all have a place."""
    places = dict(model.named_parameters())
    for name, weight in weights.items():
        places[name].copy_(weight)


def train(config: MiniTraining) -> Path:
    """All stages asked for; the model as it then stands is in ``output/model``."""
    pictures, _ = split_classes(read_pictures(config.pictures), config.held_out)
    material = Material(
        config.material, pictures, "train", config.videos, config.seed, config.class_captions,
        config.captioned, config.absent, config.negative_spans, config.clutter, config.unknown,
    )  # fmt: skip
    model = build(config, material)
    model.to(pick_device(config.device)).train()
    for stage in config.stages:
        run_stage(model, material, config, stage)
    return save_mini(model, config.output / "model")


if __name__ == "__main__":
    print(train(MiniTraining.from_yaml(sys.argv[1], sys.argv[2:])))
