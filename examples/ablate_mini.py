"""The paper's questions about training, asked of hawkeye-mini: short runs that differ in one thing, measured on held-out classes.

    python examples/ablate_mini.py configs/mini/train.yaml pictures=PICTURES base=runs/mini output=runs/ablations

``base`` is a finished run of `train_mini.py`: what the language model is taught here starts from its Q-Former.

1. Negative spans: the Q-Former learned anew, with windows that stay where nothing else fits the sentence, or any windows.
2. What the answer is: a choice; seconds; numbers of frames; a token for each frame. And 3. a choice, with captions beside it.
   In 2 and 3 all weights but the Q-Former's readings are taught, by as many steps and examples each.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from evaluate_mini import HEAD, Query, after_turns, forget, ground, held_out_material, ious_of, queries_about, report
from mini_material import Material
from mini_text import CAPTION_INSTRUCTION, FRAME_TOKENS, choice_conversation, language_loss, text_batch
from mini_videos import made_up
from pydantic import Field
from torch import Tensor
from train_mini import MiniTraining, _looks, _right, _sentences, _take, build, run_stage

from hawkeye.choices import OPTION_TEXT
from hawkeye.models.base import Look
from hawkeye.models.hawkeye.mini import MiniHawkEye
from hawkeye.models.hawkeye.mini_qformer import CHOICES
from hawkeye.prompts import (
    ASSISTANT,
    GROUNDING_INSTRUCTION,
    QUESTION_TEMPLATE,
    SEPARATOR,
    Conversation,
    frames_message,
    inference_conversation,
)
from hawkeye.spans import Span
from hawkeye.synth.items import frame_times
from hawkeye.synth.pictures import read_pictures, split_classes
from hawkeye.train.crops import Crop
from hawkeye.train.representations import SLOTS, Representation

LONGEST_REPLY = 24  # tokens
TAUGHT = r"^(language|position|projection)\.|^qformer\.(?!tables|inside|prior|choice|found)"
NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Ablations(MiniTraining):
    """`MiniTraining`, and how long the short runs are. A choice is taught in two stages, numbers in one that is as long."""

    base: Path = Path("runs/mini")  # a finished run of `train_mini.py`
    parts: tuple[Literal["readings", "answers"], ...] = ("readings", "answers")
    reading_steps: int = Field(default=250, ge=1)
    lookup_steps: int = Field(default=100, ge=1)
    answer_steps: int = Field(default=150, ge=1)
    answer_batch: int = Field(default=16, ge=1)


class HeldChoice:
    """The Q-Former's choice as the answer, without the language model."""

    def __init__(self, model: MiniHawkEye) -> None:
        self.model, self.name, self.num_frames = model, model.name, model.num_frames

    @torch.inference_mode()
    def score(self, looks: list[Look]) -> list[list[float]]:
        rows = []
        for look in looks:
            features = self.model.vision_features(look.frames.pixels[None])
            odds = self.model.read(features, self.model.sentences.encode([look.query])).choice[0].log_softmax(dim=-1)
            rows.append([float(odds[CHOICES.index(choice)]) for choice in look.choices])
        return rows

    def generate(self, looks: list[Look], max_new_tokens: int = 100) -> list[str]:
        return self.model.generate(looks, max_new_tokens)


# Answers in words or numbers


def numbers_conversation(
    sentence: str, window: Span, span: Span, kind: Representation, times: list[float]
) -> Conversation:
    """Question and answer as `hawkeye.train` writes them. Only seconds need to be told when frames were taken."""
    crop = Crop(window, span.clamp(*window))
    values: tuple[float, float] = crop.seconds if kind is Representation.SECOND else crop.frames(FRAME_TOKENS)
    start, end = (f"{v:.1f}" if kind is Representation.SECOND else str(v) for v in values)
    question = f"Question: {QUESTION_TEMPLATE.replace('{query}', sentence)}"
    turn = {"i": GROUNDING_INSTRUCTION.strip(), "q": question, "a": SLOTS[kind].format(start=start, end=end)}
    message = f" {frames_message([t - window.start for t in times])}" if kind is Representation.SECOND else ""
    return inference_conversation([turn], message)


