"""Greedy decoding of many prompts at once: the shared prefix is computed once, then one new token a prompt a step.

Stops as the reference does, for each prompt on its own (quirk I8): at EOS, at a stop sequence, or after so many tokens; EOS
may come first (quirk I7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hawkeye.errors import ModelError
from hawkeye.models.hawkeye.packed import Part, Row
from hawkeye.models.hawkeye.sharing import plan_for, rows, run_row
from hawkeye.models.hawkeye.tree import Branch

if TYPE_CHECKING:
    from hawkeye.models.hawkeye.model import HawkEye


@dataclass(frozen=True)
class StopRule:
    eos: int
    sequences: tuple[tuple[int, ...], ...]

    def met_by(self, ids: Sequence[int]) -> bool:
        return ids[-1] == self.eos or any(tuple(ids[-len(sequence) :]) == sequence for sequence in self.sequences)


@torch.inference_mode()
def greedy(
    model: HawkEye,
    prompts: Sequence[tuple[int, ...]],
    videos: Sequence[int],
    table: Tensor | None,
    max_new_tokens: int,
    stop: StopRule | None = None,
) -> list[list[int]]:
    """The new ids of each prompt, with the stop sequence or EOS that ended them.

    ``prompts`` are numbers as `sharing.prompts_of` makes them; negative ones are rows of ``table``. Raises ModelError if
    logits are not numbers.
    """
    tokenizer = model.tokenizers.language
    stop = stop or StopRule(tokenizer.eos, tokenizer.stop_sequences)
    branches = [Branch(tuple(prompt)) for prompt in prompts]
    made: dict[int, list[int]] = {}
    for numbers in rows(branches, videos):
        replies = _decode(model, [branches[i] for i in numbers], table, max_new_tokens, stop)
        made.update(zip(numbers, replies, strict=True))
    return [made[i] for i in range(len(prompts))]


def _decode(
    model: HawkEye, branches: Sequence[Branch], table: Tensor | None, max_new_tokens: int, stop: StopRule
) -> list[list[int]]:
    plan = plan_for(model, branches)
    length, count = len(plan.ids), len(branches)
    # Branch b's new tokens lie at length + b * max_new_tokens and after, so that each one's past is a few ranges.
    row = Row(plan.parts, length + count * max_new_tokens, torch.arange(length, device=model.device))
    hidden = run_row(model, plan.ids, plan.positions, table, row)[[plan.ends[b] for b in range(count)]]
    replies: list[list[int]] = [[] for _ in branches]
    active = list(range(count))
    for step in range(max_new_tokens):
        logits = model.language.lm_head(hidden).float()
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(f"{model.name}: the logits are not finite numbers: check the weights, or --dtype float32")
        for b, token in zip(active, logits.argmax(dim=1).tolist(), strict=True):
            replies[b].append(token)
        active = [b for b in active if not stop.met_by(replies[b])]
        if not active or step == max_new_tokens - 1:
            break
        starts = [length + b * max_new_tokens for b in active]
        row.slots = torch.tensor([start + step for start in starts], device=model.device)
        row.parts = [
            Part(i, i + 1, (*plan.paths[b], (start, start + step + 1)))
            for i, (b, start) in enumerate(zip(active, starts, strict=True))
        ]
        positions = [len(branches[b].prompt) + step for b in active]
        hidden = run_row(model, [replies[b][-1] for b in active], positions, None, row)
    return replies
