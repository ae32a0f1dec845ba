"""Train hawkeye-mini from a folder of captioned pictures: one command, no network, CPU or GPU, resumable.

    python examples/train_mini.py configs/train/mini.yaml pictures=PICTURES output=runs/mini

Stages, each kept on disk so that a killed run goes on where it was: frame features of the training and the held-out pictures,
the sentences and their embeddings, the tokenizer, the training, the export. `evaluate_mini.py` measures the result.
"""

from __future__ import annotations

import math
import random
import sys
import time
from pathlib import Path

import torch
from mini_text import (
    CAPTION_INSTRUCTION,
    choice_conversation,
    class_tables,
    language_loss,
    sentence_encoder,
    text_batch,
    train_tokenizer,
)
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import OPTION_TEXT, option_lines
from hawkeye.config import Config
from hawkeye.models.hawkeye.mini import MiniHawkEye, fresh_mini, save_mini
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig, hawkeye_mini
from hawkeye.models.hawkeye.mini_qformer import CHOICES
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.prompts import (
    QA_INSTRUCTION,
    inference_conversation,
    question_with_options,
)
from hawkeye.records import atomic_write
from hawkeye.runtime import pick_device, seed_for
from hawkeye.spans import Span
from hawkeye.synth.events import Event, events_of
from hawkeye.synth.features import FeatureStore, all_coarse_recipes
from hawkeye.synth.items import Item, absent_item, frame_times, inside_labels, item_for
from hawkeye.synth.pictures import Picture, read_pictures, split_classes
from hawkeye.synth.plan import Plan, Style, make_plan, recipe_at
from hawkeye.synth.questions import questions_about
from hawkeye.synth.recipe import coarse
from hawkeye.train.optimizer import OptimizerConfig, build_optimizer, parameter_groups

SENTENCES_PER_VIDEO = 24
QUESTION_FRAMES = 24
FEATURES = 1280  # of a frame, before its class logits


