"""The settings of a training run, as `configs/train/*.yaml` hold them. Checked where they are made; nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from hawkeye.config import Config
from hawkeye.train.optimizer import OptimizerConfig
from hawkeye.train.representations import Layout
from hawkeye.train.sources import SourceConfig
from hawkeye.train.trackers import TrackerName


class ModelConfig(Config):
    """What is trained, and from which weights it starts."""

    start: str  # a converted folder (hawkeye convert), or a preset's name for random weights
    tokenizers: Path | None = None  # folder with the tokenizers' files, for a preset
    settings: dict[str, Any] = Field(default_factory=dict)  # laid over the model's own, such as language.lora.rank
    weight_scale: float = Field(default=1.0, gt=0)  # of a preset's random matrices; narrow models want more than 1
    train_vision: bool = False
    train_qformer: bool = True
    language: Literal["lora", "full", "frozen"] = "lora"
    gradient_checkpointing: bool = False
    compile: bool = False
    bos_quirk: bool = False  # the reference's training writes a 1.0 into the BOS slot


class DataConfig(Config):
    """The mixture, and how frames are taken from it."""

    sources: list[SourceConfig] = Field(min_length=1)
    root: Path = Path()  # where relative paths of the sources begin
    num_frames: int = Field(default=12, ge=1, le=64)
    sampling: Literal["rand", "middle"] = "rand"  # a random, or the middle, frame of each of num_frames equal slots
    frame_times: bool = True  # tell the model when the frames were taken
    layout: Layout = "training"  # of the text: the reference's for training, or that of evaluation prompts
    normalization: Literal["imagenet", "clip"] = "imagenet"  # training has ImageNet's, evaluation CLIP's
    augment: bool = (
        True  # random crop (half to all of the area) and horizontal flip, the same for all frames of a video
    )
    bucket: bool = True  # batches of texts of like length
    workers: int = Field(default=2, ge=0)
    cache_gib: float = Field(default=0.0, ge=0)  # of decoded small videos, in each worker
    max_replacements: int = Field(default=10, ge=0)  # tries to replace an unreadable item before the run stops

    @model_validator(mode="after")
    def _names_differ(self) -> DataConfig:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"sources: two are called {repeated[0]!r}: names must differ")
        return self


class BatchConfig(Config):
    """Examples a step: size x accumulate x number of processes."""

    size: int = Field(default=2, ge=1)  # a process
    accumulate: int = Field(default=1, ge=1)


class ScheduleConfig(Config):
    epochs: int = Field(default=3, ge=1)
    warmup_epochs: float = Field(default=0.6, ge=0)
    floor: float = Field(default=0.25, ge=0, le=1)  # the least share of the learning rate
    max_steps: int | None = Field(default=None, ge=1)  # end after so many steps; the schedule then spans these


class CheckpointConfig(Config):
    every_steps: int | None = Field(default=None, ge=1)  # None: at the end of each epoch only
    keep: int = Field(default=2, ge=1)  # the newest so many are kept, and the best
    reference_file: bool = False  # also write hawkeye.pth, with the reference's names, at the end


class EvaluationConfig(Config):
    """Grounding of a few examples during training, with the real `Grounder`."""

    every_steps: int = Field(ge=1)
    dataset: str = "jsonl"
    annotations: Path | list[Path]
    videos: Path
    options: dict[str, Any] = Field(default_factory=dict)
    examples: int = Field(default=100, ge=1)  # the first so many of a seeded shuffle
    max_turns: int = Field(default=3, ge=1)
    metric: Literal["mIoU", "R@0.3", "R@0.5", "R@0.7"] = "mIoU"  # the best checkpoint is kept by it


class LogConfig(Config):
    every_steps: int = Field(default=10, ge=1)
    trackers: list[TrackerName] = Field(default_factory=list)  # beside log.jsonl
    project: str = "hawkeye"


class TrainConfig(Config):
    output: Path
    seed: int = 42
    model: ModelConfig
    data: DataConfig
    batch: BatchConfig = BatchConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # of the forward pass; weights stay float32
    device: str = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"  # under torchrun
    on_bad_loss: Literal["stop", "skip"] = "stop"  # a loss that is not finite
    resume: Literal["auto", "never"] = "auto"  # auto: go on from the newest checkpoint in output, if there is one
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationConfig | None = None
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if self.parallel == "fsdp" and self.model.compile:
            raise ValueError("model.compile with parallel: fsdp is not supported: turn one off")
        if self.parallel == "fsdp" and self.precision == "float16":
            raise ValueError("precision float16 with parallel: fsdp is not supported: use bfloat16")
        if self.parallel == "fsdp" and self.evaluation is not None:
            # Ranks look a different number of times, and a shard can't answer alone.
            raise ValueError("evaluation with parallel: fsdp is not supported: evaluate the checkpoints afterwards")
        return self
