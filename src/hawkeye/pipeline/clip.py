"""CLIP, SigLIP and their kind through transformers: picture and sentence embeddings in one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from hawkeye.errors import CheckpointError
from hawkeye.runtime import pick_device, pick_dtype
from hawkeye.video.reader import Frames

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_WEIGHTS = "openai/clip-vit-large-patch14"  # the paper's
FRAMES_PER_BATCH = 64


class ClipModel:
    """A `FrameTextModel`. ``model`` has ``get_image_features`` and ``get_text_features``, as in transformers."""

    def __init__(self, name: str, processor: Any, model: Any) -> None:
        self.name, self._processor, self._model = name, processor, model.eval()

    @torch.inference_mode()
    def embed_frames(self, frames: Frames) -> Tensor:
        """float32 (T, D), not normalised."""
        rows = []
        for start in range(0, len(frames), FRAMES_PER_BATCH):
            pictures = [
                p.permute(1, 2, 0).contiguous().numpy() for p in frames.pixels[start : start + FRAMES_PER_BATCH]
            ]
            batch = self._processor(images=pictures, return_tensors="pt").to(
                self._model.device, dtype=self._model.dtype
            )
            rows.append(_features(self._model.get_image_features(pixel_values=batch["pixel_values"])))
        return torch.cat(rows) if rows else torch.zeros(0, 1)

    @torch.inference_mode()
    def similarity(self, frame_embeddings: Tensor, texts: Sequence[str]) -> Tensor:
        """float32 (len(texts), T): cosines."""
        words = self._processor(text=list(texts), padding=True, truncation=True, return_tensors="pt")
        embedded = _features(self._model.get_text_features(**words.to(self._model.device)))
        return F.normalize(embedded, dim=-1) @ F.normalize(frame_embeddings, dim=-1).T


def _features(output: Any) -> Tensor:
    """float32 on the CPU; transformers 5 wraps what was a plain tensor."""
    return (output if isinstance(output, torch.Tensor) else output.pooler_output).float().cpu()


def load(weights: str | None = None, device: str = "auto") -> ClipModel:
    """``weights``: a folder or a hub id. Raises CheckpointError."""
    from transformers import AutoModel, AutoProcessor

    source, place = weights or DEFAULT_WEIGHTS, pick_device(device)
    try:
        processor = AutoProcessor.from_pretrained(source)
        model = AutoModel.from_pretrained(source, dtype=pick_dtype("auto", place)).to(device=place)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{source}: can't be loaded as an image-text model: {reason}") from None
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise CheckpointError(f"{source}: has no picture and text embeddings: expected CLIP, SigLIP or the like")
    return ClipModel(f"clip:{source}", processor, model)
