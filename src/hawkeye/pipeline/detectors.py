"""Where one scene ends and the next begins, found while the frames go by. Three detectors behind one protocol.

``content`` and ``adaptive`` are PySceneDetect's, fed with the very pictures that its own command would see, so the cuts are
the same; only the frame difference is computed by a quicker route. ``transnetv2`` is in `transnet`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from hawkeye.pipeline.config import ScenesConfig
from hawkeye.runtime import require
from hawkeye.video.stream import StreamFrame

#: PySceneDetect's own limit: the longer side is scaled down to this many pixels.
DETECTOR_SIDE = 256


class SceneDetector(Protocol):
    """Sees each frame once, in order. Cuts are times in seconds: the first frame of a new scene."""

    lookback: int  # a cut is told at most so many frames after its frame

    def push(self, frame: StreamFrame) -> list[float]: ...

    def finish(self) -> list[float]: ...


def make_detector(config: ScenesConfig, nominal_rate: Fraction, device: str = "auto") -> SceneDetector:
    """``nominal_rate``: frames a second as the file claims, which is how PySceneDetect counts frames.

    Raises MissingDependency if the detector's package is not installed.
    """
    if config.detector == "transnetv2":
        from hawkeye.pipeline.transnet import TransNetDetector

        return TransNetDetector(config.transnet_threshold, device)
    return PySceneDetector(config, nominal_rate)


class PySceneDetector:
    """PySceneDetect's ContentDetector or AdaptiveDetector."""

    def __init__(self, config: ScenesConfig, nominal_rate: Fraction) -> None:
        require("scenedetect", "data")
        self._rate = nominal_rate
        self._detector = _quick_detector(config)
        self._last: Any = None
        self.lookback = max(self._detector.event_buffer_length, config.min_scene_frames) + 1

    def push(self, frame: StreamFrame) -> list[float]:
        from scenedetect.common import FrameTimecode, Timecode

        self._last = FrameTimecode(Timecode(round(frame.time * 1_000_000), Fraction(1, 1_000_000)), self._rate)
        return [cut.seconds for cut in self._detector.process_frame(self._last, shrink(frame.bgr()))]

    def finish(self) -> list[float]:
        return [cut.seconds for cut in self._detector.post_process(self._last)] if self._last is not None else []


def shrink(picture: np.ndarray) -> np.ndarray:
    """The picture as PySceneDetect scales it down before it looks (``SceneManager``, automatic downscale)."""
    import cv2

    height, width = picture.shape[:2]
    factor = max(width, height) / DETECTOR_SIDE
    if factor <= 1:
        return picture
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def _quick_detector(config: ScenesConfig) -> Any:
    """The library's detector with its frame difference by one OpenCV call instead of four NumPy passes (equal sums)."""
    import cv2
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

    class QuickDifference:
        _planes: tuple[np.ndarray, ...] | None = None

        def _calculate_frame_score(self, timecode: Any, frame_img: np.ndarray) -> float:
            planes = tuple(cv2.split(cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV)))
            before, self._planes = self._planes, planes
            if before is None:
                return 0.0
            num_pixels = float(planes[0].size)
            sums = (cv2.norm(now, then, cv2.NORM_L1) for now, then in zip(planes, before, strict=True))
            return sum(total / num_pixels for total in sums) / 3.0

    class QuickContent(QuickDifference, ContentDetector): ...

    class QuickAdaptive(QuickDifference, AdaptiveDetector): ...

    if config.detector == "content":
        return QuickContent(threshold=config.threshold, min_scene_len=config.min_scene_frames)
    return QuickAdaptive(
        adaptive_threshold=config.adaptive_threshold,
        min_scene_len=config.min_scene_frames,
        window_width=config.adaptive_window,
        min_content_val=config.adaptive_min_content,
    )
