"""The packed row: every branch reads as its own prompt, and every token attends to exactly its own past."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkeye.models.hawkeye.tree import Branch, plan_row, visual_ids

TOKENS = st.integers(-3, 2)
PROMPTS = st.lists(TOKENS, min_size=1, max_size=8).map(tuple)
OPTIONS = st.lists(st.lists(TOKENS, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple)
BRANCHES = st.lists(st.builds(Branch, PROMPTS, OPTIONS), min_size=1, max_size=6)


def pasts(plan):
    """For each token of the row the places it attends to, itself included, from the parts and masks."""
    seen = {}
    for part in plan.parts:
        keys = [place for start, stop in part.keys for place in range(start, stop)]
        for i, place in enumerate(range(part.start, part.stop)):
            if part.causal:
                seen[place] = keys[: i + 1]
            else:
                seen[place] = [k for k, m in zip(keys, part.mask[i].tolist(), strict=True) if m == 0]
    return seen


@given(BRANCHES)
@settings(max_examples=150, deadline=None)
def test_each_token_sees_its_own_prompt_and_nothing_else(branches):
    plan = plan_row(branches)
    seen = pasts(plan)
    assert sorted(seen) == list(range(len(plan.ids)))  # each token is a query once
    assert [part.start for part in plan.parts] == sorted(part.start for part in plan.parts)
    for number, branch in enumerate(branches):
        path = [place for start, stop in plan.paths[number] for place in range(start, stop)]
        assert tuple(plan.ids[place] for place in path) == branch.prompt
        assert path[-1] == plan.ends[number]
        for depth, place in enumerate(path):
            assert sorted(seen[place]) == sorted(path[: depth + 1])
            assert plan.positions[place] == depth
        for option, first in zip(branch.options, plan.options[number], strict=True):
            own = list(range(first, first + len(option) - 1))
            assert tuple(plan.ids[place] for place in own) == option[:-1]
            for i, place in enumerate(own):
                assert sorted(seen[place]) == sorted(path + own[: i + 1])
                assert plan.positions[place] == len(branch.prompt) + i


def test_what_is_shared_is_there_once():
    common = tuple(range(100))
    branches = [Branch((*common, i, *range(20)), ((7, 8, 9), (5, 6, 7))) for i in range(10)]
    plan = plan_row(branches)
    assert len(plan.ids) == 100 + 10 * (21 + 4)
    assert len(plan.parts) == 1 + 10


def test_two_videos_share_their_first_words_and_no_visual_token():
    branches = [Branch((1, 2, 3, *visual_ids(v, 4), 9, 9, q)) for v in (0, 1) for q in (5, 6)]
    plan = plan_row(branches)
    assert visual_ids(1, 4) == [-5, -6, -7, -8]
    assert len(plan.ids) == 3 + 2 * (4 + 2 + 2)


def test_masks_are_additive_and_of_the_models_type():
    plan = plan_row([Branch((1, 2), ((3, 4), (5, 6)))], dtype=torch.bfloat16)
    mask = plan.parts[0].mask
    assert mask.dtype is torch.bfloat16
    assert set(mask.unique().tolist()) == {0.0, float("-inf")}
