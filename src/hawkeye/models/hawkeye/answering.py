"""Answers without token-by-token generation: the log-probability of every option from one pass over the shared prompt.

Two ways to decide. ``best``: the option with the highest log-probability. ``exact``: what the reference's greedy decoding and
its reading of the reply would decide, found by following the highest logit along each option's tokens; a reply that leaves
every option's text is unreadable. Where it leaves the tokens but may still spell an option in other tokens, real decoding
settles it. (A reply that begins anew with "Assistant:" within its 20 tokens is the one case that is not followed.)

Source: reference ``tasks/test_recursive_grounding.py:85-150, 425-465``; quirks I2, I6, I7, I8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hawkeye.choices import read_reply
from hawkeye.errors import ModelError
from hawkeye.models.base import Answer, Look
from hawkeye.models.hawkeye.generation import greedy
from hawkeye.models.hawkeye.packed import Row
from hawkeye.models.hawkeye.sharing import plan_for, prompts_of, rows, run_row, visual_table
from hawkeye.models.hawkeye.tokenizers import LanguageTokenizer, continuation
from hawkeye.models.hawkeye.tree import Branch
from hawkeye.prompts import ASSISTANT, SEPARATOR, Prompt

if TYPE_CHECKING:
    from hawkeye.models.hawkeye.model import Decoding, HawkEye

REPLY_TOKENS = 20  # the reference's limit for a grounding reply
QA_REPLY_TOKENS = 100  # and for a question
LOGIT_ROWS = 2048  # positions that go through the language model's head together


@dataclass(frozen=True)
class Scored:
    """One look: per option its tokens, their log-probabilities, and the likeliest token in each one's place."""

    options: tuple[tuple[int, ...], ...]
    log_probs: list[Tensor]
    likeliest: list[list[int]]


@torch.inference_mode()
def answer(model: HawkEye, looks: Sequence[Look], decoding: Decoding) -> list[Answer]:
    """Raises ModelError for a look without options, or scores that are not numbers."""
    if not looks:
        return []
    for look in looks:
        if not look.options:
            raise ModelError(f"{look.video}: there are no options to score; ask for a free reply with generate")
    table, videos = visual_table(model, looks)
    prompts = prompts_of(model, looks, videos)
    options = [_option_tokens(model.tokenizers.language, look) for look in looks]
    scored = _score(model, [Branch(p, o) for p, o in zip(prompts, options, strict=True)], videos, table)
    answers = [_best(item) for item in scored]
    if decoding == "best":
        return answers
    return _exact(model, looks, scored, answers, prompts, videos, table)


def _option_tokens(tokenizer: LanguageTokenizer, look: Look) -> tuple[tuple[int, ...], ...]:
    """The ids of each option as the reply that the prompt has begun; its bracket may already be there."""
    start = look.prompt.reply_start
    told = look.prompt.after_video
    texts = [option.removeprefix("(") if start.endswith("(") else option for option in look.options]
    return tuple(tuple(continuation(tokenizer, told, text)) for text in texts)


def _score(model: HawkEye, branches: list[Branch], videos: list[int], table: Tensor) -> list[Scored]:
    found: dict[int, Scored] = {}
    for numbers in rows(branches, videos):
        plan = plan_for(model, [branches[i] for i in numbers])
        hidden = run_row(model, plan.ids, plan.positions, table, Row(plan.parts))
        places: list[int] = []
        for at, i in enumerate(numbers):
            for option, first in zip(branches[i].options, plan.options[at], strict=True):
                places += [plan.ends[at], *range(first, first + len(option) - 1)]
        targets = [token for i in numbers for option in branches[i].options for token in option]
        log_probs, likeliest = _head(model, hidden[places], targets)
        start = 0
        for i in numbers:
            options = branches[i].options
            ends = list(accumulate(map(len, options), initial=start))
            pieces = [slice(low, high) for low, high in pairwise(ends)]
            found[i] = Scored(options, [log_probs[p] for p in pieces], [likeliest[p].tolist() for p in pieces])
            start = ends[-1]
    return [found[i] for i in range(len(branches))]


