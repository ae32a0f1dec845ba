"""What looks of one batch share: each window goes through the vision tower once, each (window, instruction) through the
Q-Former once, and what prompts have in common through the language model once (`tree`, `packed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hawkeye.errors import ModelError
from hawkeye.models.base import Look
from hawkeye.models.hawkeye.packed import Row
from hawkeye.models.hawkeye.tree import Branch, Plan, plan_row, visual_ids
from hawkeye.video.transforms import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, evaluation_pixels

if TYPE_CHECKING:
    from hawkeye.models.hawkeye.model import HawkEye

VIDEOS_PER_BATCH = 8
MAX_ROW_TOKENS = 16384  # of one packed row, counted as if nothing were shared
NORMALIZATIONS = {"clip": (CLIP_MEAN, CLIP_STD), "imagenet": (IMAGENET_MEAN, IMAGENET_STD)}


def visual_table(model: HawkEye, looks: Sequence[Look]) -> tuple[Tensor, list[int]]:
    """Visual tokens of all looks, (videos * Q, D), and for each look the number of its video in that table."""
    windows: dict[Any, Look] = {}
    wanted: dict[Any, int] = {}
    numbers = []
    for look in looks:
        window = (look.video, look.window, look.frames.times)
        windows.setdefault(window, look)
        numbers.append(wanted.setdefault((window, look.prompt.instruction), len(wanted)))
    features = dict(zip(windows, _features(model, list(windows.values())), strict=True))
    tokens: list[Tensor] = []
    pairs = list(wanted)
    for start in range(0, len(pairs), VIDEOS_PER_BATCH):
        # Only windows with as many frames can go through together.
        for chunk in _alike(pairs[start : start + VIDEOS_PER_BATCH], lambda pair: features[pair[0]].shape):
            ids, mask = model.encode_instructions([instruction for _, instruction in chunk])
            tokens.extend(model.visual_tokens(torch.stack([features[window] for window, _ in chunk]), ids, mask))
    return torch.cat(tokens), numbers


def _features(model: HawkEye, looks: Sequence[Look]) -> list[Tensor]:
    made: list[Tensor] = []
    for start in range(0, len(looks), VIDEOS_PER_BATCH):
        pixels = [_pixels(model, look) for look in looks[start : start + VIDEOS_PER_BATCH]]
        for chunk in _alike(pixels, lambda p: p.shape):
            made.extend(model.vision_features(torch.stack(chunk)))
    return made


def _pixels(model: HawkEye, look: Look) -> Tensor:
    """(T, 3, H, W) as the vision tower takes them; a model with a tower of another kind has a ``pixels_of`` of its own."""
    own = getattr(model, "pixels_of", None)
    if own is not None:
        return own(look)
    mean, std = NORMALIZATIONS[model.config.normalization]
    return evaluation_pixels(look.frames, model.config.vision.image_size, mean, std)


def _alike(items: Sequence[Any], key: Any) -> Iterator[list[Any]]:
    """Runs of neighbours with the same key."""
    run: list[Any] = []
    for item in items:
        if run and key(item) != key(run[0]):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def prompts_of(model: HawkEye, looks: Sequence[Look], videos: Sequence[int]) -> list[tuple[int, ...]]:
    """Each look's prompt as numbers: BOS, the text before the video, its visual tokens, the text after it.

    Raises ModelError for one that is longer than the language model was made for.
    """
    tokenizer, count = model.tokenizers.language, model.config.num_visual_tokens
    encoded: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        if text not in encoded:
            encoded[text] = tokenizer.encode(text)
        return encoded[text]

    prompts, limit = [], model.config.language.max_positions
    for look, video in zip(looks, videos, strict=True):
        before, after = encode(look.prompt.before_video), encode(look.prompt.after_video)
        prompts.append((tokenizer.bos, *before, *visual_ids(video, count), *after))
        if len(prompts[-1]) > limit:
            raise ModelError(
                f"{look.video}: the prompt has {len(prompts[-1])} tokens and {model.name} reads at most {limit}: "
                "ask something shorter, or begin a new chat"
            )
    return prompts


def rows(branches: Sequence[Branch], videos: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the branches that go into one packed row together; those of one video are brought together."""
    order = sorted(range(len(branches)), key=lambda i: videos[i])
    row: list[int] = []
    tokens = 0
    for i in order:
        length = len(branches[i].prompt) + sum(map(len, branches[i].options))
        if row and tokens + length > MAX_ROW_TOKENS:
            yield row
            row, tokens = [], 0
        row.append(i)
        tokens += length
    if row:
        yield row


def plan_for(model: HawkEye, branches: Sequence[Branch]) -> Plan:
    return plan_row(branches, model.device, model.dtype)


def run_row(model: HawkEye, ids: Sequence[int], positions: Sequence[int], visual: Tensor | None, row: Row) -> Tensor:
    """Last hidden states (N, D) of a row's new tokens. Negative ``ids`` are rows of ``visual``, -1 the first."""
    numbers = torch.tensor(ids, device=model.device)
    embedded = model.language.model.embed_tokens(numbers.clamp_min(0))
    if visual is not None:
        places = (numbers < 0).nonzero()[:, 0]
        embedded[places] = visual[-numbers[places] - 1].to(embedded.dtype)
    no_mask = embedded.new_empty(1, 1, 0, 0)  # four dimensions: transformers then makes no mask of its own
    return model.language.model(
        inputs_embeds=embedded[None],
        attention_mask=no_mask,
        position_ids=torch.tensor(positions, device=model.device)[None],
        use_cache=False,
        packed=row,
    ).last_hidden_state[0]
