"""Sentence embeddings by all-MiniLM-L6-v2, straight from the files of its package.

Source: Reimers and Gurevych, "Sentence-BERT" (arXiv 1908.10084); the network is BERT (arXiv 1810.04805) with 6 layers.
It is written out here, in seventy lines, because importing transformers takes longer than all the rest of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hawkeye.errors import CheckpointError

HIDDEN, NUM_LAYERS, NUM_HEADS, NORM_EPS = 384, 6, 12, 1e-12
MAX_TOKENS = 256  # as the published model was evaluated; a longer text is cut there
BATCH_SIZE = 64


class SentenceEncoder:
    """``encode(texts)`` gives unit-length rows; the dot product of two is their similarity."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """``folder`` holds model.safetensors and tokenizer.json. Raises CheckpointError."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        try:
            self.weights = load_file(folder / "model.safetensors", device=str(device))
            self.tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder}: can't be read as all-MiniLM-L6-v2 ({error}): reinstall its package"
            ) from None
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()
        self.device = device

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), 384), unit rows."""
        if not texts:
            return torch.empty(0, HIDDEN, device=self.device)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # equal lengths together: little padding
        rows: list[Tensor] = []
        for start in range(0, len(order), BATCH_SIZE):
            rows.extend(self._encode_batch([texts[i] for i in order[start : start + BATCH_SIZE]]))
        embeddings = torch.empty(len(texts), HIDDEN, device=self.device)
        embeddings[order] = torch.stack(rows)
        return embeddings

    def _encode_batch(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer.encode_batch(texts)
        ids = torch.tensor([t.ids for t in tokens], device=self.device)
        real = torch.tensor([t.attention_mask for t in tokens], device=self.device, dtype=torch.bool)
        weights = self.weights
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        hidden = self._norm(hidden + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(NUM_LAYERS):
            layer = f"encoder.layer.{number}"
            hidden = self._norm(
                hidden + self._attend(hidden, real, f"{layer}.attention"), f"{layer}.attention.output.LayerNorm"
            )
            inner = F.gelu(self._linear(hidden, f"{layer}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mask = real.unsqueeze(-1)
        return F.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)

    def _attend(self, hidden: Tensor, real: Tensor, name: str) -> Tensor:
        batch, length, _ = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{name}.self.{part}").view(batch, length, NUM_HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
        return self._linear(mixed.transpose(1, 2).reshape(batch, length, HIDDEN), f"{name}.output.dense")

    def _linear(self, hidden: Tensor, name: str) -> Tensor:
        return F.linear(hidden, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        return F.layer_norm(hidden, (HIDDEN,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], NORM_EPS)
