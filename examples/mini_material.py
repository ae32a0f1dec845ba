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
from mini_views import Pictures, clutter
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import OPTION_TEXT
from hawkeye.models.class_texts import class_names
from hawkeye.models.frame_head import describe
from hawkeye.models.hawkeye.mini_config import FEATURES, NUM_CLASSES, FrameEncoderConfig
from hawkeye.models.hawkeye.mini_vision import FrameEncoder
from hawkeye.records import atomic_write
from hawkeye.runtime import seed_for
from hawkeye.synth.events import Event, events_of
from hawkeye.synth.features import FeatureStore, all_coarse_recipes
from hawkeye.synth.items import Item, absent_item, item_for
from hawkeye.synth.names import class_text, full_description
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Plan, Style, make_plan, recipe_at
from hawkeye.synth.questions import questions_about
from hawkeye.synth.recipe import coarse

SENTENCES_PER_VIDEO = 24
STYLE = Style(partners=1)
SQUARE = 260  # pixels
NEAREST = 8  # classes that go with one that the network is made not to know


def squeezed(pixels: Tensor) -> Tensor:
    """Frames of training as squares: a quarter less to compute, and something that photographs of things stand well."""
    return F.interpolate(pixels.float(), (SQUARE, SQUARE), mode="bilinear", antialias=True)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Asked:
    """An item, and the ImageNet class whose caption its sentence is (-1: it is none)."""

    item: Item
    own: int = -1


class Material:
    """``captioned``: the share of single shots and guests that are asked for by a caption of their class's picture.

    ``known``: the pictures from which the second view of these ones is fitted; None for those of training, which are fitted
    in folds. ``cluttered``: how much of other frames is mixed in, 0 to 1. ``unknown``: the share of captions whose class the
    network is made not to know.
    """

    def __init__(
        self, cache: Path, pictures: Sequence[Picture], name: str, videos: int, seed: int, captions: Path,
        captioned: float = 0.5, absent: float = 0.15, negative_spans: bool = True,
        cluttered: float = 0.0, unknown: float = 0.0, known: Material | None = None,
    ) -> None:  # fmt: skip
        self.cluttered, self.unknown = cluttered, unknown
        self.pictures, self.captioned, self.absent = pictures, captioned, absent
        self.negative_spans = negative_spans
        encoder = FrameEncoder(FrameEncoderConfig())
        self.store = FeatureStore(
            pictures, lambda pixels: encoder.encode(squeezed(pixels))[:, :FEATURES], cache / f"{name}.pt"
        )
        wanted = all_coarse_recipes(len(pictures), STYLE)
        if len(self.store) < len(wanted):
            log(f"{name}: features of {len(wanted)} frames")
            self.store.add(wanted, lambda done, total: log(f"{done} of {total}") if done % 1000 < 8 else None)
            self.store.save(cache / f"{name}.pt")
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
        about = [self.captions[n] if n >= 0 else p.captions[0] for n, p in zip(self.classes, pictures, strict=True)]
        texts += [*about, *class_names(), *(full_description(i) for i in range(NUM_CLASSES))]
        self.sentences = embed_once(list(dict.fromkeys(texts)), cache / f"{name}_sentences.pt")
        # Which pictures each frame shows, twice the same if it is one; a dark frame counts as a mixture.
        self.shown = torch.tensor([(r[0].picture, r[-1].picture) if r else (0, 1) for r in wanted])
        self.rows = self._rows(encoder, self.store.rows(wanted).float(), about, known)

    @torch.no_grad()
    def _rows(self, encoder: FrameEncoder, pooled: Tensor, about: Sequence[str], known: Material | None) -> Tensor:
        """Of every frame there is what the vision part gives, (N, 2664) float16."""
        described = [full_description(i) for i in range(NUM_CLASSES)]
        texts = F.normalize(self.embedding(class_names()) + self.embedding(described), dim=-1)
        weights = encoder.network.classifier_weight
        self.to_fit = Pictures(pooled, self.shown, self.embedding(about), weights, texts, self.classes)
        second = describe(pooled, *known.to_fit.fit()) if known else self.to_fit.described()
        self.nearest = (texts @ texts.T).topk(NEAREST).indices
        return torch.cat([pooled, encoder.network.classify(pooled), second], dim=-1).half()

    def _events(self, plan: Plan, seed: int) -> list[Event]:
        events = events_of(plan, self.pictures, seed)
        rng = random.Random(seed_for(seed, "kept", plan.id))
        kept = events if len(events) <= SENTENCES_PER_VIDEO else rng.sample(events, SENTENCES_PER_VIDEO)
        return [replace(event, sentences=event.sentences[:1]) for event in kept]

    def embedding(self, texts: Sequence[str]) -> Tensor:
        """float32 (B, 384)."""
        return torch.stack([self.sentences[text] for text in texts]).float()

    def features(
        self, plans: Sequence[Plan], times: Sequence[Sequence[float]], noise: torch.Generator | None = None
    ) -> Tensor:
        """float32 (B, T, 2664). ``noise``: mix in other frames, as much as is set."""
        numbers = torch.tensor(
            [[self.numbers[coarse(recipe_at(plan, t))] for t in row] for plan, row in zip(plans, times, strict=True)]
        )
        rows = self.rows[numbers].float()
        return clutter(rows, self.shown[numbers, 0], self.rows, noise, self.cluttered) if noise else rows

    def without_class(self, features: Tensor, own: Sequence[int], noise: torch.Generator) -> Tensor:
        """Some of the looks (B, T, 2664) that are asked for by a caption lose that caption's class, and those most like it:
        most things in real videos are none of the network's classes."""
        features = features.clone()
        for number, is_hidden in enumerate(torch.rand(len(own), generator=noise) < self.unknown):
            if own[number] >= 0 and is_hidden:
                logits = features[number, :, FEATURES : FEATURES + NUM_CLASSES]
                logits[:, self.nearest[own[number]]] = logits.mean(dim=1, keepdim=True)
        return features

    def draw(self, rng: random.Random) -> Asked:
        """One random look: a sentence that happens in the window, or one about something that is nowhere in the video."""
        number = rng.randrange(len(self.plans))
        plan = self.plans[number]
        if rng.random() < self.absent:
            other = rng.choice(self.events[rng.randrange(len(self.plans))])
            if self._is_foreign(other, plan):
                sentence, own = self.words(other, rng)
                return Asked(absent_item(number, plan, sentence, rng), own)
        event = rng.choice(self.events[number])
        sentence, own = self.words(event, rng)
        asked = replace(event, sentences=(sentence,))
        return Asked(item_for(number, plan, asked, self.negative_spans, rng), own)

    def words(self, event: Event, rng: random.Random) -> tuple[str, int]:
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
