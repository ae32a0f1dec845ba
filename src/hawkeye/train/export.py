"""What a finished run leaves behind: a folder for inference, and on request one file with the reference's names.

The folder is `load_model`'s own format. The file is what the reference's training would have saved: trained weights and
constant buffers, under ``model``, so that its code (and ours) reads it as ``hawkeye.pth``.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

import torch

from hawkeye.models.hawkeye.config import HawkEyeConfig
from hawkeye.models.hawkeye.folder import CONFIG_FILE, save_tokenizers
from hawkeye.models.hawkeye.language import plain_name
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tensors import write_tensors
from hawkeye.records import atomic_write
from hawkeye.train.config import TrainConfig
from hawkeye.train.distributed import World
from hawkeye.train.states import trained_weights, whole_weights

MODEL_FOLDER, REFERENCE_FILE = "model", "hawkeye.pth"

# Our plain names -> the reference's. The way back is `models.hawkeye.checkpoint.RENAMES`.
REFERENCE_NAMES: tuple[tuple[str, str], ...] = (
    (r"vision\.norm\.(.*)", r"vision_layernorm.\1"),
    (r"vision\.(.*)", r"vision_encoder.encoder.\1"),
    (r"qformer\.((?:extra_)?query_tokens)", r"\1"),
    (r"qformer\.layers\.(.*)", r"qformer.bert.encoder.layer.\1"),
    (r"qformer\.(.*)", r"qformer.bert.\1"),
    (r"projection\.(.*)", r"llama_proj.\1"),
    (r"language\.(.*\.lora_[AB])\.(.*)", r"llama_model.base_model.model.\1.default.\2"),
    (r"language\.(.*)", r"llama_model.base_model.model.\1"),
)


def reference_name(name: str, adapters: bool = True) -> str:
    """The reference's name of one of our parameters; with ``adapters`` its language model is wrapped by peft."""
    plain = plain_name(name)
    for pattern, target in REFERENCE_NAMES:
        if (match := re.fullmatch(pattern, plain)) is not None:
            return match.expand(target if adapters else target.replace(".base_model.model.", "."))
    raise AssertionError(f"no rule for {plain}")


def reference_state(trained: dict[str, torch.Tensor], config: HawkEyeConfig) -> dict[str, torch.Tensor]:
    """Trained weights under the reference's names, with the constant buffers that its files hold (quirk M20)."""
    adapters = config.language.lora is not None
    state = {reference_name(name, adapters): tensor for name, tensor in trained.items()}
    state["qformer.bert.embeddings.position_ids"] = torch.arange(config.qformer.max_positions)[None]
    head = config.language.width // config.language.num_heads
    frequencies = config.language.rope_theta ** -(torch.arange(0, head, 2).float() / head)
    for layer in range(config.language.num_layers):
        name = reference_name(f"language.model.layers.{layer}.self_attn.rotary_emb.inv_freq", adapters)
        state[name] = frequencies.clone()
    return state


def export(model: HawkEye, config: TrainConfig, world: World) -> Path:
    """Write ``OUTPUT/model`` and, if ``checkpoint.reference_file`` is set, ``OUTPUT/hawkeye.pth``. Every rank must call it."""
    folder = config.output / MODEL_FOLDER
    trained = trained_weights(model) if config.checkpoint.reference_file else {}
    weights = whole_weights(model)
    if world.first:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)  # it comes last: without it the folder is no model
        write_tensors(folder, weights)
        save_tokenizers(model.tokenizers, folder)
        model.config.to_json(folder / CONFIG_FILE)
        if trained:
            with atomic_write(config.output / REFERENCE_FILE, "wb") as file:
                torch.save({"model": reference_state(trained, model.config)}, file)
    elif config.parallel == "fsdp":
        deque(weights, maxlen=0)  # gathering takes all ranks
    world.wait()
    return folder
