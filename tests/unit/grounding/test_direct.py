"""The direct strategy on videos whose frames say by their colour how well they fit."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hawkeye.errors import VideoError
from hawkeye.grounding.direct import direct_reads, ground_direct, smooth_in_shots
from hawkeye.grounding.shots import cut_positions, cut_times, split_at_cuts
from hawkeye.video.reader import Frames, VideoInfo


class BrightVideo:
    """A `VideoReader` without a file. ``levels``: (seconds, red, green) of each stretch; blue flickers by one step."""

    def __init__(self, levels, fps=25.0):
        self.levels, self.fps = levels, fps
        self.info = VideoInfo(Path("bright.mp4"), "none", sum(s for s, _, _ in levels), 0, fps, 8, 8)
        self.times = np.arange(max(1, round(self.info.duration * fps))) / fps
        self.reads = []

    def read(self, indices, short_side=None):
        self.reads.append((list(indices), short_side))
        ends = np.cumsum([s for s, _, _ in self.levels])
        colours = []
        for i in indices:
            _, red, green = self.levels[
                min(int(np.searchsorted(ends, self.times[i] + 1e-6, "right")), len(self.levels) - 1)
            ]
            colours.append((red, green, i % 2))
        pixels = torch.tensor(colours, dtype=torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, 8, 8)
        return Frames(pixels, tuple(float(self.times[i]) for i in indices))


class ColourModel:
    """A `FrameTextModel` for which "red" is the red channel and "green" the green one."""

    name = "colour"

    def __init__(self):
        self.calls = 0

    def embed_frames(self, frames):
        self.calls += 1
        return frames.pixels[:, :2, 0, 0].float() / 255

    def similarity(self, frame_embeddings, texts):
        return torch.stack([frame_embeddings[:, {"red": 0, "green": 1}[text]] for text in texts])


class SureModel(ColourModel):
    odds_slope = 10.0

    def even_odds(self, texts):
        return torch.tensor([{"red": 0.7, "green": 0.4}[text] for text in texts])


LEVELS = [(4.3, 20, 90), (6.1, 200, 20), (5.6, 90, 200), (4.0, 160, 90)]


def test_spans_end_exactly_on_cuts_and_alternatives_follow_in_order():
    red, green = ground_direct(ColourModel(), BrightVideo(LEVELS), ["red", "green"], top_k=3)
    assert red.spans[0].span == pytest.approx((4.3, 10.4), abs=0.06)
    assert red.spans[1].span == pytest.approx((16.0, 20.0), abs=0.06)
    assert green.spans[0].span == pytest.approx((10.4, 16.0), abs=0.06)
    for answer in (red, green):
        scores = [span.score for span in answer.spans]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert answer.found
        assert len(answer.curve) == 40
        assert answer.confidence == scores[0]
        assert set(answer.timings) == {"decode", "model"}


def test_cuts_are_exact_where_every_frame_is_seen():
    video = BrightVideo(LEVELS, fps=10.0)
    answer = ground_direct(ColourModel(), video, ["red"], top_k=1)[0]
    assert answer.spans[0].span == pytest.approx((4.3, 10.4), abs=1e-6)


def test_a_model_that_knows_the_odds_decides_whether_it_is_found():
    high, low = ground_direct(SureModel(), BrightVideo([(5, 10, 40), (5, 240, 90)]), ["red", "green"], top_k=1)
    assert (high.found, low.found) == (True, False)
    assert high.confidence == pytest.approx(1 / (1 + math.exp(-10 * (240 / 255 - 0.7))))
    assert low.spans[0].span == pytest.approx((5, 10), abs=0.06)  # the best guess all the same


def test_the_frames_are_read_and_embedded_once_for_all_queries():
    alone, shared = BrightVideo(LEVELS), BrightVideo(LEVELS)
    one, many = ColourModel(), ColourModel()
    ground_direct(one, alone, ["red"], top_k=1)
    ground_direct(many, shared, ["red", "green"] * 10, top_k=1)
    assert (many.calls, shared.reads) == (one.calls, alone.reads)
    assert shared.reads == direct_reads(shared)


@pytest.mark.parametrize("fps", [25.0, 2.0, 0.4])
def test_a_picture_that_never_changes_is_one_span(fps):
    answer = ground_direct(ColourModel(), BrightVideo([(9.0, 70, 70)], fps), ["red"], top_k=5)[0]
    assert [span.span for span in answer.spans] == [pytest.approx((0, 9))]


def test_a_single_frame_and_a_very_long_video():
    assert ground_direct(ColourModel(), BrightVideo([(0.04, 9, 9)]), ["red"], top_k=5)[0].spans[0].span == (0, 0.04)
    long = direct_reads(BrightVideo([(7200.0, 9, 9)], fps=1.0))
    assert sum(len(indices) for indices, _ in long) == 10_000


def test_what_the_reader_says_is_not_swallowed():
    class Broken(BrightVideo):
        def read(self, indices, short_side=None):
            raise VideoError("bright.mp4: frame 7 can't be decoded")

    with pytest.raises(VideoError, match="frame 7"):
        ground_direct(ColourModel(), Broken(LEVELS), ["red"], top_k=1)


def test_smoothing_stays_inside_a_shot():
    smooth = smooth_in_shots(np.array([0, 0, 0, 9, 0, 9.0]), np.array([0, 0, 0, 1, 1, 1]))
    assert smooth.tolist() == [0, 0, 0, 6, 6, 6]


def test_cuts_are_sudden_and_large():
    generator = np.random.default_rng(0)
    still = np.full((40, 3, 24, 32), 100.0) + generator.normal(0, 1, (40, 3, 24, 32))
    cut = still.copy()
    cut[25:] += 30
    wild = still + 30 * generator.random((40, 1, 1, 1))
    fade = still + np.linspace(0, 80, 40)[:, None, None, None]
    assert [cut_positions(p.astype(np.float32)) for p in (still, cut, wild, fade)] == [[], [25], [], []]
    assert cut_times(cut.astype(np.float32), list(range(0, 80, 2)), np.arange(80) / 10) == [pytest.approx(4.95)]
    assert cut_positions(cut[:1]) == []


def test_edges_move_onto_cuts():
    assert split_at_cuts(np.array([0, 1, 2, 3.0]), [1.2, 2.5]).tolist() == [0, 1.2, 2.5, 3]
    assert split_at_cuts(np.array([0, 1, 2.0]), []).tolist() == [0, 1, 2]
