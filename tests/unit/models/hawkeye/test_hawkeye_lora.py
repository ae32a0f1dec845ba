"""Adapters against the reference's recordings: logits, losses, gradients, what learns, and merging."""

import pytest
import torch

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.checkpoint import plain_shapes, rename
from hawkeye.models.hawkeye.config import LoRAConfig, tiny
from hawkeye.models.hawkeye.language import attach_lora, merge_lora, plain_name
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.prompts import Conversation

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


@pytest.fixture(scope="session")
def batch(lora_model, recorded, hash_uniform):
    told, _ = recorded("lora")
    items = told["conv_lora"]["items"]
    conversations = [Conversation(item["text"], item["qformer_instruction"]) for item in items]
    return lora_model.training_batch(conversations, hash_uniform((2, 4, 3, 32, 32), 300))


@pytest.mark.parametrize("bos_quirk", [False, True])
def test_losses(build, batch, recorded, bos_quirk):
    _, tensors = recorded("lora")
    kind = "" if bos_quirk else "_true_bos"
    with torch.inference_mode():
        out = build(lora=True, bos_quirk=bos_quirk)(batch)
    torch.testing.assert_close(out.loss, tensors[f"conv_lora.loss{kind}"][0], **CLOSE)
    torch.testing.assert_close(out.token_log_probs, tensors[f"conv_lora.token_logprob{kind}"], **CLOSE)


def test_logits_also_when_merged(build, batch, recorded):
    _, tensors = recorded("lora")
    model = build(lora=True, bos_quirk=True)
    with torch.inference_mode():
        apart = model.language.lm_head(model.hidden_states(batch))
        torch.testing.assert_close(apart[:, ::8], tensors["conv_lora.logits"], **CLOSE)
        assert merge_lora(model.language) == 4
        merged = model.language.lm_head(model.hidden_states(batch))
    torch.testing.assert_close(merged, apart, **CLOSE)
    assert not any("lora" in name or "base_layer" in name for name, _ in model.named_parameters())


def test_gradients(build, batch, recorded):
    told, tensors = recorded("lora")
    model = build(lora=True, bos_quirk=True)
    names = model.set_trainable()
    model(batch).loss.backward()
    grads = {plain_name(name): p.grad for name, p in model.named_parameters() if p.grad is not None}
    norms = told["grad_l2_norms_eval_mode"]
    assert set(grads) == {rename(name) for name in norms} == {plain_name(name) for name in names}
    for name, norm in norms.items():
        assert float(grads[rename(name)].norm()) == pytest.approx(norm, abs=2e-6, rel=1e-4), name
    for name, grad in tensors.items():
        if name.startswith("grad."):
            torch.testing.assert_close(grads[rename(name.removeprefix("grad."))], grad, atol=2e-6, rtol=1e-4)


def test_what_learns_with_a_frozen_qformer(build, recorded):
    told, _ = recorded("lora")
    names = build(lora=False).set_trainable(qformer=False, language="frozen")
    assert set(names) == {rename(name) for name in told["requires_grad_when_freeze_qformer"]}


def test_what_learns_with_a_free_vision_tower(build, recorded):
    told, _ = recorded("lora")
    names = build(lora=True).set_trainable(vision=True)
    assert sum(name.startswith("vision.") for name in names) == told["n_trainable_vision_when_freeze_vit_false"]


def test_a_frozen_tower_stays_in_evaluation_mode(build, recorded):
    told = recorded("lora")[0]["train_mode_after_model.train()"]
    model = build(lora=True)
    model.set_trainable()
    model.train()
    assert told == {
        "vision_encoder": model.vision.blocks.training,
        "vision_layernorm": model.vision.norm.training,
        "qformer": model.qformer.training,
        "llama": model.language.training,
    }
    model.set_trainable(vision=True)
    assert model.train().vision.training


def test_names_are_those_that_the_reference_saves(lora_model, recorded):
    told, _ = recorded("lora")
    shapes = plain_shapes(lora_model)
    saved = {rename(name): tuple(shape) for name, (_, shape) in told["saved_keys"].items()}
    saved.pop(None, None)
    assert set(saved.items()) <= set(shapes.items())
    everything = {rename(name) for name in told["all_state_dict_keys"]} - {None}
    assert everything == set(shapes)


def test_dropout_and_checkpointing_in_training(build, batch):
    model = build(lora=True)
    model.set_trainable()
    model.train()
    losses = []
    for checkpointing in (False, True):
        model.set_gradient_checkpointing(checkpointing)
        torch.manual_seed(7)
        model.zero_grad()
        out = model(batch)
        out.loss.backward()
        losses.append((float(out.loss.detach()), model.qformer.query_tokens.grad.clone()))
    assert losses[0][0] == pytest.approx(losses[1][0], abs=1e-6)
    torch.testing.assert_close(losses[0][1], losses[1][1])
    torch.manual_seed(8)
    assert float(model(batch).loss.detach()) != pytest.approx(losses[0][0], abs=1e-6)


def test_adapters_need_layers_that_are_there(build):
    with pytest.raises(ConfigError, match="the language model has no layer w_proj"):
        attach_lora(build().language, LoRAConfig(targets=("q_proj", "w_proj")))
    with pytest.raises(ConfigError, match="needs a model with adapters"):
        build(lora=False).set_trainable(language="lora")


def test_fresh_adapters_change_nothing(tokenizers, batch):
    model = HawkEye.fresh(tiny(), tokenizers).eval()
    with torch.inference_mode():
        before = model(batch).loss
        merge_lora(model.language)
        torch.testing.assert_close(model(batch).loss, before)
