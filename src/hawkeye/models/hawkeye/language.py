"""The language model: LLaMA as transformers builds it, LoRA as peft builds it, and one set of parameter names for both.

``build`` makes it without weights where the caller says (the meta device too). Names in files never depend on whether LoRA
is attached: ``plain_name`` and ``attached_name`` translate. Not here: tokens, prompts, decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import LanguageConfig, LoRAConfig
from hawkeye.models.hawkeye.packed import ATTENTION_NAME
from hawkeye.runtime import require

ADAPTER = "default"  # peft's name for the only adapter


def build_language(config: LanguageConfig) -> Any:
    """A `LlamaForCausalLM` with the attention of `packed`, without LoRA and with whatever weights its constructor gives."""
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.width,
        intermediate_size=config.mlp_width,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads or config.num_heads,
        max_position_embeddings=config.max_positions,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.tie_embeddings,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        use_cache=False,
    )
    settings._attn_implementation = ATTENTION_NAME
    return LlamaForCausalLM(settings)


def settle(language: Any, device: torch.device) -> None:
    """After building on the meta device: compute the rotary frequencies, which are no weights, and tie what is tied."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    with torch.device(device):
        language.model.rotary_emb = LlamaRotaryEmbedding(language.config)
    if language.config.tie_word_embeddings:
        language.lm_head.weight = language.model.embed_tokens.weight


def attach_lora(language: nn.Module, config: LoRAConfig) -> None:
    """Put adapters beside the target layers, in place. Everything but the adapters stops being trainable."""
    from peft import LoraConfig, inject_adapter_in_model

    names = {name.rsplit(".", 1)[-1] for name, _ in language.named_modules()}
    missing = sorted(set(config.targets) - names)
    if missing:
        raise ConfigError(f"language.lora.targets: the language model has no layer {', '.join(missing)}")
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        bias="none",
    )
    inject_adapter_in_model(settings, language)


def lora_layers(language: nn.Module) -> dict[str, Any]:
    """The layers that carry an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in language.named_modules() if isinstance(module, LoraLayer)}


@torch.no_grad()
def merge_lora(language: nn.Module) -> int:
    """Add the adapters to the weights beside them and remove them, in place; returns how many there were."""
    layers = lora_layers(language)
    for name, layer in layers.items():
        layer.merge(safe_merge=False)
        parent, _, last = name.rpartition(".")
        setattr(language.get_submodule(parent), last, layer.get_base_layer())
    return len(layers)


def plain_name(name: str) -> str:
    """``...q_proj.base_layer.weight`` -> ``...q_proj.weight``; ``...lora_A.default.weight`` -> ``...lora_A.weight``."""
    return name.replace(".base_layer.", ".").replace(f".{ADAPTER}.", ".")


def quantize(language: nn.Module, kind: str) -> None:
    """Replace the linear layers (not the head) by bitsandbytes' 8-bit or 4-bit ones, in place; they quantize when moved.

    Raises ConfigError for another kind, MissingDependency without bitsandbytes.
    """
    if kind not in ("8bit", "4bit"):
        raise ConfigError(f"quantize is {kind!r}: expected 8bit or 4bit")
    bnb = require("bitsandbytes")
    linear = [(name, module) for name, module in language.named_modules() if type(module) is nn.Linear]
    for name, module in linear:
        if name.endswith("lm_head"):
            continue
        parent, _, last = name.rpartition(".")
        sizes = (module.in_features, module.out_features)
        with torch.device("meta"):
            if kind == "8bit":
                small = bnb.nn.Linear8bitLt(*sizes, bias=False, has_fp16_weights=False)
            else:
                small = bnb.nn.Linear4bit(*sizes, bias=False, compute_dtype=module.weight.dtype, quant_type="nf4")
        weight = module.weight.data.contiguous()
        if kind == "8bit":
            small.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
        else:
            small.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
        setattr(language.get_submodule(parent), last, small)
