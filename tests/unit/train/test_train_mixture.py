"""Plans of epochs: what is met, how often, in which company, and by whom."""

from __future__ import annotations

from collections import Counter

import pytest

from hawkeye.errors import ConfigError
from hawkeye.train.mixture import BUCKET_BATCHES, SourceShape, epoch_plan, rank_batches


def shapes() -> list[SourceShape]:
    return [
        SourceShape("video", [i % 97 for i in range(1000)]),
        SourceShape("video", [5] * 200, weight=2.5),
        SourceShape("image", [7] * 300, weight=0.5),
    ]


def test_weights_say_how_often_each_example_is_met() -> None:
    plan = epoch_plan(shapes(), 4, seed=1, epoch=0)
    met = Counter((entry.source, entry.item) for batch in plan for entry in batch)
    by_source = Counter(entry.source for batch in plan for entry in batch)
    assert by_source == {0: 1000, 1: 500, 2: 148}  # 150 pictures: the last two don't fill a batch
    assert {met[0, i] for i in range(1000)} == {1}
    assert Counter(met[1, i] for i in range(200)) == {2: 100, 3: 100}
    assert len({entry for batch in plan for entry in batch}) == 1648  # every meeting has its own generator


def test_a_batch_holds_one_media_type_and_like_lengths() -> None:
    plan = epoch_plan(shapes(), 4, seed=1, epoch=0)
    lengths = [shape.lengths for shape in shapes()]
    spread = []
    for batch in plan:
        assert len(batch) == 4
        assert len({shapes()[entry.source].media for entry in batch}) == 1
        texts = [lengths[entry.source][entry.item] for entry in batch]
        spread.append(max(texts) - min(texts))
    unsorted = epoch_plan(shapes(), 4, seed=1, epoch=0, bucket=False)
    loose = [max(t) - min(t) for t in ([lengths[e.source][e.item] for e in batch] for batch in unsorted)]
    assert sum(spread) < 0.2 * sum(loose)


def test_plans_depend_on_seed_and_epoch_alone() -> None:
    assert epoch_plan(shapes(), 4, 1, 0) == epoch_plan(shapes(), 4, 1, 0)
    first, second = epoch_plan(shapes(), 4, 1, 0), epoch_plan(shapes(), 4, 1, 1)
    assert len(first) == len(second)
    assert [e[1:] for b in first for e in b] != [e[1:] for b in second for e in b]


def test_ranks_share_each_batch_and_miss_nothing() -> None:
    plan = epoch_plan(shapes(), 4, 1, 0)
    halves = [list(rank_batches(plan, rank, 2, start=10)) for rank in range(2)]
    assert all(sorted(a + b) == sorted(whole) for a, b, whole in zip(*halves, plan[10:], strict=True))


def test_a_shard_is_read_once_and_its_examples_stay_together() -> None:
    shards = [i // 100 for i in range(1000)]
    plan = epoch_plan([SourceShape("video", [1] * 1000, shards=shards), SourceShape("video", [1] * 1000)], 5, 3, 0)
    order = [shards[e.item] for batch in plan for e in batch if e.source == 0]
    near = 5 * BUCKET_BATCHES * 2
    for shard in range(10):
        places = [i for i, value in enumerate(order) if value == shard]
        assert max(places) - min(places) <= 100 + near
    assert sorted(order) == shards


def test_the_plan_fills_whole_steps_or_says_why_not() -> None:
    assert len(epoch_plan(shapes(), 4, 1, 0, multiple=7)) % 7 == 0
    with pytest.raises(ConfigError, match="3 examples an epoch, too few for one step of 2 x 4 examples"):
        epoch_plan([SourceShape("video", [1] * 3)], 2, 1, 0, multiple=4)
