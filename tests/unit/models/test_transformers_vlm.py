"""A tiny LLaVA with random weights, saved and loaded as any Hugging Face chat model is."""

import pytest
import torch

from hawkeye.choices import Choice, option_lines
from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.base import Look, load_model
from hawkeye.prompts import grounding_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} reply: {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    characters = [chr(c) for c in range(32, 127)] + ["Ċ", "Ġ"]
    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<image>", *characters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(
        pictures, tokenizer, patch_size=16, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )  # fmt: skip
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    text = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=len(vocabulary)
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"])
    model = LlavaForConditionalGeneration(config)
    out = tmp_path_factory.mktemp("llava")
    processor.save_pretrained(out)
    model.save_pretrained(out)
    return out


def look(brightness=0):
    options = tuple(option_lines(["one", "two", "three", "four"]))
    frames = Frames(torch.full((3, 3, 40, 50), brightness, dtype=torch.uint8), (0.5, 1.5, 2.5))
    return Look(
        "v", 3.0, Span(0, 3), frames, "a", grounding_prompt("a", options, (0.5, 1.5, 2.5)), options, tuple(Choice)
    )


def test_scores_and_replies(folder):
    model = load_model("hf", weights=folder, device="cpu")
    dark, bright = model.score([look(0), look(255)])
    assert sum(torch.tensor(dark).exp()) == pytest.approx(1.0, abs=1e-5)
    assert dark != bright, "the pictures must matter"
    assert len(model.generate([look()], max_new_tokens=4)) == 1


def test_score_is_the_next_token_probability(folder):
    model = load_model("hf", weights=folder, device="cpu")
    one = look()
    text = model._chat(one) + "Best option: ("
    full = [model._inputs(one, text + name)["input_ids"][0, -1].item() for name in "ABCD"]
    logits = model.model(**model._inputs(one, text)).logits[0, -1]
    assert model.score([one])[0] == pytest.approx(torch.log_softmax(logits[full], 0).tolist(), abs=1e-5)


def test_what_is_not_a_model(tmp_path):
    with pytest.raises(CheckpointError, match="can't be loaded"):
        load_model("hf", weights=tmp_path)
    with pytest.raises(ConfigError, match="--weights"):
        load_model("hf")
