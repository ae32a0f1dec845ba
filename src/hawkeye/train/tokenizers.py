"""Tokenizers for a model that starts from nothing: both files, made from the texts it will see. For toy models and trials.

Made like LLaMA's (byte-pair pieces, a blank before every text, byte fallback) and like BERT's (words, characters and
``##`` characters), so that everything else treats them as the published ones.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.tokenizers import SENTENCEPIECE_FILE, WORDPIECE_FILE
from hawkeye.records import atomic_write

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizers(texts: Iterable[str], folder: Path, language_size: int = 640, qformer_size: int = 512) -> None:
    """Write both files to ``folder``. Sizes are upper bounds. Raises ConfigError if the texts don't fit into them."""
    # Line by line, so that a line feed is always a byte of its own, as in LLaMA: no piece reaches over a turn's end.
    lines = [line for text in texts for line in text.split("\n") if line]
    with atomic_write(folder / SENTENCEPIECE_FILE, "wb") as file:
        file.write(_sentencepiece(lines, language_size))
    with atomic_write(folder / WORDPIECE_FILE) as file:
        file.write("\n".join(_words(lines, qformer_size)) + "\n")


def _sentencepiece(texts: list[str], size: int) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            hard_vocab_limit=False,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"a tokenizer of {size} pieces can't be made of these texts ({' '.join(str(error).split())})"
        ) from None
    return model.getvalue()


def _words(texts: list[str], size: int) -> list[str]:
    """Special tokens, every character whole and as a continuation, then the most frequent words."""
    counts = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    characters = sorted({character for word in counts for character in word})
    vocabulary = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    if len(vocabulary) > size:
        raise ConfigError(f"{len(characters)} different characters don't fit into a vocabulary of {size} words")
    known = set(vocabulary)
    frequent = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if word not in known]
    return [*vocabulary, *frequent][:size]
