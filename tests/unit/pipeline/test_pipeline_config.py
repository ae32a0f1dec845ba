"""Presets, overrides, impossible settings, and which stage depends on what."""

from __future__ import annotations

from pathlib import Path

import pytest

from hawkeye.config import read_yaml
from hawkeye.errors import ConfigError
from hawkeye.pipeline.config import PRESETS, InternVidGConfig, load_config, stage_hashes

FILE = Path(__file__).resolve().parents[3] / "configs" / "pipeline" / "internvid_g.yaml"


def test_the_commented_file_says_what_the_code_says():
    listed = read_yaml(FILE)["presets"]["paper"]
    defaults = InternVidGConfig().model_dump(exclude={"preset", "device"})
    assert listed == defaults  # every key, no other
    assert read_yaml(FILE)["presets"]["ours"] == PRESETS["ours"]
    for preset in ("paper", "ours", None):
        assert load_config(FILE, preset) == load_config(None, preset)
    text = FILE.read_text(encoding="utf-8").splitlines()
    settings = [line for line in text if line.startswith("      ") and ":" in line]
    assert len(settings) >= 30
    assert all("#" in line for line in settings[: sum(len(group) for group in listed.values())])


def test_layers(tmp_path):
    assert load_config().preset == "ours"
    assert load_config().similarity.embedder == "similarity"
    assert load_config(preset="paper").captions.captioner == "blip"
    own = tmp_path / "own.yaml"
    own.write_text("preset: paper\nmerge: {threshold: 0.9}\n")
    config = load_config(own, overrides=["negatives.max_secs=20"])
    assert (config.merge.threshold, config.merge.update, config.negatives.max_secs) == (0.9, "last", 20)
    assert config.similarity.embedder == "clip"
    assert load_config(own, "ours").similarity.embedder == "similarity"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scenes.threshold=0", "scenes.threshold"),
        ("merge.threshold=1.5", "merge.threshold"),
        ("negatives.min_secs=10", "must be below max_secs"),
        ("captions.min_secs=10", "no captioned segment could pass"),
        ("captions.sample_fps=2", "either num_frames or sample_fps"),
        ("filter.quantile=2", "filter.quantile"),
        ("similarity.max_scenes=100000", "similarity.max_scenes"),
        ("scenes.detector=magic", "scenes.detector"),
        ("scenes.treshold=3", "did you mean threshold"),
        ("preset=theirs", "preset"),
    ],
)
def test_impossible_settings_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=[override])


def test_an_unknown_preset_is_named():
    with pytest.raises(ConfigError, match="expected paper or ours"):
        load_config(preset="theirs")


@pytest.mark.parametrize(
    ("override", "redone"),
    [
        ("scenes.threshold=30", {"scenes", "similarity", "captions", "scores"}),
        ("similarity.frames_per_scene=5", {"similarity", "captions", "scores"}),
        ("frames.short_side=100", {"similarity", "captions", "scores"}),
        ("merge.threshold=0.9", {"captions", "scores"}),
        ("captions.min_secs=2", {"captions", "scores"}),
        ("scores.merge=mean", {"scores"}),
        ("filter.quantile=0.3", set()),
        ("negatives.max_secs=20", set()),
        ("device=cpu", set()),
    ],
)
def test_a_change_redoes_what_depends_on_it(override, redone):
    before, after = stage_hashes(load_config()), stage_hashes(load_config(overrides=[override]))
    assert {stage for stage in before if before[stage] != after[stage]} == redone
