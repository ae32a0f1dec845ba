"""The Q-Former: learned queries read the video by cross-attention and the instruction by self-attention.

A BERT encoder whose sequence is [queries, instruction text]. In every second layer the queries (not the text) attend to the
video; queries and text have feed-forward layers of their own. Out come the queries, Q vectors a video.

Source: InstructBLIP (arXiv 2305.06500), reference ``models/blip2/Qformer.py``. Names are those of the reference's weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import QFormerConfig
from hawkeye.models.hawkeye.vision import DropPath

NORM_EPS = 1e-12


class Residual(nn.Module):
    """Dense, dropout, drop-path, then the norm of the sum with what came in (BERT is post-norm)."""

    def __init__(self, config: QFormerConfig, in_width: int, drop_path: float) -> None:
        super().__init__()
        self.dense = nn.Linear(in_width, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.drop_path = DropPath(drop_path)
        self.LayerNorm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, x: Tensor, came_in: Tensor) -> Tensor:
        return self.LayerNorm(came_in + self.drop_path(self.dropout(self.dense(x))))


class Projections(nn.Module):
    """Query, key and value; the latter two from the video in cross-attention."""

    def __init__(self, config: QFormerConfig, source_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(source_width, config.width)
        self.value = nn.Linear(source_width, config.width)


class Attention(nn.Module):
    def __init__(self, config: QFormerConfig, source_width: int, drop_path: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = config.num_heads, config.attention_dropout
        self.self = Projections(config, source_width)
        self.output = Residual(config, config.width, drop_path)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            layer(of).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, of in ((self.self.query, x), (self.self.key, source), (self.self.value, source))
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.output(attended.transpose(1, 2).flatten(2), x)


class Intermediate(nn.Module):
    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class Layer(nn.Module):
    def __init__(self, config: QFormerConfig, vision_width: int, index: int, drop_path: float) -> None:
        super().__init__()
        self.attention = Attention(config, config.width, drop_path)
        if index % config.cross_attention_every == 0:
            self.crossattention = Attention(config, vision_width, drop_path)
        self.intermediate_query = Intermediate(config)
        self.output_query = Residual(config, config.mlp_width, drop_path)
        if config.text_input:
            self.intermediate = Intermediate(config)
            self.output = Residual(config, config.mlp_width, drop_path)

    def forward(self, x: Tensor, mask: Tensor | None, video: Tensor, num_queries: int) -> Tensor:
        x = self.attention(x, x, mask)
        queries, text = x[:, :num_queries], x[:, num_queries:]
        if hasattr(self, "crossattention"):
            queries = self.crossattention(queries, video, None)
        queries = self.output_query(self.intermediate_query(queries), queries)
        if text.shape[1] == 0:
            return queries
        return torch.cat([queries, self.output(self.intermediate(text), text)], dim=1)


class Embeddings(nn.Module):
    """Words and their positions; the queries stand before them and have no position."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        if config.text_input:
            self.word_embeddings = nn.Embedding(config.vocab_size, config.width, padding_idx=0)
            self.position_embeddings = nn.Embedding(config.max_positions, config.width)
        self.LayerNorm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, queries: Tensor, ids: Tensor | None) -> Tensor:
        x = queries
        if ids is not None:
            positions = self.position_embeddings.weight[: ids.shape[1]]
            x = torch.cat([x, self.word_embeddings(ids) + positions], dim=1)
        return self.dropout(self.LayerNorm(x))


class QFormer(nn.Module):
    """Video features (B, N, V) and instruction ids (B, L) -> (B, num_queries + num_extra_queries, width)."""

    def __init__(self, config: QFormerConfig, vision_width: int) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_queries, config.width))
        self.extra_query_tokens: nn.Parameter | None = None
        if config.num_extra_queries:
            self.extra_query_tokens = nn.Parameter(torch.zeros(1, config.num_extra_queries, config.width))
        self.embeddings = Embeddings(config)
        rates = torch.linspace(0, config.drop_path, config.num_layers, device="cpu").tolist()
        self.layers = nn.ModuleList(Layer(config, vision_width, i, rate) for i, rate in enumerate(rates))

    @property
    def queries(self) -> Tensor:
        """(1, Q, width): the learned queries and the extra ones."""
        if self.extra_query_tokens is None:
            return self.query_tokens
        return torch.cat([self.query_tokens, self.extra_query_tokens], dim=1)

    def forward(self, video: Tensor, ids: Tensor | None, text_mask: Tensor | None) -> Tensor:
        """``text_mask``: bool (B, L), False on padding. Without ``ids`` the queries see the video alone."""
        if ids is not None and ids.shape[1] > self.config.max_positions:
            raise ConfigError(
                f"the Q-Former's instruction has {ids.shape[1]} tokens: expected at most {self.config.max_positions}"
            )
        queries = self.queries.expand(video.shape[0], -1, -1)
        count = queries.shape[1]
        x = self.embeddings(queries, ids)
        mask = None
        if ids is not None and text_mask is not None and not bool(text_mask.all()):
            mask = F.pad(text_mask, (count, 0), value=True)[:, None, None, :]
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(layer, x, mask, video, count, use_reentrant=False)
            else:
                x = layer(x, mask, video, count)
        return x[:, :count]
