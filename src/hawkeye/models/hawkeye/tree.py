"""Where each token of many prompts lies in one packed row: shared beginnings once, then what differs, then the options.

A prompt is a list of whole numbers: token ids, and negative numbers that stand for visual tokens (`visual_ids`), so that equal
numbers mean equal inputs and sharing is a matter of comparing lists. Nothing here touches a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from hawkeye.models.hawkeye.packed import Part, Range


@dataclass(frozen=True)
class Branch:
    """One prompt and the continuations whose probability is wanted."""

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...] = ()


@dataclass
class Plan:
    """The packed row: ``ids`` and ``positions`` of its tokens, who attends to what, and where each branch's tokens lie."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)  # branch -> place of its prompt's last token
    paths: dict[int, tuple[Range, ...]] = field(default_factory=dict)  # branch -> ranges of its whole prompt, in order
    options: dict[int, list[int]] = field(default_factory=dict)  # branch -> place of each option's first token


def visual_ids(video: int, count: int) -> list[int]:
    """Stand-ins for the ``count`` visual tokens of video number ``video`` of a batch: -1 is the first token of the first."""
    return [-(1 + video * count + i) for i in range(count)]


def plan_row(
    branches: Sequence[Branch], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Plan:
    """Lay out the branches; masks are made for ``device`` in ``dtype``."""
    plan = Plan()
    _place(plan, branches, list(range(len(branches))), 0, (), device, dtype)
    return plan


def _place(
    plan: Plan,
    branches: Sequence[Branch],
    members: list[int],
    depth: int,
    context: tuple[Range, ...],
    device: torch.device | str,
    dtype: torch.dtype,
) -> None:
    """Place what the members have after their first ``depth`` tokens, which lie in ``context``."""
    if len(members) == 1:
        _place_branch(plan, branches[members[0]], members[0], depth, context, device, dtype)
        return
    shared = _shared_length([branches[m].prompt for m in members], depth)
    if shared > depth:
        own = _append(plan, branches[members[0]].prompt[depth:shared], depth)
        count = shared - depth
        mask = None if not context else _mask(_length(context), torch.ones(count, count).tril().bool(), device, dtype)
        plan.parts.append(Part(*own, (*context, own), mask, causal=not context))
        context = (*context, own)
    # Members may be in any order: those that go on alike are brought together.
    members = sorted(members, key=lambda m: branches[m].prompt[shared])
    for _, alike in groupby(members, key=lambda m: branches[m].prompt[shared]):
        group = list(alike)
        if len(group) > 1 and _shared_length([branches[m].prompt for m in group], shared) > shared:
            _place(plan, branches, group, shared, context, device, dtype)
        else:
            for member in group:
                _place_branch(plan, branches[member], member, shared, context, device, dtype)


def _place_branch(
    plan: Plan,
    branch: Branch,
    number: int,
    depth: int,
    context: tuple[Range, ...],
    device: torch.device | str,
    dtype: torch.dtype,
) -> None:
    """The rest of one prompt and its options, as one part. An option's last token predicts nothing that is asked for."""
    start, stop = _append(plan, branch.prompt[depth:], depth)
    plan.ends[number], plan.paths[number] = stop - 1, (*context, (start, stop))
    plan.options[number] = []
    stem = stop - start
    lengths = [len(option) - 1 for option in branch.options]
    allowed = torch.zeros(stem + sum(lengths), stem + sum(lengths), dtype=torch.bool)
    allowed[:, :stem] = True
    allowed[:stem, :stem] = torch.ones(stem, stem).tril().bool()
    at = stem
    for option, length in zip(branch.options, lengths, strict=True):
        plan.options[number].append(_append(plan, option[:-1], len(branch.prompt))[0])
        allowed[at : at + length, at : at + length] = torch.ones(length, length).tril().bool()
        at += length
    own = (start, start + at)
    simple = not context and not branch.options
    mask = None if simple else _mask(_length(context), allowed, device, dtype)
    plan.parts.append(Part(*own, (*context, own), mask, causal=simple))


def _append(plan: Plan, ids: Sequence[int], depth: int) -> Range:
    start = len(plan.ids)
    plan.ids.extend(ids)
    plan.positions.extend(range(depth, depth + len(ids)))
    return start, start + len(ids)


def _shared_length(prompts: Sequence[tuple[int, ...]], depth: int) -> int:
    """How many tokens all prompts share, at least ``depth`` (known), and at most one less than the shortest has."""
    limit = min(len(prompt) for prompt in prompts) - 1
    low, high = min(prompts), max(prompts)  # in lexical order these two differ first
    while depth < limit and low[depth] == high[depth]:
        depth += 1
    return depth


def _length(ranges: Sequence[Range]) -> int:
    return sum(stop - start for start, stop in ranges)


def _mask(context: int, allowed: Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """Additive: 0 where attention is allowed, -inf elsewhere; the whole context is allowed."""
    mask = torch.zeros(allowed.shape[0], context + allowed.shape[1], dtype=dtype)
    mask[:, context:].masked_fill_(~allowed, float("-inf"))
    return mask.to(device)
