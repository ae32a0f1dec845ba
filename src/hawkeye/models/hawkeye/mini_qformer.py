"""The small model's Q-Former: which frames fit the query, and what the language model gets to see of it.

A frame and a sentence meet through the 1,000 ImageNet classes: the sentence's embedding is compared with those of the class
names, which gives a weight for each class, and the frame's logits are read with these weights, in several ways (`matches`).
Beside that stand the two views of the similarity model, and both together (`views`): cosines of sentence and frame.
All this needs no training and works for words that training never held. Learned is what follows: queries and frames attend to
each other in one stack, where frames that look alike are drawn together, so that a shot is judged as one.

Out come the visual tokens, and beside them three readings that training supervises: whether the sentence happens at each
frame, which of the four choices is right, and whether it happens at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hawkeye.choices import Choice
from hawkeye.models.frame_head import REGRESSION_WEIGHT, likely_classes
from hawkeye.models.hawkeye.mini_config import FEATURES, NUM_CLASSES, MatchingConfig

# Of the weights of classes; lower ones do better on photographs of one thing, worse on real videos.
TEMPERATURES = (0.1,)
NUM_TABLES = 4  # of class texts: names; names in a sentence; names, descriptions and captions together; captions
NAMES, TOGETHER, CAPTIONED = 0, 2, slice(2, 4)  # the last: the tables that captions are part of
NUM_MATCHES = NUM_TABLES * 2 * len(TEMPERATURES)
NUM_VIEWS = 3
VIEW_SCALE = 10.0  # cosines are small beside logits
USUAL = 50  # classes whose mean likeness says how well a sentence fits things in general
CHOICES = tuple(Choice)  # the order of the choice reading
EPS = 1e-6
TIME_WAVES = 6
NUM_SHARES = 6


@dataclass(frozen=True)
class Reading:
    """What the Q-Former sees. ``queries`` (B, Q, E); logits ``inside`` (B, T), ``choice`` (B, 4), ``found`` (B)."""

    queries: Tensor
    inside: Tensor
    choice: Tensor
    found: Tensor


def matches(logits: Tensor, sentence: Tensor, tables: Tensor, own: Tensor | None = None) -> Tensor:
    """How well frames fit a sentence, in `NUM_MATCHES` ways: (B, T, M).

    ``logits`` (B, T, 1000) of the frames' classes, ``sentence`` (B, 384), ``tables`` (K, 1000, 384): unit-length embeddings of
    the classes' texts. For each table and temperature: the mean logit, and the log-probability, under the classes' weights.
    ``own`` (B,): in training, the class whose caption the sentence is, or -1: its name then stands for the caption, which
    would give the answer away.
    """
    likeness = (sentence @ tables.flatten(0, 1).T).unflatten(-1, (len(tables), NUM_CLASSES))  # (B, K, 1000)
    if own is not None:
        hidden = own[:, None] == torch.arange(NUM_CLASSES, device=own.device)
        captioned = torch.cat([likeness[:, :1], likeness[:, :1]], dim=1).where(hidden[:, None], likeness[:, CAPTIONED])
        likeness = torch.cat([likeness[:, : CAPTIONED.start], captioned], dim=1)
    weights = torch.cat([(likeness / t).softmax(dim=-1) for t in TEMPERATURES], dim=1).transpose(
        1, 2
    )  # (B, 1000, M / 2)
    centred = logits - logits.mean(dim=-1, keepdim=True)
    return torch.cat([centred @ weights, (logits.softmax(dim=-1) @ weights).clamp_min(EPS).log()], dim=-1)


def views(logits: Tensor, described: Tensor, sentence: Tensor, tables: Tensor, own: Tensor | None = None) -> Tensor:
    """Cosines of frames and a sentence, times `VIEW_SCALE`: by classes, by regression, and by both as `FrameHead` adds them.

    (B, T, NUM_VIEWS). ``described`` (B, T, 384); the others as in `matches`.
    """
    probabilities = likely_classes(logits)
    named = probabilities @ tables[TOGETHER]
    if own is not None:
        at = own.clamp_min(0)
        share = probabilities[torch.arange(len(own), device=own.device), :, at] * (own >= 0)[:, None]
        named = named + share[..., None] * (tables[NAMES, at] - tables[TOGETHER, at])[:, None]
    named, described = F.normalize(named, dim=-1), F.normalize(described, dim=-1)
    both = F.normalize(named + REGRESSION_WEIGHT * described, dim=-1)
    return torch.stack([view @ sentence[..., None] for view in (named, described, both)], dim=2)[..., 0] * VIEW_SCALE


def usual_fit(sentence: Tensor, tables: Tensor, own: Tensor | None = None) -> Tensor:
    """How well a sentence fits the classes it fits best, times `VIEW_SCALE`: (B, 1, 1). General ones fit everything a little."""
    likeness = sentence @ tables[TOGETHER].T
    if own is not None:
        likeness = likeness.masked_fill(own[:, None] == torch.arange(NUM_CLASSES, device=own.device), 0.0)
    return likeness.topk(USUAL).values.mean(dim=-1)[:, None, None] * VIEW_SCALE


class Layer(nn.Module):
    """Pre-norm attention and feed-forward. Frames attend to frames with a bias by their likeness."""

    def __init__(self, config: MatchingConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.likeness = nn.Parameter(torch.zeros(config.num_heads))
        self.up, self.down = nn.Linear(config.width, config.mlp_width), nn.Linear(config.mlp_width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (B, L, E); bias (B, L, L), 0 where a query takes part."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mask = bias[:, None] * self.likeness[:, None, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))


class MatchingQFormer(nn.Module):
    """``features`` (B, T, 2664) of frames and ``sentences`` (B, 384) -> `Reading`."""

    def __init__(self, config: MatchingConfig, vision_width: int) -> None:
        super().__init__()
        width = config.width
        self.parts = (FEATURES, NUM_CLASSES, vision_width - FEATURES - NUM_CLASSES)
        self.gradient_checkpointing = False
        self.tables = nn.Parameter(torch.zeros(NUM_TABLES, NUM_CLASSES, config.text_width), requires_grad=False)
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_queries, width))
        self.match = nn.Linear(2 * (NUM_MATCHES + NUM_VIEWS) + 1, width)
        self.scale_norm = nn.LayerNorm(NUM_MATCHES)
        self.content_query, self.content_key = nn.Linear(width, width), nn.Linear(width, width)
        self.feature = nn.Linear(FEATURES, config.feature_width, bias=False)
        self.feature_norm = nn.LayerNorm(config.feature_width)
        self.feature_in = nn.Linear(config.feature_width, width)
        self.place = nn.Linear(2 * TIME_WAVES + 1, width)
        self.steps = nn.Linear(2, width)
        self.text = nn.Linear(config.text_width, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.inside, self.prior = nn.Linear(width, 1), nn.Linear(NUM_MATCHES + NUM_VIEWS, 1)
        self.choice = nn.Sequential(nn.Linear(width + NUM_SHARES, width), nn.GELU(), nn.Linear(width, len(CHOICES)))
        self.found = nn.Linear(width, 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, sentences: Tensor, own: Tensor | None = None) -> Reading:
        pooled, logits, described = features.split(self.parts, dim=-1)
        matched = matches(logits, sentences, self.tables, own)
        seen_as = views(logits, described, sentences, self.tables, own)
        fits = torch.cat([matched, seen_as], dim=-1)
        mean, deviation = fits.mean(dim=1, keepdim=True), fits.std(dim=1, keepdim=True, correction=0)
        relative = (fits - mean) / (deviation + EPS)
        seen = F.normalize(pooled - pooled.mean(dim=1, keepdim=True), dim=-1)
        likeness = seen @ seen.transpose(1, 2)  # (B, T, T)
        near = torch.stack([_shifted(likeness, 1), _shifted(likeness, -1)], dim=-1)

        above = seen_as[..., -1:] - usual_fit(sentences, self.tables, own)
        told = torch.cat([relative, self.scale_norm(matched), seen_as, above], dim=-1)
        frames = self.match(told) + self.steps(near)
        frames = frames + self.place(_places(features.shape[1], features).expand(len(features), -1, -1))
        queries = self.query_tokens + self.text(self.dropout(sentences))[:, None]
        x, count = torch.cat([queries, frames], dim=1), self.query_tokens.shape[1]
        bias = F.pad(likeness * 4, (count, 0, count, 0))
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x)
        queries, frames = x[:, :count], x[:, count:]
        inside = (self.inside(frames) + self.prior(relative))[..., 0]
        choice = self.choice(torch.cat([queries[:, 0], _shares(inside)], dim=-1))
        # What is on screen reaches the visual tokens only, never the readings: these shall not know pictures by heart.
        attention = self.content_query(queries) @ self.content_key(frames).transpose(1, 2) / queries.shape[-1] ** 0.5
        content = self.feature_in(self.dropout(self.feature_norm(self.feature(pooled))))
        return Reading(queries + attention.softmax(dim=-1) @ content, inside, choice, self.found(queries[:, 0])[..., 0])


def _shifted(likeness: Tensor, by: int) -> Tensor:
    """Likeness of each frame to its neighbour: (B, T), 1 at the border, where there is none."""
    diagonal = likeness.diagonal(offset=by, dim1=1, dim2=2)
    return F.pad(diagonal, (0, 1) if by > 0 else (1, 0), value=1.0)


def _shares(inside: Tensor) -> Tensor:
    """(B, NUM_SHARES): how much of the window the sentence takes, and how much of that lies in each part and where."""
    probability = inside.sigmoid()
    count = inside.shape[1]
    at = (torch.arange(count, device=inside.device) + 0.5) / count
    weight = probability / probability.sum(dim=1, keepdim=True).clamp_min(EPS)
    parts = torch.stack([at < 0.5, (at >= 0.25) & (at < 0.75), at >= 0.5], dim=1).to(weight)
    mean = weight @ at
    spread = ((weight * (at - mean[:, None]) ** 2).sum(dim=1) + EPS).sqrt()
    return torch.cat([weight @ parts, torch.stack([mean, spread, probability.mean(dim=1)], dim=1)], dim=1)


def _places(count: int, like: Tensor) -> Tensor:
    """(1, count, 2 * TIME_WAVES + 1): where in the window each frame lies, as waves."""
    at = (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count
    angles = at[:, None] * torch.pi * 2 ** torch.arange(TIME_WAVES, device=like.device, dtype=like.dtype)
    return torch.cat([at[:, None] * 2 - 1, angles.sin(), angles.cos()], dim=-1)[None]
