"""The engine with a scripted model and videos made of numbers: windows, sharing, order of batches, failures."""

import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import read_rows

from hawkeye import Grounder, Span
from hawkeye.choices import Choice
from hawkeye.errors import ConfigError, ModelError, VideoError
from hawkeye.grounding.recursive import rank_spans
from hawkeye.grounding.result import GroundingResult, Turn
from hawkeye.grounding.source import Request
from hawkeye.models.base import Answer
from hawkeye.video.reader import Frames, VideoInfo


class NumberVideo:
    """A `VideoReader` without a file: frame n is a 4x4 picture of brightness n."""

    def __init__(self, name="numbers.mp4", duration=30.0, fps=10.0, fail_after=None):
        count = max(1, round(duration * fps))
        self.info = VideoInfo(Path(name), "numbers", duration, count, fps, 4, 4)
        self.times = np.arange(count) / fps
        self.reads, self.fail_after, self.closed = [], fail_after, False

    def read(self, indices, short_side=None):
        self.reads.append(tuple(indices))
        if self.fail_after is not None and len(self.reads) > self.fail_after:
            raise VideoError(f"{self.info.path}: frame {indices[0]} can't be decoded")
        values = (torch.tensor(indices) % 256).to(torch.uint8).view(-1, 1, 1, 1)
        return Frames(values.expand(-1, 3, 4, 4), tuple(float(self.times[i]) for i in indices))

    def close(self):
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Scripted:
    """Answers each query by its own script: the query is a list of choices, such as ``beginning end throughout``."""

    name, num_frames = "scripted", 4

    def __init__(self, refuse=()):
        self.batches, self.refuse = [], refuse

    def score(self, looks):
        self.batches.append([(look.query, look.window) for look in looks])
        if any(look.query in self.refuse for look in looks):
            raise ModelError("the server is gone")
        return [self._row(look) for look in looks]

    def _row(self, look):
        script = look.query.split()
        turn = round(math.log2(look.duration / look.window.length))
        wanted = script[min(turn, len(script) - 1)]
        return [math.log(0.7 if choice == wanted else 0.1) for choice in look.choices]

    def generate(self, looks, max_new_tokens=100):
        return ["" for _ in looks]


def test_every_recorded_sequence_of_answers_through_the_engine():
    rows = read_rows("data/recursive_grounding.jsonl")
    for max_turns in {row["max_turns"] for row in rows}:
        mine = [row for row in rows if row["max_turns"] == max_turns]
        videos = [NumberVideo(f"{i}.mp4", row["duration"]) for i, row in enumerate(mine)]
        requests = [
            Request(v, " ".join(row["scripted"]), str(i)) for i, (v, row) in enumerate(zip(videos, mine, strict=True))
        ]
        grounder = Grounder(Scripted(), "recursive", max_turns=max_turns)
        results = {request.id: result for request, result in grounder.ground_many(requests)}
        assert len(results) == len(mine)
        for i, row in enumerate(mine):
            result = results[str(i)]
            assert result.span == pytest.approx(row["span"], abs=1e-6), row
            assert [turn.choice for turn in result.turns] == row["answers"]


def test_queries_share_the_frames_of_a_window_and_the_batch():
    video, model = NumberVideo(), Scripted()
    results = Grounder(model, "recursive").ground(video, ["throughout", "end throughout", "end beginning throughout"])
    assert [r.span for r in results] == [Span(0, 30), Span(15, 30), Span(15, 22.5)]
    assert len(video.reads) == 3, "one read a window: whole, end, end-beginning"
    assert [len(batch) for batch in model.batches] == [3, 2, 1]
    assert not video.closed, "a reader that was handed in stays open"


def test_batches_depend_on_the_requests_alone():
    def batches():
        model = Scripted()
        requests = [
            Request(NumberVideo(f"{v}.mp4"), q) for v in range(5) for q in ("end throughout", "middle end end end")
        ]
        list(Grounder(model, "recursive", batch_size=3).ground_many(requests))
        return model.batches

    assert batches() == batches()


def test_frames_are_decoded_beside_the_model():
    threads = set()

    class Watched(NumberVideo):
        def read(self, indices, short_side=None):
            threads.add(threading.current_thread().name)
            return super().read(indices, short_side)

    Grounder(Scripted(), "recursive").ground(Watched(), "end end throughout")
    assert threads
    assert all(name.startswith("hawkeye-decode") for name in threads)


def test_one_bad_video_is_a_row_and_the_rest_goes_on(tmp_path):
    good = NumberVideo()
    requests = [Request(tmp_path / "missing.mp4", "end"), Request(good, "end throughout")]
    bad, fine = (result for _, result in Grounder(Scripted(), "recursive").ground_many(requests))
    assert bad.span is None
    assert "no such file" in bad.error
    assert fine.span == Span(15, 30)


