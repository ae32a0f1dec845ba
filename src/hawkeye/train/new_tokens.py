"""Words that both tokenizers take as one token, such as ``<frame_3>``, and rows for them in the embeddings and the head.

Only the new rows learn; the old ones stay as they are unless all of the language model is trained. The tokenizers are
ordinary files afterwards: what is saved with the model needs no further care.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tokenizers import (
    JSON_FILE,
    SENTENCEPIECE_FILE,
    WORDPIECE_FILE,
    JSONTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from hawkeye.records import atomic_write

USER_DEFINED = 4  # the kind of sentencepiece piece that is never split


def knows(tokenizers: Tokenizers, words: Sequence[str]) -> bool:
    """Whether both tokenizers already take each word as one token."""
    return all(
        len(tokenizers.qformer.encode(word, 8)) == 3 and word in _pieces(tokenizers.language, word) for word in words
    )


def _pieces(tokenizer: Any, word: str) -> list[str]:
    return [tokenizer.decode([number]) for number in tokenizer.encode(word)]


def extended_tokenizers(tokenizers: Tokenizers, words: Sequence[str], folder: Path, qformer_rows: int) -> Tokenizers:
    """Tokenizers that know ``words`` too, from files written to ``folder``. New ids follow the old ones, in order.

    ``qformer_rows``: of the Q-Former's embeddings, which has more than its vocabulary file has words ([DEC], quirk M18).
    Raises ConfigError for a tokenizer whose file can't be extended.
    """
    language = tokenizers.language
    if isinstance(language, SentencePieceTokenizer):
        new_language: Any = SentencePieceTokenizer(_extend_sentencepiece(language.path, words, folder))
    elif isinstance(language, JSONTokenizer):
        new_language = JSONTokenizer(_extend_json(language.path, words, folder))
    else:
        raise ConfigError(
            f"{type(language).__name__} can't take new tokens: use another representation than frame_token"
        )
    vocabulary = tokenizers.qformer.path.read_text(encoding="utf-8").splitlines()
    unnamed = [f"[extra{row}]" for row in range(len(vocabulary), qformer_rows)]
    with atomic_write(folder / WORDPIECE_FILE) as file:
        file.write("\n".join([*vocabulary, *unnamed, *words]) + "\n")
    return Tokenizers(new_language, WordPieceTokenizer(folder / WORDPIECE_FILE))


def _extend_sentencepiece(path: Path, words: Sequence[str], folder: Path) -> Path:
    """A model file is a protocol buffer whose field 1 is repeated, a piece each; more of them may follow at its end."""
    data = path.read_bytes()
    for word in words:
        text = word.encode()
        piece = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", 0.0) + b"\x18" + bytes([USER_DEFINED])
        data += b"\x0a" + bytes([len(piece)]) + piece
    with atomic_write(folder / SENTENCEPIECE_FILE, "wb") as file:
        file.write(data)
    return folder / SENTENCEPIECE_FILE


def _extend_json(path: Path, words: Sequence[str], folder: Path) -> Path:
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(json.loads(path.read_text(encoding="utf-8"))))
    tokenizer.add_tokens([AddedToken(word, normalized=False, special=False) for word in words])
    with atomic_write(folder / JSON_FILE) as file:
        file.write(tokenizer.to_str())
    return folder / JSON_FILE


def grow(model: HawkEye, tokenizers: Tokenizers, generator: torch.Generator) -> None:
    """Give the model rows for the new ids of ``tokenizers``: each starts near the mean of the old ones."""
    language, qformer = model.language, model.qformer
    count = max(0, tokenizers.language.vocab_size - language.config.vocab_size)
    language.model.embed_tokens = _grown_embedding(language.model.embed_tokens, count, generator)
    if language.config.tie_word_embeddings:
        language.lm_head.weight = language.model.embed_tokens.weight
    else:
        language.lm_head.weight = _grown(language.lm_head.weight, count, generator)
    language.lm_head.out_features = language.config.vocab_size = language.lm_head.weight.shape[0]
    added = tokenizers.qformer.vocab_size - qformer.config.vocab_size
    qformer.embeddings.word_embeddings = _grown_embedding(qformer.embeddings.word_embeddings, added, generator)
    rows = {"language": language.config.vocab_size, "qformer": tokenizers.qformer.vocab_size}
    sizes = {part: getattr(model.config, part).model_copy(update={"vocab_size": n}) for part, n in rows.items()}
    model.config = model.config.model_copy(update=sizes)
    qformer.config = model.config.qformer
    model.tokenizers = tokenizers


def train_new_rows(model: HawkEye, words: Sequence[str]) -> frozenset[str]:
    """Let the rows of ``words`` learn where the matrix as a whole does not; returns those matrices' names.

    They must not decay: weight decay would move the old rows, whose gradient is zero.
    """
    language, qformer = model.tokenizers.language, model.tokenizers.qformer
    spoken = [language.encode(word)[-1] for word in words]  # a blank may come first
    read = [qformer.encode(word, 8)[1] for word in words]
    partly = set()
    for name, parameter in model.named_parameters():
        embedding = name.endswith(("embed_tokens.weight", "lm_head.weight", "word_embeddings.weight"))
        if embedding and not parameter.requires_grad:
            parameter.requires_grad = True
            parameter.register_hook(_keep_rows(read if name.startswith("qformer") else spoken))
            partly.add(name)
    return frozenset(partly)


def _keep_rows(rows: list[int]) -> Any:
    def keep(gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        kept[rows] = gradient[rows]
        return kept

    return keep


def _grown_embedding(embedding: nn.Embedding, count: int, generator: torch.Generator) -> nn.Embedding:
    weight = _grown(embedding.weight, count, generator)
    new = nn.Embedding(weight.shape[0], weight.shape[1], embedding.padding_idx, device="meta")
    new.weight = weight
    return new


def _grown(weight: Tensor, count: int, generator: torch.Generator) -> nn.Parameter:
    old = weight.detach()
    noise = torch.empty(count, old.shape[1]).normal_(0.0, 1.0, generator=generator)
    rows = old.float().mean(dim=0) + 0.02 * noise.to(old.device)
    return nn.Parameter(torch.cat([old, rows.to(old.dtype)]), requires_grad=weight.requires_grad)
