"""Every threshold of the pipeline, the two presets, and which stage depends on which settings.

``configs/pipeline/internvid_g.yaml`` says the same with a comment a line; a test keeps the two equal.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from hawkeye.config import Config, apply_overrides, read_yaml
from hawkeye.errors import ConfigError

Preset = Literal["paper", "ours"]


class ScenesConfig(Config):
    """Cutting a video into scenes."""

    detector: Literal["content", "adaptive", "transnetv2"] = "content"
    threshold: float = Field(default=27.0, gt=0, le=255)
    adaptive_threshold: float = Field(default=3.0, gt=0)
    adaptive_window: int = Field(default=2, ge=1, le=100)
    adaptive_min_content: float = Field(default=15.0, ge=0, le=255)
    transnet_threshold: float = Field(default=0.5, gt=0, lt=1)
    min_scene_frames: int = Field(default=15, ge=0, le=10_000)
    min_secs: float = Field(default=0.5, ge=0)


class FramesConfig(Config):
    """The pictures kept of each scene while the video goes by."""

    short_side: int = Field(default=288, ge=16, le=2160)
    jpeg_quality: int = Field(default=95, ge=1, le=100)


class SimilarityConfig(Config):
    """Comparing scenes by their pictures."""

    embedder: str = "clip"
    weights: str | None = "openai/clip-vit-large-patch14"
    frames_per_scene: int = Field(default=3, ge=1, le=16)
    max_scenes: int = Field(default=100, ge=1, le=1000)


class MergeConfig(Config):
    """Joining consecutive scenes that look alike."""

    threshold: float = Field(default=0.85, ge=-1, le=1)
    update: Literal["last", "union"] = "last"


class CaptionsConfig(Config):
    """Describing a segment in words."""

    captioner: str = "blip"
    weights: str | None = "Salesforce/blip2-flan-t5-xxl"
    prompt: str = "Describe what happens in one short sentence."
    min_secs: float = Field(default=1.0, ge=0)
    num_frames: int | None = Field(default=1, ge=1, le=64)
    sample_fps: float | None = Field(default=None, gt=0, le=60)
    max_frames: int = Field(default=5, ge=1, le=64)
    max_new_tokens: int = Field(default=40, ge=1, le=1024)

    @model_validator(mode="after")
    def _one_way_to_choose_frames(self) -> Self:
        if (self.num_frames is None) == (self.sample_fps is None):
            raise ValueError("give either num_frames or sample_fps, and set the other to null")
        return self


class ScoresConfig(Config):
    """How well a caption fits its segment."""

    scorer: str | None = None
    weights: str | None = None
    num_frames: int = Field(default=3, ge=1, le=16)
    merge: Literal["mean", "max"] = "max"


class FilterConfig(Config):
    """Which captions stay."""

    quantile: float = Field(default=0.5, ge=0, le=1)


class NegativesConfig(Config):
    """The stretch around a segment that holds nothing like it."""

    boundary_shift: float = Field(default=0.25, ge=0)
    same_threshold: float = Field(default=0.8, ge=-1, le=1)
    min_secs: float = Field(default=0.5, ge=0)
    max_secs: float = Field(default=10.0, gt=0)
    max_scenes: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _a_segment_is_possible(self) -> Self:
        if self.min_secs >= self.max_secs:
            raise ValueError(f"min_secs {self.min_secs} must be below max_secs {self.max_secs}: no segment could pass")
        return self


class InternVidGConfig(Config):
    """All settings; the defaults are the paper's. ``device``: where models run, as everywhere in this package."""

    preset: Preset = "paper"
    device: str = "auto"
    scenes: ScenesConfig = ScenesConfig()
    frames: FramesConfig = FramesConfig()
    similarity: SimilarityConfig = SimilarityConfig()
    merge: MergeConfig = MergeConfig()
    captions: CaptionsConfig = CaptionsConfig()
    scores: ScoresConfig = ScoresConfig()
    filter: FilterConfig = FilterConfig()
    negatives: NegativesConfig = NegativesConfig()

    @model_validator(mode="after")
    def _some_segment_can_pass(self) -> Self:
        if self.captions.min_secs >= self.negatives.max_secs:
            raise ValueError(
                f"captions.min_secs {self.captions.min_secs} must be below negatives.max_secs "
                f"{self.negatives.max_secs}: no captioned segment could pass"
            )
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},  # the values written above
    "ours": {
        "similarity": {"embedder": "similarity", "weights": None},
        "merge": {"threshold": 0.7},
        "captions": {"captioner": "similarity", "weights": None, "num_frames": 3},
        "negatives": {"same_threshold": 0.7},
    },
}

#: Stages whose results are kept a video at a time, in the order in which they run, with the version of their code:
#: raise one when the same settings begin to give other rows.
STAGE_VERSIONS = {"scenes": 1, "similarity": 1, "captions": 1, "scores": 1}
_STAGE_SETTINGS = {
    "scenes": ("scenes",),
    "similarity": ("frames", "similarity"),
    "captions": ("merge", "captions"),
    "scores": ("scores",),
}


def load_config(
    path: str | Path | None = None, preset: str | None = None, overrides: list[str] | None = None
) -> InternVidGConfig:
    """A preset, then the sections of the file at ``path`` (which may bring presets of its own), then key=value overrides.

    Raises ConfigError.
    """
    values = read_yaml(path) if path else {}
    source = str(path) if path else "settings"
    presets: dict[str, Any] = PRESETS | values.pop("presets", {})
    chosen = preset or values.get("preset", "ours")
    if chosen not in PRESETS:
        raise ConfigError(f"{source}: preset {chosen!r} is unknown: expected {' or '.join(PRESETS)}")
    merged: dict[str, Any] = {}
    for layer in (presets["paper"], presets[chosen], values | {"preset": chosen}):
        merged = _overlay(merged, layer)
    return InternVidGConfig.from_dict(apply_overrides(merged, overrides or []), source)


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    both = {key: _overlay(base[key], top[key]) for key in base.keys() & top.keys() if _are_groups(base[key], top[key])}
    return base | top | both


def _are_groups(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def stage_hashes(config: InternVidGConfig) -> dict[str, str]:
    """For each kept stage a name for all that its rows depend on: its version and settings, and those before it."""
    hashes: dict[str, str] = {}
    before = ""
    for stage, version in STAGE_VERSIONS.items():
        settings = {name: getattr(config, name).model_dump() for name in _STAGE_SETTINGS[stage]}
        text = json.dumps([before, stage, version, settings], sort_keys=True)
        before = hashes[stage] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return hashes
