"""The reference's way of working, for `model.py` to compare with: one query at a time, batch 1, nothing shared.

Each look has its window encoded, its whole prompt prefilled, and up to 20 greedy tokens decoded with a KV cache; the reply's text
is then matched against the options. Attention is computed in the open (matrix product, softmax, matrix product), in the vision
tower, the Q-Former and the language model, and the prefill makes logits at every position, as the reference's code and the
transformers of its time do. ``attention="sdpa"`` grants it the fused attention.

Source: reference ``tasks/test_recursive_grounding.py:240-300``, ``models/blip2/vit.py``, ``models/blip2/modeling_llama.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hawkeye.choices import read_reply
from hawkeye.models.base import Look
from hawkeye.models.hawkeye.answering import REPLY_TOKENS, whole_reply
from hawkeye.models.hawkeye.generation import StopRule
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.sharing import NORMALIZATIONS
from hawkeye.video.transforms import evaluation_pixels


def open_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **kwargs: Any,
) -> Tensor:
    weights = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
    if attn_mask is not None:
        weights = (
            weights.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else weights + attn_mask
        )
    return weights.softmax(dim=-1) @ value


@contextmanager
def attention_of(model: HawkEye, kind: str) -> Iterator[None]:
    """The model with ``eager`` or ``sdpa`` attention for a while."""
    configs = {id(c): c for c in (model.language.config, model.language.model.config)}.values()
    kept = [(c, c._attn_implementation) for c in configs]
    fused = F.scaled_dot_product_attention
    for config in configs:
        config._attn_implementation = kind
    if kind == "eager":
        F.scaled_dot_product_attention = open_attention  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = fused  # type: ignore[assignment]
        for config, name in kept:
            config._attn_implementation = name


@torch.inference_mode()
def naive_answers(model: HawkEye, looks: Sequence[Look], attention: str = "eager") -> list[int | None]:
    """The option that each look's greedy reply names; None if it names none."""
    with attention_of(model, attention):
        return [_answer(model, look) for look in looks]


def _answer(model: HawkEye, look: Look) -> int | None:
    tokenizer = model.tokenizers.language
    pixels = evaluation_pixels(look.frames, model.config.vision.image_size, *NORMALIZATIONS[model.config.normalization])
    visual = model.encode_video(pixels[None], [look.prompt.instruction])
    embed = model.language.model.embed_tokens
    before = [tokenizer.bos, *tokenizer.encode(look.prompt.before_video)]
    after = tokenizer.encode(look.prompt.after_video)
    parts = [
        embed(torch.tensor([before], device=model.device)),
        visual,
        embed(torch.tensor([after], device=model.device)),
    ]
    out = model.language(inputs_embeds=torch.cat(parts, dim=1).to(model.dtype), use_cache=True)
    cache = getattr(out, "cache", None) or out.past_key_values
    name = "cache" if getattr(out, "cache", None) is not None else "past_key_values"
    stop, reply = StopRule(tokenizer.eos, tokenizer.stop_sequences), []
    while True:
        reply.append(int(out.logits[0, -1].float().argmax()))
        if len(reply) == REPLY_TOKENS or stop.met_by(reply):
            break
        out = model.language(input_ids=torch.tensor([reply[-1:]], device=model.device), use_cache=True, **{name: cache})
    return read_reply(whole_reply(look.prompt, tokenizer.decode(reply)), look.options)
