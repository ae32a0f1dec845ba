"""Where greedy decoding stops, one by one and in batches, against the reference's recordings."""

import pytest
import torch
from safetensors.torch import load_file

from hawkeye.errors import ModelError
from hawkeye.models.hawkeye.config import LanguageConfig, tiny
from hawkeye.models.hawkeye.generation import StopRule, greedy
from hawkeye.models.hawkeye.model import HawkEye

LLAMA_RULE = StopRule(eos=2, sequences=((835,), (2277, 29937)))
SIZES = {"vocab_size": 32000, "width": 16, "mlp_width": 24, "num_layers": 2, "num_heads": 2, "lora": None}


@pytest.fixture(scope="session")
def chain_model(tokenizers, recorded):
    """A language model of LLaMA's vocabulary whose every token is followed by the one that the recording's chain names."""
    told, _ = recorded("generation_stop")
    model = HawkEye.fresh(tiny(language=LanguageConfig(**{**SIZES, "width": 64})), tokenizers).eval()
    language = model.language
    with torch.no_grad():
        for layer in language.model.layers:  # what the layers add is nothing: a token's state is its embedding
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        language.lm_head.weight.zero_()
        known = sorted({int(k) for k in told["chain"]} | set(told["chain"].values()))
        language.model.embed_tokens.weight[known] = torch.eye(64)[: len(known)]
        for before, after in told["chain"].items():
            language.lm_head.weight[after] += language.model.embed_tokens.weight[int(before)]
    return model


def cases(told):
    # Three visual tokens stand between the two texts.
    return {
        name: (*case["segment_ids"][0], -1, -2, -3, *case["segment_ids"][1]) for name, case in told["cases"].items()
    }


def test_each_recorded_case(chain_model, recorded):
    told, _ = recorded("generation_stop")
    prompts = cases(told)
    assert len(prompts) == 7
    for name, prompt in prompts.items():
        (made,) = greedy(chain_model, [prompt], [0], torch.zeros(3, 64), 20, LLAMA_RULE)
        assert made == told["cases"][name]["new_tokens"], name


def test_all_cases_in_one_batch(chain_model, recorded):
    told, _ = recorded("generation_stop")
    prompts = cases(told)
    made = greedy(chain_model, list(prompts.values()), [0] * 7, torch.zeros(3, 64), 20, LLAMA_RULE)
    assert made == [told["cases"][name]["new_tokens"] for name in prompts]


def test_the_recorded_weights(shared, tokenizers, recorded):
    told, _ = recorded("generation_stop")
    weights = load_file(shared / "golden" / "model" / "generation_stop.safetensors")
    visual = weights.pop("input.video_embeds")[0]
    model = HawkEye.fresh(tiny(language=LanguageConfig(**SIZES)), tokenizers).eval()
    with torch.no_grad():
        for layer in model.language.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for name, value in weights.items():
            if "inv_freq" in name:
                continue
            model.language.get_parameter(name).copy_(value.float())
    prompts = cases(told)
    made = greedy(model, list(prompts.values()), [0] * 7, visual, 20, LLAMA_RULE)
    assert made == [told["cases"][name]["new_tokens"] for name in prompts]


def test_a_batch_decodes_as_each_prompt_alone(lora_model, make_look):
    looks = [make_look("a dog"), make_look("the woman pours water into a glass"), make_look("a dog", window=(0, 10))]
    together = lora_model.generate(looks, 12)
    assert together == [lora_model.generate([look], 12)[0] for look in looks]
    assert len(set(together)) > 1


def test_no_new_tokens_and_no_looks(lora_model, make_look):
    assert lora_model.generate([], 5) == []
    assert lora_model.generate([make_look()], 0) == [""]


def test_logits_that_are_no_numbers(build, make_look):
    model = build()
    model.language.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite numbers"):
        model.generate([make_look()], 3)
    with pytest.raises(ModelError, match="not finite numbers"):
        model.score([make_look()])
