"""BLIP, BLIP-2, GIT and other picture captioners of transformers. They see one picture: the middle one of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hawkeye.errors import CheckpointError
from hawkeye.pipeline.config import CaptionsConfig
from hawkeye.runtime import pick_device, pick_dtype
from hawkeye.video.reader import Frames

DEFAULT_WEIGHTS = "Salesforce/blip2-flan-t5-xxl"  # the paper's
SEGMENTS_PER_BATCH = 16


class PictureCaptioner:
    """A `Captioner`. ``processor`` and ``model`` as `AutoProcessor` and `AutoModelForImageTextToText` load them."""

    def __init__(self, name: str, processor: Any, model: Any, max_new_tokens: int) -> None:
        self.name, self._processor, self._model = name, processor, model.eval()
        self._max_new_tokens = max_new_tokens

    def caption(self, segments: Sequence[Frames]) -> list[str]:
        captions: list[str] = []
        for start in range(0, len(segments), SEGMENTS_PER_BATCH):
            captions += self._caption(segments[start : start + SEGMENTS_PER_BATCH])
        return captions

    @torch.inference_mode()
    def _caption(self, segments: Sequence[Frames]) -> list[str]:
        middle = [frames.pixels[len(frames) // 2].permute(1, 2, 0).contiguous().numpy() for frames in segments]
        batch = self._processor(images=middle, return_tensors="pt").to(self._model.device, dtype=self._model.dtype)
        ids = self._model.generate(**batch, max_new_tokens=self._max_new_tokens, do_sample=False)
        return [text.strip() for text in self._processor.batch_decode(ids, skip_special_tokens=True)]


def load(weights: str | None = None, device: str = "auto", captions: CaptionsConfig | None = None) -> PictureCaptioner:
    """``weights``: a folder or a hub id. Raises CheckpointError."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    source, place = weights or DEFAULT_WEIGHTS, pick_device(device)
    try:
        processor = AutoProcessor.from_pretrained(source)
        model: Any = AutoModelForImageTextToText.from_pretrained(source, dtype=pick_dtype("auto", place))
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: can't be loaded as a picture captioner: {reason}") from None
    return PictureCaptioner(
        f"blip:{source}", processor, model.to(device=place), (captions or CaptionsConfig()).max_new_tokens
    )
