"""What training hawkeye-mini draws from: planned videos with their sentences, features by recipe, sentence embeddings."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mini_text import read_captions, sentence_encoder
from torch import Tensor

from hawkeye.choices import OPTION_TEXT
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.records import atomic_write
from hawkeye.runtime import seed_for
from hawkeye.synth.events import Event, events_of
from hawkeye.synth.features import FeatureStore, all_coarse_recipes
from hawkeye.synth.items import Item, absent_item, item_for
from hawkeye.synth.names import class_text
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Plan, Style, make_plan, recipe_at
from hawkeye.synth.questions import questions_about
from hawkeye.synth.recipe import coarse

SENTENCES_PER_VIDEO = 24
FEATURES = 1280  # of a frame, before its class logits
STYLE = Style(partners=1)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Asked:
    """An item, and the ImageNet class whose caption its sentence is (-1: it is none)."""

    item: Item
    own: int = -1


class Material:
    """``captioned``: the share of single shots and guests that are asked for by a caption of their class's picture."""

    def __init__(
        self, cache: Path, pictures: Sequence[Picture], name: str, videos: int, seed: int, captions: Path,
        captioned: float = 0.5, absent: float = 0.15, negative_spans: bool = True,
    ) -> None:  # fmt: skip
        self.pictures, self.captioned, self.absent = pictures, captioned, absent
        self.negative_spans = negative_spans
        encoder = FrameEncoder(FrameEncoderConfig())
        self.store = FeatureStore(pictures, lambda pixels: encoder.encode(pixels)[:, :FEATURES], cache / f"{name}.pt")
        wanted = all_coarse_recipes(len(pictures), STYLE)
        if len(self.store) < len(wanted):
            log(f"{name}: features of {len(wanted)} frames")
            self.store.add(wanted, lambda done, total: log(f"{done} of {total}") if done % 1000 < 8 else None)
            self.store.save(cache / f"{name}.pt")
        # Features and class logits of every frame there is, as the vision part gives them.
        with torch.no_grad():
            self.rows = torch.cat([_with_logits(encoder, rows) for rows in self.store.rows(wanted).split(1000)])
        self.numbers = {recipe: n for n, recipe in enumerate(wanted)}
        self.plans: list[Plan] = [make_plan(seed, n, len(pictures), STYLE) for n in range(videos)]
        self.events: list[list[Event]] = [self._events(plan, seed) for plan in self.plans]
        self.questions = [questions_about(plan, pictures, seed) for plan in self.plans]
        self.with_questions = [n for n, questions in enumerate(self.questions) if questions]
        classes = {class_text(i).name: i for i in range(1000)}
        self.classes = [classes.get(picture.subject, -1) for picture in pictures]
        self.captions = read_captions(captions)
        texts = [s for events in self.events for event in events for s in event.sentences]
        texts += [q.text for questions in self.questions for q in questions] + list(OPTION_TEXT.values())
        texts += [self.captions[number] for number in self.classes if number >= 0]
        self.sentences = embed_once(list(dict.fromkeys(texts)), cache / f"{name}_sentences.pt")

    def _events(self, plan: Plan, seed: int) -> list[Event]:
        events = events_of(plan, self.pictures, seed)
        rng = random.Random(seed_for(seed, "kept", plan.id))
        kept = events if len(events) <= SENTENCES_PER_VIDEO else rng.sample(events, SENTENCES_PER_VIDEO)
        return [replace(event, sentences=event.sentences[:1]) for event in kept]

    def embedding(self, texts: Sequence[str]) -> Tensor:
        """float32 (B, 384)."""
        return torch.stack([self.sentences[text] for text in texts]).float()

    def features(self, plans: Sequence[Plan], times: Sequence[Sequence[float]]) -> Tensor:
        """float32 (B, T, 2280)."""
        numbers = [
            [self.numbers[coarse(recipe_at(plan, t))] for t in row] for plan, row in zip(plans, times, strict=True)
        ]
        return self.rows[torch.tensor(numbers)].float()

    def draw(self, rng: random.Random) -> Asked:
        """One random look: a sentence that happens in the window, or one about something that is nowhere in the video."""
        number = rng.randrange(len(self.plans))
        plan = self.plans[number]
        if rng.random() < self.absent:
            other = rng.choice(self.events[rng.randrange(len(self.plans))])
            if self._is_foreign(other, plan):
                sentence, own = self._words(other, rng)
                return Asked(absent_item(number, plan, sentence, rng), own)
        event = rng.choice(self.events[number])
        sentence, own = self._words(event, rng)
        asked = replace(event, sentences=(sentence,))
        return Asked(item_for(number, plan, asked, self.negative_spans, rng), own)

    def _words(self, event: Event, rng: random.Random) -> tuple[str, int]:
        number = self.classes[event.pictures[0]]
        if event.kind in ("shot", "guest") and number >= 0 and rng.random() < self.captioned:
            return self.captions[number], number
        return event.sentences[0], -1

    def _is_foreign(self, event: Event, plan: Plan) -> bool:
        """Whether nothing in the video is of the event's subjects, or shares a wider word with them."""
        shown = [self.pictures[item.picture] for item in (*plan.shots, *plan.guests)]
        asked = [self.pictures[number] for number in event.pictures]
        wide = {p.text.wider for p in shown if p.text and p.text.wider}
        return not {p.subject for p in asked} & {p.subject for p in shown} and not any(
            p.text and p.text.wider in wide for p in asked
        )


def _with_logits(encoder: FrameEncoder, pooled: Tensor) -> Tensor:
    return torch.cat([pooled, encoder.network._fc(pooled.float()).half()], dim=-1)


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
