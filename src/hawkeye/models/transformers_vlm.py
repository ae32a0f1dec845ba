"""Any Hugging Face vision-language chat model as a `VideoLanguageModel`: the frames go in as pictures.

One forward pass a look gives the probability of every option: the prompt is continued with the reply's beginning, and the
next-token probabilities of the option letters are read off. Video processors are not used (they need torchvision).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hawkeye.choices import letter
from hawkeye.errors import CheckpointError, ConfigError, ModelError
from hawkeye.models.base import Look
from hawkeye.runtime import pick_device, pick_dtype

if TYPE_CHECKING:
    from PIL.Image import Image

REPLY_START = "Best option: ("


class TransformersVLM:
    """``processor`` and ``model`` as `AutoProcessor` and `AutoModelForImageTextToText` load them."""

    def __init__(self, name: str, processor: Any, model: Any, num_frames: int = 12, short_side: int = 336) -> None:
        self.name, self.num_frames, self.short_side = name, num_frames, short_side
        self.processor, self.model = processor, model.eval()

    def score(self, looks: Sequence[Look]) -> list[list[float]]:
        """Log-probability of each option (B lists), normalised over the options. Raises ModelError."""
        return [self._score(look) for look in looks]

    def generate(self, looks: Sequence[Look], max_new_tokens: int = 100) -> list[str]:
        """Greedy replies."""
        import torch

        replies = []
        for look in looks:
            batch = self._inputs(look, self._chat(look) + look.prompt.reply_start)
            with torch.inference_mode():
                ids = self.model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False)
            new = ids[0, batch["input_ids"].shape[1] :]
            replies.append(self.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
        return replies

    def _score(self, look: Look) -> list[float]:
        import torch

        text = self._chat(look) + REPLY_START
        tokens = self._letter_tokens(text, len(look.options))
        with torch.inference_mode():
            logits = self.model(**self._inputs(look, text)).logits[0, -1].float()
        if not torch.isfinite(logits[tokens]).all():
            raise ModelError(f"{self.name}: the scores are not finite numbers: try --dtype float32")
        return torch.log_softmax(logits[tokens], dim=0).tolist()

    def _letter_tokens(self, text: str, count: int) -> list[int]:
        """The token that each option letter becomes when it continues ``text``; they must differ in that one token."""
        encode = self.processor.tokenizer.encode
        before = encode(text, add_special_tokens=False)
        after = [encode(text + letter(i), add_special_tokens=False) for i in range(count)]
        tokens = [ids[len(before)] for ids in after if len(ids) > len(before) and ids[: len(before)] == before]
        if len(set(tokens)) != count:
            raise ModelError(
                f"{self.name}: its tokenizer does not give each of the {count} option letters a token of its own"
            )
        return tokens

    def _chat(self, look: Look) -> str:
        """The text of the conversation, by the model's own chat template, up to where its reply begins."""
        prompt = look.prompt
        words = "\n".join(part.strip() for part in (prompt.message, prompt.question, prompt.request) if part.strip())
        content: list[dict[str, str]] = [{"type": "image"} for _ in look.frames.times]
        content.append({"type": "text", "text": f"{prompt.instruction.strip()}\n{words}".strip()})
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    def _inputs(self, look: Look, text: str) -> Any:
        batch = self.processor(text=text, images=self._pictures(look), return_tensors="pt")
        return batch.to(self.model.device, dtype=self.model.dtype)

    def _pictures(self, look: Look) -> list[Image]:
        from PIL import Image

        pictures = []
        for pixels in look.frames.pixels:
            picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
            scale = self.short_side / min(picture.size)
            if scale < 1:
                picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
            pictures.append(picture)
        return pictures


def load(
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    num_frames: int = 12,
    short_side: int = 336,
    decoding: str = "best",
) -> TransformersVLM:
    """``weights`` is a folder or a hub id. Raises ConfigError, CheckpointError."""
    if not weights:
        raise ConfigError("model hf needs --weights with a folder, or a hub id such as Qwen/Qwen2.5-VL-3B-Instruct")
    if decoding != "best":
        raise ConfigError("model hf knows --decoding best only")
    from transformers import AutoModelForImageTextToText, AutoProcessor

    place = pick_device(device)
    try:
        processor = AutoProcessor.from_pretrained(weights)
        model: Any = AutoModelForImageTextToText.from_pretrained(weights, dtype=pick_dtype(dtype, place))
        model = model.to(place)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{weights}: can't be loaded as an image-text-to-text model: {reason}") from None
    if not getattr(processor, "chat_template", None):
        raise CheckpointError(
            f"{weights}: its processor has no chat template: expected an instruction-tuned chat model"
        )
    return TransformersVLM(f"hf:{Path(str(weights)).name}", processor, model, num_frames, short_side)
