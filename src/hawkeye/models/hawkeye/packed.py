"""Many prompts in one row without padding: what they share is computed once, and every token sees only its own past.

The prompts form a tree (prefix, then what differs, then the options). Its tokens lie one after another in a single row, so
that all dense layers work on real tokens only; attention runs part by part, each part over its own ancestors. Positions are
depths in the tree, so the numbers are those of each prompt alone. `Row` may keep keys and values for later tokens.

transformers finds the attention function by name (`ATTENTION_NAME`); without a `Row` it is plain scaled-dot-product attention.
Which tokens lie where is decided in `tree`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ATTENTION_NAME = "hawkeye_packed"
Range = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """New tokens that are attended together: queries ``[start, stop)`` of this pass over ``keys``, ranges of the whole row.

    ``mask``: additive float (stop - start, number of keys), or None. ``causal``: the keys are the queries' own tokens.
    """

    start: int
    stop: int
    keys: tuple[Range, ...]
    mask: Tensor | None = None
    causal: bool = False


@dataclass
class Row:
    """One packed row. ``capacity`` > 0: keys and values are kept, at ``slots``, for the passes that follow."""

    parts: list[Part]
    capacity: int = 0
    slots: Tensor | None = None
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def remember(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, (1, heads, tokens, width)."""
        if not self.capacity:
            return key, value
        if layer not in self.keys:
            shape = (*key.shape[:2], self.capacity, key.shape[3])
            self.keys[layer], self.values[layer] = key.new_empty(shape), value.new_empty(shape)
        assert self.slots is not None
        self.keys[layer].index_copy_(2, self.slots, key)
        self.values[layer].index_copy_(2, self.slots, value)
        return self.keys[layer], self.values[layer]


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed: Row | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """(1, heads, tokens, width) each -> (1, tokens, heads, width); the signature is transformers'."""
    if packed is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    key, value = packed.remember(module.layer_idx, key, value)
    groups = query.shape[1] // key.shape[1]
    attended = [
        F.scaled_dot_product_attention(
            query[:, :, part.start : part.stop],
            _take(key, part.keys, groups),
            _take(value, part.keys, groups),
            attn_mask=part.mask,
            is_causal=part.causal,
            scale=scaling,
        )
        for part in packed.parts
    ]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def _take(x: Tensor, ranges: Sequence[Range], groups: int) -> Tensor:
    pieces = [x[:, :, start:stop] for start, stop in ranges]
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)
    return joined if groups == 1 else joined.repeat_interleave(groups, dim=1)


def register() -> None:
    """Make the attention known to transformers. Harmless to repeat."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION_NAME, packed_attention)
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
