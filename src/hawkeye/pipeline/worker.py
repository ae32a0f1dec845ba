"""One worker of a build: it holds the models and takes videos through all steps. Models load when a video first needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec

from hawkeye.models.base import FrameTextModel
from hawkeye.pipeline.config import InternVidGConfig
from hawkeye.pipeline.parts import Captioner, has_own_scorer, load_captioner, load_embedder, load_scorer
from hawkeye.pipeline.work import VideoWork, caption_step, scan_step, score_step, similarity_step


class Worker:
    """Raises ConfigError, MissingDependency and CheckpointError if a model can't be loaded."""

    def __init__(self, config: InternVidGConfig) -> None:
        self.config = config

    @cached_property
    def embedder(self) -> FrameTextModel:
        return load_embedder(self.config)

    @cached_property
    def captioner(self) -> Captioner:
        return load_captioner(self.config)

    @cached_property
    def scorer(self) -> FrameTextModel:
        return load_scorer(self.config) if has_own_scorer(self.config) else self.embedder

    def scan(self, work: VideoWork) -> VideoWork:
        return scan_step(work, self.config)

    def look(self, work: VideoWork) -> VideoWork:
        """All steps after the scan. What only steps need is dropped."""
        similarity_step(work, self.config, self.embedder)
        caption_step(work, self.config, self.captioner)
        score_step(work, self.config, self.scorer)
        return work.slim()

    def run(self, work: VideoWork) -> VideoWork:
        return self.look(self.scan(work))


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for each library: videos are worked on side by side, and rows must not depend on the number of cores."""
    import torch

    torch_threads = torch.get_num_threads()
    opencv = import_module("cv2") if find_spec("cv2") else None  # only some detectors need it
    opencv_threads = opencv.getNumThreads() if opencv else 0
    try:
        torch.set_num_threads(1)
        if opencv:
            opencv.setNumThreads(1)
        yield
    finally:
        torch.set_num_threads(torch_threads)
        if opencv:
            opencv.setNumThreads(opencv_threads)