def test_a_failure_in_a_later_turn_is_recorded_for_that_query_alone():
    requests = [Request(NumberVideo("a.mp4", fail_after=1), "end end"), Request(NumberVideo("b.mp4"), "end throughout")]
    results = {r.video: r for _, r in Grounder(Scripted(), "recursive").ground_many(requests)}
    assert "can't be decoded" in results["a.mp4"].error
    assert results["b.mp4"].error is None


def test_a_model_error_does_not_take_the_batch_along():
    model = Scripted(refuse=("end",))
    requests = [Request(NumberVideo("a.mp4"), "end"), Request(NumberVideo("b.mp4"), "middle throughout")]
    results = {r.video: r for _, r in Grounder(model, "recursive").ground_many(requests)}
    assert results["a.mp4"].error == "the server is gone"
    assert results["b.mp4"].span == Span(7.5, 22.5)


def test_ground_raises_what_went_wrong(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        Grounder(Scripted(), "recursive").ground(tmp_path / "missing.mp4", "end")
    with pytest.raises(ModelError, match="gone"):
        Grounder(Scripted(refuse=("end",)), "recursive").ground(NumberVideo(), "end")


@pytest.mark.parametrize("query", ["", "  \n", "x" * 10_000])
def test_queries_that_no_model_can_read(query):
    with pytest.raises(ConfigError):
        Grounder(Scripted(), "recursive").ground(NumberVideo(), query)


@pytest.mark.parametrize(
    "setting", [{"max_turns": 0}, {"num_frames": 0}, {"top_k": 0}, {"orders": 0}, {"strategy": "x"}]
)
def test_impossible_settings(setting):
    with pytest.raises(ConfigError):
        Grounder(Scripted(), **{"strategy": "recursive", **setting})


def test_direct_needs_a_model_that_compares():
    with pytest.raises(ConfigError, match="compares"):
        Grounder(Scripted(), "direct")


def test_an_unreadable_reply_means_throughout():
    class Mumbling(Scripted):
        def answer(self, looks):
            return [Answer((-1.0, -2.0, -3.0, -4.0), None, "hm") for _ in looks]

    result = Grounder(Mumbling(), "recursive").ground(NumberVideo(), "end")
    assert result.span == Span(0, 30)
    assert result.turns[0].choice is Choice.THROUGHOUT
    assert result.turns[0].reply == "hm"


def test_averaging_over_orders_removes_position_bias():
    class LikesTheFirst(Scripted):
        def _row(self, look):
            wanted = [0.3 if choice == "end" else 0.0 for choice in look.choices]
            raw = [w + (0.5 if i == 0 else 0.1) for i, w in enumerate(wanted)]
            return [math.log(r / sum(raw)) for r in raw]

    biased = [Grounder(LikesTheFirst(), "recursive", 1, seed=s).ground(NumberVideo(), "q").turns[0] for s in range(8)]
    fair = [
        Grounder(LikesTheFirst(), "recursive", 1, seed=s, orders=24).ground(NumberVideo(), "q").turns[0]
        for s in range(8)
    ]
    assert any(turn.choice != "end" for turn in biased)
    assert all(turn.choice == "end" for turn in fair)


def test_ranked_spans_begin_with_the_one_found_and_fall_in_score():
    result = Grounder(Scripted(), "recursive", top_k=4).ground(NumberVideo(), "end beginning throughout")
    assert result.spans[0].span == result.span == Span(15, 22.5)
    scores = [s.score for s in result.spans[1:]]
    assert scores == sorted(scores, reverse=True)
    assert len(result.spans) == 4
    assert result.confidence == pytest.approx(0.7)


def test_confidence_is_a_mean_over_turns():
    turn = Turn(Span(0, 8), (), tuple(Choice), tuple(math.log(p) for p in (0.1, 0.2, 0.6, 0.1)), Choice.END)
    spans, confidence = rank_spans([turn], 5)
    assert confidence == pytest.approx(0.6)
    assert spans[0].span == Span(4, 8)


def test_result_survives_json():
    result = Grounder(Scripted(), "recursive").ground(NumberVideo(), "end beginning throughout")
    assert GroundingResult.from_json(result.to_json()) == result
    assert "15.0 - 22.5 s" in str(result)


def test_same_seed_same_answer_other_seed_other_order():
    def options(seed):
        return [
            t.options
            for t in Grounder(Scripted(), "recursive", seed=seed).ground(NumberVideo(), "end end end end").turns
        ]

    assert options(3) == options(3)
    assert len({tuple(options(seed)) for seed in range(5)}) > 1
