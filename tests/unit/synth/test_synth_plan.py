"""Plans, recipes and frames: exact, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hawkeye.errors import VideoError
from hawkeye.synth.features import FeatureStore, all_coarse_recipes
from hawkeye.synth.pictures import read_pictures
from hawkeye.synth.plan import Act, Entry, Move, Style, make_plan, partners_of, recipe_at
from hawkeye.synth.recipe import WHOLE, Layer, View, coarse, crop_box
from hawkeye.synth.video import SyntheticVideo
from hawkeye.video.reader import VideoReader

PLANS = [make_plan(5, number, 40) for number in range(150)]


def test_a_plan_depends_on_seed_and_number_alone():
    assert make_plan(5, 3, 40) == PLANS[3]
    assert make_plan(6, 3, 40) != PLANS[3] != make_plan(5, 4, 40)


def test_shots_fill_the_video_without_gap_or_overlap():
    for plan in PLANS:
        borders = [border for shot in plan.shots for border in shot.span]
        assert borders[0] == 0.0
        assert borders[-1] == plan.duration
        assert borders[1:-1:2] == borders[2::2]
        assert all(a.picture != b.picture for a, b in zip(plan.shots, plan.shots[1:], strict=False))


def test_guests_stay_inside_one_shot_and_apart():
    guests = [(plan, guest) for plan in PLANS for guest in plan.guests]
    assert {guest.act for _, guest in guests} == set(Act)
    for plan, guest in guests:
        host = next(s for s in plan.shots if s.span.start <= guest.span.start < s.span.end)
        assert guest.span.end <= host.span.end
        assert guest.picture in partners_of(host.picture, Style().partners, 40)
        assert all(guest is other or not guest.span.intersection(other.span) for other in plan.guests)


def test_everything_that_can_happen_does():
    shots = [shot for plan in PLANS for shot in plan.shots]
    assert {shot.move for shot in shots} == set(Move)
    assert {shot.entry for shot in shots} == set(Entry)
    assert any(len({s.picture for s in plan.shots}) < len(plan.shots) for plan in PLANS)
    assert any(len(plan.shots) == 1 for plan in PLANS)


def test_what_is_on_screen_changes_exactly_at_a_cut():
    for plan in PLANS:
        for shot in plan.shots:
            if shot.entry is Entry.CUT:
                assert recipe_at(plan, shot.span.start)[0].picture == shot.picture
                if shot.span.start:
                    assert recipe_at(plan, shot.span.start - 1e-3)[0].picture != shot.picture


def test_a_dissolve_goes_from_one_picture_to_the_next_and_a_fade_through_black():
    dissolves = fades = 0
    for plan in PLANS:
        for before, shot in zip(plan.shots, plan.shots[1:], strict=False):
            middle = shot.span.start + shot.entry_seconds / 2
            seen = [layer for layer in recipe_at(plan, middle) if layer.place is None]
            if shot.entry is Entry.DISSOLVE:
                assert [layer.picture for layer in seen] == [before.picture, shot.picture]
                assert seen[1].opacity == pytest.approx(0.5)
                dissolves += 1
            elif shot.entry is Entry.FADE:
                assert seen[0].opacity == pytest.approx(0.0)
                fades += 1
    assert dissolves
    assert fades


def test_zooming_in_shows_ever_less_of_the_picture():
    shot = next(s for plan in PLANS for s in plan.shots if s.move is Move.ZOOM_IN and s.entry is Entry.CUT)
    plan = next(p for p in PLANS if shot in p.shots)
    times = np.linspace(shot.span.start, shot.span.end - 1e-3, 5)
    zooms = [recipe_at(plan, float(t))[0].view.zoom for t in times]
    assert zooms == sorted(zooms, reverse=True)
    assert zooms[0] > zooms[-1]


@pytest.mark.parametrize("view", [WHOLE, View(0.5, 0.0, 1.0), View(0.7, 1.0, 0.0)])
@pytest.mark.parametrize("size", [(100, 80), (60, 200)])
def test_a_view_has_the_canvas_aspect_and_lies_in_the_picture(view: View, size: tuple[int, int]):
    left, top, right, bottom = crop_box(view, size, (320, 240))
    assert (right - left) / (bottom - top) == pytest.approx(320 / 240)
    assert min(left, top) >= -1e-9
    assert right <= size[0] + 1e-9
    assert bottom <= size[1] + 1e-9


def test_coarse_recipes_are_the_ones_that_were_foreseen():
    foreseen = set(all_coarse_recipes(40))
    met = {coarse(recipe_at(plan, t)) for plan in PLANS for t in np.arange(0, plan.duration, 0.3)}
    assert met <= foreseen
    assert len(met) > 100
    assert coarse((Layer(3, WHOLE, None, "full", 0.2),)) == ()


def test_a_synthetic_video_is_a_reader(class_pictures: Path):
    pictures = read_pictures(class_pictures)
    plan = make_plan(1, 0, len(pictures))
    with SyntheticVideo(plan, pictures, fps=8) as video:
        assert isinstance(video, VideoReader)
        assert video.info.duration == plan.duration
        frames = video.read([5, 0, 5])
        assert frames.pixels.shape == (3, 3, 240, 320)
        assert frames.times == (5 / 8, 0.0, 5 / 8)
        assert (frames.pixels[0] == frames.pixels[2]).all()
        assert video.read([0], short_side=24).pixels.shape == (1, 3, 24, 32)
        with pytest.raises(VideoError, match=r"frame 100000 asked, 0 to \d+ are there"):
            video.read([100000])


def test_painted_frames_show_their_picture(class_pictures: Path):
    pictures = read_pictures(class_pictures)
    colours = {"0.png": (255, 0, 0), "2.png": (0, 0, 255)}
    for number, picture in enumerate(pictures):
        if picture.id in colours:
            plan = next(p for n in range(50) for p in [make_plan(2, n, len(pictures))] if p.shots[0].picture == number)
            corner = SyntheticVideo(plan, pictures).read([0]).pixels[0, :, 2, 2]
            assert tuple(int(v) for v in corner) == colours[picture.id]


def test_features_are_computed_once_and_kept(class_pictures: Path, tmp_path: Path):
    pictures = read_pictures(class_pictures)
    calls = []

    def encoder(pixels):
        calls.append(len(pixels))
        return pixels.float().mean(dim=(2, 3))

    file = tmp_path / "features.pt"
    store = FeatureStore(pictures, encoder, file)
    recipes = [(Layer(n, WHOLE),) for n in (0, 1, 0, 2)]
    rows = store.rows(recipes)
    assert sum(calls) == 3
    assert (rows[0] == rows[2]).all()
    assert not (rows[0] == rows[1]).all()
    store.save(file)
    again = FeatureStore(pictures, encoder, file)
    assert (again.rows(recipes) == rows).all()
    assert sum(calls) == 3
