"""Tokenizers for a model that starts from nothing: both files, made from the texts it will see. For toy models and trials.

Made like LLaMA's (byte-pair pieces, a blank before every text, byte fallback) and like BERT's (words, characters and
``##`` characters), so that everything else treats them as the published ones.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hawkeye.choices import OPTION_TEXT, option_lines
from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.tokenizers import SENTENCEPIECE_FILE, WORDPIECE_FILE
from hawkeye.prompts import (
    ASSISTANT,
    GROUNDING_INSTRUCTION,
    GROUNDING_REPLY_START,
    HUMAN,
    OPTION_PROMPT,
    QUESTION_TEMPLATE,
    SEPARATOR,
    VIDEO_END,
    VIDEO_START,
)
from hawkeye.records import atomic_write

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizers(
    texts: Iterable[str],
    folder: Path,
    language_size: int = 640,
    qformer_size: int = 512,
    phrases: Sequence[str] = (),
) -> None:
    """Write both files to ``folder``. Sizes are upper bounds. Raises ConfigError if the texts don't fit into them.

    ``phrases``: each becomes one token of the language model, the longest that fits first; see `prompt_phrases`.
    """
    # Line by line, so that a line feed is always a byte of its own, as in LLaMA: no piece reaches over a turn's end.
    lines = [line for text in texts for line in text.split("\n") if line]
    with atomic_write(folder / SENTENCEPIECE_FILE, "wb") as file:
        file.write(_sentencepiece(lines, language_size, phrases))
    with atomic_write(folder / WORDPIECE_FILE) as file:
        file.write("\n".join(_words(lines, qformer_size)) + "\n")


def prompt_phrases() -> list[str]:
    """All that is the same in every grounding prompt, and every option in every place, for ``phrases``.

    To name an option is then to repeat one of the four tokens that were shown, which the smallest model learns soon; where
    letter and text are apart it has to look up which letter stands before which text, and stays at chance for long.
    """
    before, after = QUESTION_TEMPLATE.split("{query}")
    options = [line[1:] for text in OPTION_TEXT.values() for line in option_lines([text] * len(OPTION_TEXT))]
    return [
        *(GROUNDING_INSTRUCTION, f"{OPTION_PROMPT}\n", f"Question: {before}", f"{after}\nOptions:\n(", "\n("),
        *(f"{SEPARATOR}{HUMAN}", f"{SEPARATOR}{ASSISTANT}", GROUNDING_REPLY_START, VIDEO_START, VIDEO_END, SEPARATOR),
        *options,
    ]


def _sentencepiece(texts: list[str], size: int, phrases: Sequence[str]) -> bytes:
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
            user_defined_symbols=[phrase.replace(" ", "▁") for phrase in phrases],
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
