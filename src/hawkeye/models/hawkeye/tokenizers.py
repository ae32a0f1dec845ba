"""The two tokenizers: text -> ids of the language model (sentencepiece, or a tokenizer.json) and of the Q-Former (WordPiece).

sentencepiece is used directly: the LLaMA tokenizer of transformers 5 treats leading blanks and BOS differently from the one that
the weights were trained with. BOS is never added here; the caller puts it where it belongs. A literal ``</s>`` in a text is
plain text, not the end of the sequence.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from hawkeye.errors import CheckpointError
from hawkeye.prompts import SEPARATOR

SENTENCEPIECE_FILE = "tokenizer.model"
JSON_FILE = "tokenizer.json"
WORDPIECE_FILE = "qformer_vocab.txt"
BLANK = "▁"


class LanguageTokenizer(Protocol):
    """What the language model needs of a tokenizer."""

    bos: int
    eos: int
    vocab_size: int
    stop_sequences: tuple[tuple[int, ...], ...]

    def encode(self, text: str) -> list[int]: ...

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Ids, and the character of ``text`` at which each token begins."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``; BOS, EOS and unknown tokens leave no trace, nor does the blank before the first word."""
        ...

    def save(self, folder: Path) -> None: ...


class SentencePieceTokenizer:
    """LLaMA's own: BPE with byte fallback and a blank put before every text. Raises CheckpointError if it can't be read."""

    def __init__(self, path: str | Path) -> None:
        import sentencepiece

        self.path = Path(path)
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path}: is not a sentencepiece model ({reason})") from None
        self.bos, self.eos = self._model.bos_id(), self._model.eos_id()
        if self.bos < 0 or self.eos < 0:
            raise CheckpointError(f"{path}: has no BOS or no EOS token: expected a LLaMA tokenizer.model")
        self.vocab_size = self._model.vocab_size()
        self._unknown = self._model.unk_id()
        self.stop_sequences = stop_sequences(self)

    def encode(self, text: str) -> list[int]:
        return list(self._model.encode(text))

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        pieces = self._model.encode(text, out_type=str)
        character_at = [i for i, c in enumerate(text.replace(BLANK, " ")) for _ in range(len(c.encode()))]
        starts, byte = [], -1  # the blank before the text is not part of it
        for piece in pieces:
            starts.append(character_at[max(byte, 0)])
            byte += 1 if _is_byte(piece) else len(piece.replace(BLANK, " ").encode())
        if pieces and byte != len(character_at):
            raise CheckpointError(f"{self.path}: changes the text it encodes: expected a LLaMA tokenizer.model")
        return self.encode(text), starts

    def decode(self, ids: Sequence[int]) -> str:
        # Shown as unknown: a BOS inside a reply, so that it does not join what stands around it, and an id beyond the
        # pieces, for which a model may have a row all the same.
        known = [self._unknown if i == self.bos or i >= self.vocab_size else int(i) for i in ids if i != self.eos]
        return self._model.decode(known)

    def save(self, folder: Path) -> None:
        _copy(self.path, folder / SENTENCEPIECE_FILE)


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")


class JSONTokenizer:
    """Any ``tokenizer.json`` of the tokenizers library, for other language models of the LLaMA architecture."""

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer

        self.path = Path(path)
        try:
            described = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: can't be read as a tokenizer.json ({error})") from None
        if not isinstance(described, dict) or not {"model", "decoder"} <= set(described):
            raise CheckpointError(f"{path}: is not a tokenizer.json of the tokenizers library")
        self._model: Any = Tokenizer.from_file(str(path))
        self.vocab_size = self._model.get_vocab_size(with_added_tokens=True)
        self.bos = self._first("<s>", "<|im_start|>", "<|begin_of_text|>", "<|endoftext|>")
        self.eos = self._first("</s>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>")
        self.stop_sequences = stop_sequences(self)

    def _first(self, *tokens: str) -> int:
        for token in tokens:
            if (found := self._model.token_to_id(token)) is not None:
                return found
        raise CheckpointError(f"{self.path}: has none of the tokens {', '.join(tokens)}")

    def encode(self, text: str) -> list[int]:
        return list(self._model.encode(text, add_special_tokens=False).ids)

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        encoded = self._model.encode(text, add_special_tokens=False)
        return list(encoded.ids), [start for start, _ in encoded.offsets]

    def decode(self, ids: Sequence[int]) -> str:
        return self._model.decode([int(i) for i in ids], skip_special_tokens=True)

    def save(self, folder: Path) -> None:
        _copy(self.path, folder / JSON_FILE)


def stop_sequences(tokenizer: Any) -> tuple[tuple[int, ...], ...]:
    """The ids that ``###`` becomes after a blank (835 for LLaMA) and at the start of a line (2277, 29937)."""
    found = []
    for before in ("", "a ", "a\n"):
        ids, starts = tokenizer.encode_with_starts(before + SEPARATOR)
        first = max(i for i, start in enumerate(starts) if start <= len(before))
        found.append(tuple(ids[first:]))
    return tuple(dict.fromkeys(found))


def continuation(tokenizer: LanguageTokenizer, before: str, text: str) -> list[int]:
    """The ids by which ``text`` continues ``before``, as a model would write them."""
    given = tokenizer.encode(before)
    whole = tokenizer.encode(before + text)
    if whole[: len(given)] == given:
        return whole[len(given) :]
    # A token reaches over the border; the model, which is past it, has to begin with a fresh one.
    return tokenizer.encode("\n" + text)[len(tokenizer.encode("\n")) :]


class WordPieceTokenizer:
    """BERT's, lower case; long texts lose their beginning (quirk M18). Raises CheckpointError if the file is not one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            words = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: can't be read as a WordPiece vocabulary ({error})") from None
        vocab = {word.strip(): i for i, word in enumerate(words)}
        missing = [token for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if token not in vocab]
        if missing:
            raise CheckpointError(f"{path}: has no {', '.join(missing)}: expected BERT's vocab.txt, one token a line")
        self._model = _word_piece(vocab)
        self.vocab_size = len(words)
        self.cls, self.sep, self.pad = vocab["[CLS]"], vocab["[SEP]"], vocab["[PAD]"]

    def encode(self, text: str, max_length: int) -> list[int]:
        ids = self._model.encode(text, add_special_tokens=False).ids
        room = max_length - 2
        return [self.cls, *(ids[-room:] if room < len(ids) else ids), self.sep]

    def save(self, folder: Path) -> None:
        _copy(self.path, folder / WORDPIECE_FILE)


def _word_piece(vocab: dict[str, int]) -> Any:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    model = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    model.normalizer = normalizers.BertNormalizer(lowercase=True)
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # Words such as <frame_3>, which training may add: never split.
    model.add_tokens([AddedToken(word, normalized=False) for word in vocab if re.fullmatch(r"<\w+>", word)])
    return model


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        shutil.copyfile(source, target)