class MiniTraining(Config):
    """The settings in configs/train/mini.yaml."""

    pictures: Path
    output: Path
    cache: Path | None = None  # features and sentences; None: in output
    seed: int = 0
    device: str = "auto"
    held_out: int = Field(default=100, ge=1)
    videos: int = Field(default=700, ge=2)
    steps: int = Field(default=3000, ge=1)
    minutes: float | None = None  # end after so long, with the schedule stretched to it
    batch: int = Field(default=48, ge=1)
    language_rows: int = Field(default=16, ge=0)
    caption_rows: int = Field(default=4, ge=0)
    question_rows: int = Field(default=4, ge=0)
    frames: tuple[int, ...] = (16, 24, 24, 24, 32, 64)
    absent: float = Field(default=0.15, ge=0, lt=1)
    negative_spans: bool = True
    noise: float = Field(default=0.03, ge=0)  # on sentence embeddings, per dimension
    save_every: int = Field(default=100, ge=1)
    optimizer: OptimizerConfig = OptimizerConfig(lr=1.5e-3, weight_decay=0.02, clip_norm=1.0)
    model: dict = Field(default_factory=dict)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Material:
    """Everything that a step draws from: planned videos with their sentences, features by recipe, sentence embeddings."""

    def __init__(self, config: MiniTraining, pictures: list[Picture], name: str, videos: int, seed: int) -> None:
        cache = (config.cache or config.output) / "material"
        self.config, self.pictures, self.style = config, pictures, Style(partners=1)
        encoder = FrameEncoder(FrameEncoderConfig())
        self.store = FeatureStore(pictures, lambda pixels: encoder.encode(pixels)[:, :FEATURES], cache / f"{name}.pt")
        wanted = all_coarse_recipes(len(pictures), self.style)
        if len(self.store) < len(wanted):
            log(f"{name}: features of {len(wanted)} frames")
            self.store.add(wanted, lambda done, total: log(f"{done} of {total}") if done % 1000 < 8 else None)
            self.store.save(cache / f"{name}.pt")
        # Features and class logits of every frame there is, as the vision part gives them.
        with torch.no_grad():
            self.rows = torch.cat([part_of(encoder, rows) for rows in self.store.rows(wanted).split(1000)])
        self.numbers = {recipe: n for n, recipe in enumerate(wanted)}
        self.plans: list[Plan] = [make_plan(seed, n, len(pictures), self.style) for n in range(videos)]
        self.events: list[list[Event]] = [self._events(plan, seed) for plan in self.plans]
        self.questions = [questions_about(plan, pictures, seed) for plan in self.plans]
        self.with_questions = [n for n, questions in enumerate(self.questions) if questions]
        texts = [s for events in self.events for event in events for s in event.sentences]
        texts += [q.text for questions in self.questions for q in questions] + list(OPTION_TEXT.values())
        self.sentences = embed_once(list(dict.fromkeys(texts)), cache / f"{name}_sentences.pt")

    def _events(self, plan: Plan, seed: int) -> list[Event]:
        events = events_of(plan, self.pictures, seed)
        rng = random.Random(seed_for(seed, "kept", plan.id))
        kept = events if len(events) <= SENTENCES_PER_VIDEO else rng.sample(events, SENTENCES_PER_VIDEO)
        return [Event(e.span, e.context, e.kind, e.sentences[:1], e.pictures) for e in kept]

    def embedding(self, texts: list[str]) -> Tensor:
        return torch.stack([self.sentences[text] for text in texts]).float()

    def features(self, plans: list[Plan], times: list[list[float]]) -> Tensor:
        """float32 (B, T, 2280)."""
        found = [
            [self.numbers[coarse(recipe_at(plan, t))] for t in row] for plan, row in zip(plans, times, strict=True)
        ]
        return self.rows[torch.tensor(found)].float()

    def item(self, rng: random.Random) -> Item:
        number = rng.randrange(len(self.plans))
        plan = self.plans[number]
        if rng.random() < self.config.absent:
            other = rng.choice(self.events[rng.randrange(len(self.plans))])
            shown = {self.pictures[i].subject for i in pictures_of(plan)}
            wide = {self.pictures[i].text.wider for i in pictures_of(plan) if self.pictures[i].text}  # type: ignore[union-attr]
            names = {self.pictures[i].subject for i in other.pictures}
            words = {self.pictures[i].text.wider for i in other.pictures if self.pictures[i].text}  # type: ignore[union-attr]
            if not names & shown and not (words - {""}) & wide:
                return absent_item(number, plan, rng.choice(other.sentences), rng)
        event = rng.choice(self.events[number])
        return item_for(number, plan, event, self.config.negative_spans, rng)


def part_of(encoder: FrameEncoder, pooled: Tensor) -> Tensor:
    return torch.cat([pooled, encoder.network._fc(pooled.float()).half()], dim=-1)


def pictures_of(plan: Plan) -> set[int]:
    return {item.picture for item in (*plan.shots, *plan.guests)}


def embed_once(texts: list[str], file: Path) -> dict[str, Tensor]:
    """float16 embeddings by text, kept in ``file``."""
    known: dict[str, Tensor] = torch.load(file, weights_only=True) if file.is_file() else {}
    missing = [text for text in texts if text not in known]
    if missing:
        log(f"{file.stem}: embedding {len(missing)} sentences")
        encoder = sentence_encoder()
        for start in range(0, len(missing), 2048):
            part = missing[start : start + 2048]
            known.update(zip(part, encoder.encode(part).half(), strict=True))
            with atomic_write(file, "wb") as out:
                torch.save(known, out)
    return known


# One step