def _head(model: HawkEye, hidden: Tensor, targets: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and the likeliest token in its place, on the CPU."""
    log_probs, likeliest = [], []
    wanted = torch.tensor(targets, device=hidden.device)
    for rows_, ids in zip(hidden.split(LOGIT_ROWS), wanted.split(LOGIT_ROWS), strict=True):
        logits = model.language.lm_head(rows_).float()
        log_probs.append(logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(dim=1))
        likeliest.append(logits.argmax(dim=1))
    joined = torch.cat(log_probs)
    if not bool(torch.isfinite(joined).all()):
        raise ModelError(f"{model.name}: the scores are not finite numbers: check the weights, or try --dtype float32")
    return joined.double().cpu(), torch.cat(likeliest).cpu()


def _best(scored: Scored) -> Answer:
    sums = torch.stack([part.sum() for part in scored.log_probs])
    return Answer(tuple(sums.log_softmax(dim=0).tolist()), int(sums.argmax()))


# Exact decoding


def _exact(
    model: HawkEye,
    looks: Sequence[Look],
    scored: Sequence[Scored],
    answers: Sequence[Answer],
    prompts: Sequence[tuple[int, ...]],
    videos: Sequence[int],
    table: Tensor,
) -> list[Answer]:
    tokenizer = model.tokenizers.language
    limits = [REPLY_TOKENS if look.choices else QA_REPLY_TOKENS for look in looks]
    outcomes = [follow(tokenizer, look, item, limit) for look, item, limit in zip(looks, scored, limits, strict=True)]
    unsettled = [i for i, outcome in enumerate(outcomes) if outcome is UNSETTLED]
    for limit in sorted({limits[i] for i in unsettled}):
        chosen = [i for i in unsettled if limits[i] == limit]
        texts = greedy(model, [prompts[i] for i in chosen], [videos[i] for i in chosen], table, limit)
        for i, ids in zip(chosen, texts, strict=True):
            outcomes[i] = read_reply(whole_reply(looks[i].prompt, tokenizer.decode(ids)), looks[i].options)
    return [
        Answer(reply.log_probs, outcome if isinstance(outcome, int) else None)
        for reply, outcome in zip(answers, outcomes, strict=True)
    ]


UNSETTLED = object()


def follow(tokenizer: LanguageTokenizer, look: Look, scored: Scored, limit: int) -> int | object | None:
    """The option that greedy decoding spells out within ``limit`` tokens, None if it can't, UNSETTLED if this can't tell."""
    matched: list[int] = []  # the longest stretch of greedy tokens that any option begins with
    following = 0
    for number, (option, likeliest) in enumerate(zip(scored.options, scored.likeliest, strict=True)):
        agreed = next((i for i, (a, b) in enumerate(zip(option, likeliest, strict=True)) if a != b), len(option))
        if agreed == len(option) <= limit:
            return number
        if agreed >= len(matched):
            matched, following = list(option[:agreed]), likeliest[agreed] if agreed < len(option) else -1
    if len(matched) >= limit:
        return None
    reply = [*matched, following]
    ended = following == tokenizer.eos or any(tuple(reply[-len(s) :]) == s for s in tokenizer.stop_sequences)
    text = whole_reply(look.prompt, tokenizer.decode(reply))
    if ended or len(reply) >= limit:
        return read_reply(text, look.options)
    return UNSETTLED if _may_become(text, look.options) else None


def _may_become(text: str, options: Sequence[str]) -> bool:
    """Whether a reply that begins with ``text`` may still be read as one of ``options``; a cut character may become any."""
    begun = text.strip().rstrip("\ufffd").lower()
    return any(option.lower().startswith(begun) or begun.startswith(option.lower()) for option in options)


def whole_reply(prompt: Prompt, text: str) -> str:
    """A decoded reply as it is read: cut at the stop sign, without a repeated role, with the bracket that the prompt holds."""
    said = text.split(SEPARATOR)[0].split(ASSISTANT.strip())[-1].strip()
    return "(" + said if prompt.reply_start.endswith("(") else said


@torch.inference_mode()
def generate(model: HawkEye, looks: Sequence[Look], max_new_tokens: int) -> list[str]:
    """Greedy replies up to the stop sign, without it."""
    if not looks:
        return []
    table, videos = visual_table(model, looks)
    made = greedy(model, prompts_of(model, looks, videos), videos, table, max_new_tokens)
    texts = [model.tokenizers.language.decode(ids) for ids in made]
    return [text.split(SEPARATOR)[0].split(ASSISTANT.strip())[-1].strip() for text in texts]