def answer_losses(
    model: MiniHawkEye, material: Material, config: MiniTraining, rng: random.Random, noise: torch.Generator,
    kind: Representation, captions: bool,
) -> dict[str, Tensor]:  # fmt: skip
    """The answer in one representation, and with ``captions`` what happens in a part of the window."""
    looks, times, features = _looks(material, config, config.together.batch, rng, noise)
    chosen, _ = _right(looks, model.device)
    asked = [looks[n] for n in chosen]
    visual = model.tokens_of(model.read(features[chosen], *_sentences(material, config, asked, noise, model.device)))
    talk = []
    for n, look in zip(chosen, asked, strict=True):
        item = look.item
        assert item.choice
        assert item.span
        if kind is Representation.CHOICE:
            talk.append(choice_conversation(item.sentence, item.choice, rng))
        else:
            talk.append(numbers_conversation(item.sentence, item.window, item.span, kind, times[n]))
    found = {"answer": language_loss(model, text_batch(model, talk, visual), visual)}
    if captions:
        some = slice(len(asked) // 2)
        places = [OPTION_TEXT[look.item.choice] for look in asked[some] if look.item.choice]
        turns = [
            {"i": CAPTION_INSTRUCTION, "q": p, "a": look.item.sentence}
            for p, look in zip(places, asked[some], strict=True)
        ]
        visual = model.tokens_of(model.read(features[chosen][some], material.embedding(places)))
        batch = text_batch(model, [inference_conversation([turn]) for turn in turns], visual)
        found["caption"] = language_loss(model, batch, visual) * 0.5
    return found


@torch.inference_mode()
def said_span(model: MiniHawkEye, query: Query, kind: Representation) -> Span | None:
    """One look at the whole video, and the reply read as a span; None if it isn't one."""
    video, sentence, _, _ = query
    window = Span(0.0, video.info.duration)
    times = frame_times(window, model.num_frames)
    frames = video.read([int(np.abs(video.times - t).argmin()) for t in times])
    features = model.vision_features(frames.pixels[None])
    visual = model.tokens_of(model.read(features, model.sentences.encode([sentence])))
    batch = text_batch(model, [numbers_conversation(sentence, window, window, kind, times)], visual)
    asks = model.language_tokenizer.encode(f"{SEPARATOR}{ASSISTANT}")[-1]  # one token; the reply comes after the last
    tokens, reply = batch.tokens[:, : int((batch.tokens[0] == asks).nonzero()[-1]) + 1], []
    for _ in range(LONGEST_REPLY):
        hidden = model.language.model(
            inputs_embeds=model.embed_prompt(tokens, visual), use_cache=False
        ).last_hidden_state
        reply.append(int(model.language.lm_head(hidden[0, -1]).argmax()))
        tokens = torch.cat([tokens, torch.tensor([[reply[-1]]])], dim=1)
        if reply[-1] == model.language_tokenizer.eos:
            break
    said = model.language_tokenizer.decode(reply).split("###")[0]
    found = [float(number) for number in NUMBER.findall(said)]
    if len(found) < 2:
        return None
    start, end = found[:2]
    if kind is not Representation.SECOND:
        slot = window.length / FRAME_TOKENS
        start, end = start * slot, (end + 1) * slot
    return Span(start, end).clamp(*window) if start < end and start < window.end else None


# The runs


def readings(config: Ablations, make: Callable[[bool], Material], measure: Callable[[MiniHawkEye], list[str]]) -> None:
    print("\n### Negative spans: the Q-Former's choices\n\n" + HEAD)
    for negative_spans in (True, False):
        name = "with negative spans" if negative_spans else "without negative spans"
        reading = config.reading.model_copy(update={"steps": config.reading_steps})
        own = config.model_copy(update={"output": config.output / name.replace(" ", "-"), "reading": reading})
        material = make(negative_spans)
        model = build(own, material)
        model.train()
        run_stage(model, material, own, "reading")
        model.eval()
        for row in measure(model):
            print(row.replace("| ", f"| {name}: ", 1), flush=True)


def answers(config: Ablations, material: Material, queries: list[Query], held: Material, rows: torch.nn.Module) -> None:
    print("\n### What the answer is, and captions beside it\n\n" + HEAD)
    groups = [str(q[0].info.path) for q in queries]
    runs = [
        (kind, False)
        for kind in (Representation.CHOICE, Representation.SECOND, Representation.FRAME, Representation.FRAME_TOKEN)
    ]
    for kind, captions in [*runs, (Representation.CHOICE, True)]:
        name = f"{kind}{' and captions' if captions else ''}"
        spoken = kind is Representation.CHOICE
        steps = config.answer_steps + (0 if spoken else config.lookup_steps)
        own = config.model_copy(update={
            "output": config.output / name.replace(" ", "-"), "frames": (FRAME_TOKENS,),
            "lookup": config.lookup.model_copy(update={"steps": config.lookup_steps, "batch": config.answer_batch}),
            "together": config.together.model_copy(update={"steps": steps, "batch": config.answer_batch}),
        })  # fmt: skip
        model = build(own, material)
        model.train()
        _take(model, torch.load(config.base / "reading.pt", weights_only=True)["model"])
        if spoken:
            run_stage(model, material, own, "lookup")
        run_stage(model, material, own, "together", partial(answer_losses, kind=kind, captions=captions), TAUGHT)
        model.vision = rows  # type: ignore[assignment]
        model.eval()
        forget(model, held)
        if spoken:
            results = ground(model, queries, strategy="recursive", max_turns=4)
            for turns in (1, 4):
                ious = ious_of([after_turns(r, turns) for r in results], queries)
                print(report(f"{name}, {turns} turns", ious, groups), flush=True)
        else:
            spans = [said_span(model, q, kind) for q in queries]
            unread = sum(span is None for span in spans)
            print(
                report(f"{name}, one look ({unread} replies are no span)", ious_of(spans, queries), groups), flush=True
            )


def main() -> None:
    config = Ablations.from_yaml(sys.argv[1], sys.argv[2:])
    pictures, _ = split_classes(read_pictures(config.pictures), config.held_out)

    def make(negative_spans: bool) -> Material:
        return Material(
            config.material, pictures, "train", config.videos, config.seed, config.class_captions,
            config.captioned, config.absent, negative_spans, config.clutter, config.unknown,
        )  # fmt: skip

    held = held_out_material(config, 60, 0.0)
    readers, rows = made_up(held, config.seed)
    queries = queries_about(held, readers, 120)

    def measure(model: MiniHawkEye) -> list[str]:
        model.vision = rows  # type: ignore[assignment]
        forget(model, held)
        results = ground(HeldChoice(model), queries, strategy="recursive", max_turns=4)
        groups = [str(q[0].info.path) for q in queries]
        return [
            report(f"{n} turns", ious_of([after_turns(r, n) for r in results], queries), groups) for n in (1, 2, 3, 4)
        ]

    if "readings" in config.parts:
        readings(config, make, measure)
    if "answers" in config.parts:
        answers(config, make(True), queries, held, rows)


if __name__ == "__main__":
    main()