def losses(model: MiniHawkEye, material: Material, config: MiniTraining, step: int) -> dict[str, Tensor]:
    rng = random.Random(seed_for(config.seed, "step", step))
    generator = torch.Generator().manual_seed(seed_for(config.seed, "noise", step))
    device = model.device
    count = rng.choice(config.frames)
    items = [material.item(rng) for _ in range(config.batch)]
    times = [frame_times(item.window, count, rng) for item in items]
    features = blur(material.features([material.plans[i.plan] for i in items], times), generator).to(device)
    clean = material.embedding([item.sentence for item in items])
    sentences = F.normalize(
        clean + config.noise * torch.randn(clean.shape, generator=generator) * _some(clean, generator), dim=-1
    )
    reading = model.read(features, sentences.to(device))
    inside = torch.tensor([inside_labels(i, t) for i, t in zip(items, times, strict=True)], device=device)
    there = torch.tensor([float(i.span is not None) for i in items], device=device)
    found = {"inside": F.binary_cross_entropy_with_logits(reading.inside, inside)}
    found["found"] = F.binary_cross_entropy_with_logits(reading.found, there) * 0.3
    chosen = [n for n, item in enumerate(items) if item.choice is not None]
    right = torch.tensor([CHOICES.index(c) for n in chosen if (c := items[n].choice) is not None], device=device)
    found["choice"] = F.cross_entropy(reading.choice[chosen], right) * 0.5
    with torch.no_grad():
        found["accuracy"] = (reading.choice[chosen].argmax(dim=-1) == right).float().mean()
    asked = chosen[: config.language_rows]
    if asked:
        found["language"] = _choice_loss(model, material, [items[n] for n in asked], reading, asked, rng, generator) * 2
    if config.caption_rows:
        found["caption"] = _caption_loss(model, material, items, features, chosen[-config.caption_rows :], rng) * 0.2
    if config.question_rows:
        found["question"] = _question_loss(model, material, config, rng) * 0.1
    return found


def blur(features: Tensor, generator: torch.Generator) -> Tensor:
    """Photographs of one thing are easy: real frames show less certain classes, and differ more from frame to frame."""
    pooled, logits = features[..., :FEATURES], features[..., FEATURES:]
    certainty = 0.4 + 0.7 * torch.rand(len(features), 1, 1, generator=generator)
    noise = 0.7 * torch.rand(len(features), 1, 1, generator=generator) * torch.randn(logits.shape, generator=generator)
    return torch.cat([pooled, logits * certainty + noise], dim=-1)


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    """A strength from 0 to 1 for each row."""
    return torch.rand(len(rows), 1, generator=generator)


def _choice_loss(model, material, items, reading, numbers, rng, generator) -> Tensor:
    """Half the rows hold the Q-Former's own view; the other half a made-up one, to learn to read the options by it."""
    held = reading.choice[numbers].softmax(dim=-1).detach().clone()
    right = [item.choice for item in items]
    for row in range(0, len(items), 2):
        made = (torch.randn(len(CHOICES), generator=generator) * 3).softmax(dim=0)
        held[row] = made.to(held)
        right[row] = CHOICES[int(torch.multinomial(made, 1, generator=generator))]
    conversations = [choice_conversation(i.sentence, c, rng) for i, c in zip(items, right, strict=True)]
    visual = model.tokens_of(reading_rows(reading, numbers), held)
    return language_loss(model, text_batch(model, conversations, visual), visual)


def reading_rows(reading, numbers):
    return type(reading)(*(value[numbers] for value in vars(reading).values()))


def _caption_loss(model, material, items, features, numbers, rng) -> Tensor:
    places = [OPTION_TEXT[items[n].choice] for n in numbers]
    turns = [{"i": CAPTION_INSTRUCTION, "q": p, "a": items[n].sentence} for p, n in zip(places, numbers, strict=True)]
    visual = model.tokens_of(model.read(features[numbers], material.embedding(places).to(model.device)))
    conversations = [inference_conversation([turn]) for turn in turns]
    return language_loss(model, text_batch(model, conversations, visual), visual)


