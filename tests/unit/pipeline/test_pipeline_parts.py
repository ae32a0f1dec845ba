"""The parts: tiny CLIP and BLIP-2 made and saved here, the colours, a server, and who shares what."""

from __future__ import annotations

import http.server
import json
import threading
from typing import ClassVar

import numpy as np
import pytest
import torch

from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.pipeline import blip, clip
from hawkeye.pipeline.colours import Colours
from hawkeye.pipeline.config import CaptionsConfig, load_config
from hawkeye.pipeline.parts import (
    ModelCaptioner,
    check_names,
    has_own_scorer,
    load_captioner,
    load_embedder,
    load_scorer,
)
from hawkeye.pipeline.worker import single_threaded
from hawkeye.video.reader import Frames

from .conftest import COLOURS, QUICK


def coloured(*names: str) -> Frames:
    pixels = np.stack([np.full((40, 60, 3), COLOURS[name], dtype=np.uint8) for name in names])
    return Frames(torch.from_numpy(pixels).permute(0, 3, 1, 2), tuple(float(i) for i in range(len(names))))


@pytest.fixture(scope="module")
def noise() -> Frames:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (5, 3, 40, 60), dtype=torch.uint8, generator=generator)
    return Frames(pixels, (0.0, 1.0, 2.0, 3.0, 4.0))


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    start, end = len(tokens) - 2, len(tokens) - 1
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={
            **sizes,
            "vocab_size": len(tokens),
            "bos_token_id": start,
            "eos_token_id": end,
            "pad_token_id": end,
        },
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPModel(config).save_pretrained(folder)
    CLIPProcessor(pictures, CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))).save_pretrained(
        folder
    )
    return folder


def test_clip_gives_what_transformers_gives(tiny_clip, noise):
    from transformers import AutoProcessor, CLIPModel

    ours = clip.load(str(tiny_clip), "cpu")
    embeddings = ours.embed_frames(noise)
    assert embeddings.shape == (5, 8)
    model, processor = CLIPModel.from_pretrained(tiny_clip).eval(), AutoProcessor.from_pretrained(tiny_clip)
    texts = ["a dog", "two cats here"]
    pictures = [picture.permute(1, 2, 0).numpy() for picture in noise.pixels]
    batch = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    with torch.inference_mode():
        out = model(**batch)
        expected = out.logits_per_text / model.logit_scale.exp()
    torch.testing.assert_close(ours.similarity(embeddings, texts), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.nn.functional.normalize(embeddings, dim=-1), out.image_embeds.float(), atol=1e-5, rtol=0
    )
    assert ours.embed_frames(noise[[]]).shape[0] == 0


@pytest.mark.parametrize("load", [clip.load, blip.load])
def test_missing_weights_are_named(tmp_path, load):
    with pytest.raises(CheckpointError, match="can't be loaded as"):
        load(str(tmp_path), "cpu")


@pytest.fixture(scope="module")
def tiny_blip2(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, PreTrainedTokenizerFast
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    folder = tmp_path_factory.mktemp("blip2")
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = [
        *special.values(),
        "<image>",
        *["a", "dog", "cat", "runs", "on", "the", "red", "blue", "big", "man", "sits"],
    ]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(6)
    config = Blip2Config(
        vision_config={**sizes, "intermediate_size": 32, "image_size": 32, "patch_size": 16},
        qformer_config={**sizes, "vocab_size": len(words), "intermediate_size": 32, "encoder_hidden_size": 16},
        text_config={
            **{**sizes, "model_type": "opt", "vocab_size": len(words), "ffn_dim": 32, "word_embed_proj_dim": 16},
            **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64},
        },
        num_query_tokens=4,
        image_token_index=4,
    )
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    processor = Blip2Processor(
        pictures, PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special), num_query_tokens=4
    )
    processor.save_pretrained(folder)
    return folder


def test_blip2_captions_the_middle_picture(tiny_blip2, noise):
    captioner = blip.load(str(tiny_blip2), "cpu", CaptionsConfig(max_new_tokens=5))
    captions = captioner.caption([noise[:1], noise, noise[[2]]])
    assert len(captions) == 3
    assert captions[1] == captions[2]  # of five pictures the third
    assert all(0 < len(caption.split()) <= 5 for caption in captions)


def test_colours():
    colours = Colours()
    frames = coloured("red", "blue", "green")
    embeddings = colours.embed_frames(frames)
    assert embeddings.shape == (3, 44)
    torch.testing.assert_close(
        colours.similarity(embeddings, ["red and blue things", "nothing"]), torch.tensor([[1.0, 1.0, 0], [0, 0, 0]])
    )
    assert colours.caption([frames[:1], frames[:2]]) == [
        "a picture that is mostly red",
        "a picture that is mostly red and blue",
    ]
    with pytest.raises(ConfigError, match="the part colours has none"):
        load_embedder(load_config(overrides=["similarity.embedder=colours", "similarity.weights=x"]))


def test_the_embedded_model_plays_all_parts_once():
    config = load_config()
    check_names(config)
    embedder = load_embedder(config)
    captioner = load_captioner(config)
    assert isinstance(captioner, ModelCaptioner)
    assert load_scorer(config) is embedder
    assert captioner._model is embedder
    assert not has_own_scorer(config)
    assert has_own_scorer(load_config(overrides=["scores.scorer=clip"]))
    with single_threaded():
        captions = captioner.caption([coloured("red"), coloured("blue", "green")])
    assert len(captions) == 2
    assert all(caption.startswith("a video of ") for caption in captions)
    scores = embedder.similarity(embedder.embed_frames(coloured("red", "blue")), captions)
    assert scores.shape == (2, 2)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers like a chat server and remembers what it was asked."""

    asked: ClassVar[list[dict]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.asked.append(body)
        reply = json.dumps({"choices": [{"message": {"content": " A bar moves. "}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *arguments): ...


@pytest.mark.enable_socket
def test_a_server_sees_several_pictures_and_when_they_were_taken():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1#tiny"
        overrides = ["captions.captioner=openai", f"captions.weights={url}", "captions.prompt=What happens?"]
        captioner = load_captioner(load_config(overrides=[*QUICK, *overrides]))
        frames = Frames(coloured("red", "blue", "green").pixels, (10.0, 10.5, 11.0))
        assert captioner.caption([frames]) == [" A bar moves. "]
    finally:
        server.shutdown()
        server.server_close()
    content = Handler.asked[0]["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 3 + ["text"]
    assert content[-1]["text"].splitlines() == [
        "The video contains 3 frames sampled at 0.0, 0.5, 1.0 seconds.",
        "What happens?",
    ]
    assert Handler.asked[0]["max_tokens"] == 40


def test_a_chat_model_cannot_compare_frames():
    with pytest.raises(ConfigError, match="does not compare single frames"):
        load_embedder(load_config(overrides=["similarity.embedder=openai", "similarity.weights=http://x/v1#m"]))
