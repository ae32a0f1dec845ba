"""Training conversations -> token ids, and which of them the model is to learn.

A row is [BOS][text before the end mark][visual tokens][the end mark and all that follows][padding]. The two texts are encoded
apart, each without BOS. Learned are the assistant's turns and every ``###Human:`` header after the video, which teaches the
model to stop (quirk M15); of a bare caption, everything after the mark. Found by character, so that no text can put the mask
out of step (quirk M14). Not here: the strings (`hawkeye.prompts`) and the loss (`model`).

Source: reference ``models/hawkeye_it.py:283-375``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hawkeye.errors import AnnotationError
from hawkeye.models.hawkeye.tokenizers import LanguageTokenizer, WordPieceTokenizer
from hawkeye.prompts import ASSISTANT, HUMAN, MEDIA_MARKS, SEPARATOR, Conversation

IGNORED = -100  # label of a token that is not learned
VISUAL = -1  # stands in ``tokens`` where a visual token goes
_HEADER = re.compile(f" ?{SEPARATOR}(?:{HUMAN}|{ASSISTANT})")
_END_MARK = re.compile("|".join(end for _, end in MEDIA_MARKS.values()))


@dataclass(frozen=True)
class Tokenizers:
    language: LanguageTokenizer
    qformer: WordPieceTokenizer


@dataclass(frozen=True)
class TrainingBatch:
    """B rows of L tokens. ``pixels`` float (B, T, 3, H, W); T = 1 is a picture."""

    pixels: Tensor
    instruction_ids: Tensor  # (B, K), padded
    instruction_mask: Tensor  # bool (B, K)
    tokens: Tensor  # (B, L), `VISUAL` where a visual token goes
    attention_mask: Tensor  # bool (B, L), False on padding
    labels: Tensor  # (B, L), `IGNORED` where nothing is learned; not yet shifted

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TrainingBatch:
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        moved["pixels"] = moved["pixels"].to(dtype or self.pixels.dtype)
        return replace(self, **moved)


@dataclass(frozen=True)
class Encoded:
    """One conversation's ids. ``learned`` has one flag for each of ``after``."""

    before: list[int]
    after: list[int]
    learned: list[bool]


def split_at_video(text: str) -> tuple[str, str]:
    """The text before the end mark of the video or image, and the mark with all that follows.

    Raises AnnotationError unless there is exactly one mark (quirk M13).
    """
    marks = list(_END_MARK.finditer(text))
    if len(marks) != 1:
        raise AnnotationError(
            f"conversation {text[:80]!r}: expected exactly one </Video> or </Image>, found {len(marks)}"
        )
    return text[: marks[0].start()], text[marks[0].start() :]


def learned_ranges(after: str) -> list[tuple[int, int]]:
    """Ranges of characters of the text from the end mark on; a token belongs to the range in which it begins."""
    headers = list(_HEADER.finditer(after))
    if not any(ASSISTANT in header[0] for header in headers):
        mark = _END_MARK.match(after)
        return [(mark.end() if mark else 0, len(after))]
    ranges = []
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        # The blank that ends a header belongs to the first token of what follows.
        is_reply = ASSISTANT in header[0]
        end = (following.start() if following else len(after)) if is_reply else header.end() - 1
        ranges.append((header.start(), end))
    return ranges


def encode_conversation(tokenizer: LanguageTokenizer, text: str) -> Encoded:
    before, after = split_at_video(text)
    ids, starts = tokenizer.encode_with_starts(after)
    ranges = learned_ranges(after)
    return Encoded(
        before=tokenizer.encode(before),
        after=ids,
        learned=[any(low <= start < high for low, high in ranges) for start in starts],
    )


def encode_instructions(
    tokenizer: WordPieceTokenizer, instructions: Sequence[str], max_length: int
) -> tuple[Tensor, Tensor]:
    """Ids and mask (True on text), both (B, K), padded on the right. An empty instruction is [CLS][SEP]."""
    rows = [tokenizer.encode(text, max_length) for text in instructions]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows])
    return ids, mask


def training_batch(
    tokenizers: Tokenizers,
    conversations: Sequence[Conversation],
    pixels: Tensor,
    num_visual_tokens: int,
    max_text_tokens: int = 512,
    max_instruction_tokens: int | None = None,
) -> TrainingBatch:
    """Rows of equal length from ``conversations``, one for each of ``pixels`` (B, T, 3, H, W).

    A row with more than ``max_text_tokens`` (BOS counted) beside its visual tokens loses its end, or the beginning of the text
    before the video if that alone is too long (where the reference fails, quirk M16). Nothing may be left to learn in it then;
    `HawkEye.forward` gives such rows no weight, and a loss of 0 if there is nothing in the whole batch.
    """
    if len(conversations) != pixels.shape[0]:
        raise AnnotationError(f"{len(conversations)} conversations for {pixels.shape[0]} videos: expected as many")
    rows, labels = [], []
    limit = max_text_tokens + num_visual_tokens
    for conversation in conversations:
        encoded = encode_conversation(tokenizers.language, conversation.text)
        before = encoded.before[-(max_text_tokens - 1) :] if max_text_tokens > 1 else []
        row = [tokenizers.language.bos, *before, *[VISUAL] * num_visual_tokens, *encoded.after]
        learned = [i if flag else IGNORED for i, flag in zip(encoded.after, encoded.learned, strict=True)]
        rows.append(row[:limit])
        labels.append(([IGNORED] * (len(row) - len(learned)) + learned)[:limit])
    longest = max(map(len, rows))
    pad = tokenizers.language.eos  # as the reference; it is masked (quirk M9)
    ids, mask = encode_instructions(
        tokenizers.qformer, [c.instruction for c in conversations], max_instruction_tokens or max_text_tokens
    )
    return TrainingBatch(
        pixels=pixels,
        instruction_ids=ids,
        instruction_mask=mask,
        tokens=torch.tensor([row + [pad] * (longest - len(row)) for row in rows]),
        attention_mask=torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows]),
        labels=torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels]),
    )