def _question_loss(model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random) -> Tensor:
    numbers = [rng.choice(material.with_questions) for _ in range(config.question_rows)]
    asked = [rng.choice(material.questions[n]) for n in numbers]
    plans = [material.plans[n] for n in numbers]
    features = material.features(plans, [frame_times(Span(0.0, p.duration), QUESTION_FRAMES, rng) for p in plans])
    turns = []
    for question in asked:
        lines = option_lines(question.options)
        text = question_with_options(question.text, lines)
        turns.append({"i": QA_INSTRUCTION.strip(), "q": text, "a": lines[question.answer]})
    embedded = material.embedding([q.text for q in asked]).to(model.device)
    visual = model.tokens_of(model.read(features.to(model.device), embedded))
    conversations = [inference_conversation([turn], choose=True) for turn in turns]
    return language_loss(model, text_batch(model, conversations, visual), visual)


# The run


def save_state(file: Path, model: MiniHawkEye, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
    with atomic_write(file, "wb") as out:
        torch.save(state, out)


def build(config: MiniTraining, material: Material) -> MiniHawkEye:
    cache = (config.cache or config.output) / "material"
    tables_file = cache / "tables.pt"
    if not tables_file.is_file():
        with atomic_write(tables_file, "wb") as out:
            torch.save(class_tables(), out)
    settings = hawkeye_mini(**config.model)
    texts = [s for s in material.sentences if len(s) < 400] + [
        q for qs in material.questions for x in qs for q in x.options
    ]
    tokenizer = train_tokenizer(texts, cache / "tokenizer.model", settings.language.vocab_size)
    return fresh_mini(settings, tokenizer, torch.load(tables_file, weights_only=True), config.seed)


def train(config: MiniTraining) -> Path:
    pictures, _ = split_classes(read_pictures(config.pictures), config.held_out)
    material = Material(config, pictures, "train", config.videos, config.seed)
    model = build(config, material).to(pick_device(config.device)).train()
    model.qformer.tables.requires_grad_(False)
    log(f"{sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6:.2f} million weights to train")
    groups = parameter_groups(model.named_parameters(), config.optimizer)
    optimizer = build_optimizer(groups, config.optimizer, fused=False)
    rates = [group["lr"] for group in optimizer.param_groups]  # before a checkpoint brings its own, lowered ones
    file, step, seconds = config.output / "state.pt", 0, 0.0
    if file.is_file():
        state = torch.load(file, map_location=model.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        log(f"going on after step {step}")
    began, sums, summed = time.perf_counter() - seconds, {}, 0
    logged = time.perf_counter()
    while step < config.steps:
        elapsed = (time.perf_counter() - began) / 60
        progress = step / config.steps if config.minutes is None else max(step / config.steps, elapsed / config.minutes)
        if progress >= 1:
            break
        rate = min((step + 1) / 100, 1.0) * max(0.02, 0.5 * (1 + math.cos(math.pi * progress)))
        for group, base in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = base * rate
        torch.manual_seed(seed_for(config.seed, "dropout", step))
        parts = losses(model, material, config, step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([part for name, part in parts.items() if name != "accuracy"]).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm or float("inf"))
        optimizer.step()
        step, summed = step + 1, summed + 1
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach())
        if step % 50 == 0:
            shown = " ".join(f"{name} {value / summed:.3f}" for name, value in sums.items())
            speed = summed * config.batch / (time.perf_counter() - logged)
            log(f"step {step} {elapsed:.1f} min {speed:.0f}/s lr {rate:.3f} {shown}")
            sums, summed, logged = {}, 0, time.perf_counter()
        if step % config.save_every == 0:
            save_state(file, model, optimizer, step, time.perf_counter() - began)
            save_mini(model, config.output / "model")
    save_state(file, model, optimizer, step, time.perf_counter() - began)
    return save_mini(model.eval(), config.output / "model")


if __name__ == "__main__":
    done = train(MiniTraining.from_yaml(sys.argv[1], sys.argv[2:]))
    print(done)
