"""The small model's parts at a tiny size, and the whole through the interfaces that all models share."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import sentencepiece
import torch

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.base import FrameTextModel, Look, VideoLanguageModel
from hawkeye.models.hawkeye.config import LanguageConfig
from hawkeye.models.hawkeye.mini import MiniHawkEye, QueryPrompt, asked, fresh_mini, load, save_mini
from hawkeye.models.hawkeye.mini_config import FrameEncoderConfig, MatchingConfig, hawkeye_mini
from hawkeye.models.hawkeye.mini_qformer import NUM_MATCHES, NUM_TABLES, VIEW_SCALE, matches, views
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer
from hawkeye.prompts import GROUNDING_INSTRUCTION, grounding_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import Frames

WIDTH = FrameEncoderConfig().width
SIZES = {
    "num_frames": 6,
    "qformer": MatchingConfig(width=32, num_layers=2, num_heads=2, mlp_width=32, num_queries=3, feature_width=8),
    "language": LanguageConfig(
        vocab_size=330,
        width=32,
        mlp_width=32,
        num_layers=2,
        num_heads=2,
        max_positions=512,
        tie_embeddings=True,
        lora=None,
    ),
}


class OneHot:
    """Sentence embeddings by first letter, so that no network is needed."""

    def encode(self, texts):
        return torch.eye(384)[[ord(text[0]) % 384 for text in texts]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> SentencePieceTokenizer:
    made = io.BytesIO()
    texts = [
        GROUNDING_INSTRUCTION,
        *OPTION_TEXT.values(),
        "###Human: <Video></Video> a dog runs ###Assistant: Best option: (",
    ]
    sentencepiece.SentencePieceTrainer.train(  # type: ignore[attr-defined]
        sentence_iterator=iter(texts * 5), model_writer=made, model_type="bpe", vocab_size=330, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(made.getvalue())
    return SentencePieceTokenizer(path)


@pytest.fixture(scope="module")
def model(tokenizer: SentencePieceTokenizer) -> MiniHawkEye:
    generator = torch.Generator().manual_seed(0)
    tables = torch.nn.functional.normalize(torch.randn(NUM_TABLES, 1000, 384, generator=generator), dim=-1)
    made = fresh_mini(hawkeye_mini(**SIZES), tokenizer, tables).eval()
    made._sentences.append(OneHot())  # type: ignore[arg-type]
    with torch.no_grad():  # as they start, weights are so small that all videos look alike
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1 and not name.endswith("tables"):
                parameter.mul_(4)
    return made


class NoNetwork(torch.nn.Module):
    """Stands for the ImageNet network: features and logits that depend on each frame's mean colour alone."""

    def forward(self, pixels):
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(3, WIDTH, generator=generator)
        return pixels.float().mean(dim=(-2, -1)) / 100 @ weights


@pytest.fixture
def seeing(model: MiniHawkEye, monkeypatch: pytest.MonkeyPatch) -> MiniHawkEye:
    monkeypatch.setitem(model._modules, "vision", NoNetwork())
    return model


def _look(query: str = "a dog runs", seed: int = 0, frames: int = 6) -> Look:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (frames, 3, 8, 8), dtype=torch.uint8, generator=generator)
    times = [float(i) for i in range(frames)]
    options = option_lines([OPTION_TEXT[c] for c in Choice])
    return Look(
        f"video {seed}", 6.0, Span(0, 6), Frames(pixels, tuple(times)), query,
        grounding_prompt(query, options, times), tuple(options), tuple(Choice),
    )  # fmt: skip


def test_matches_find_the_class_that_the_sentence_names():
    tables = torch.eye(384)[torch.arange(1000) % 384].expand(NUM_TABLES, -1, -1)
    logits = torch.zeros(1, 5, 1000)
    logits[0, 3, 7] = 12.0  # the fourth frame shows class 7
    found = matches(logits, tables[0, 7][None], tables)
    assert found.shape == (1, 5, NUM_MATCHES)
    assert (found[0].argmax(dim=0) == 3).all()
    # What every class has more of says nothing about any.
    assert torch.allclose(matches(logits + 5, tables[0, 7][None], tables), found, atol=1e-4)


def test_views_find_the_frame_and_hide_the_own_caption():
    generator = torch.Generator().manual_seed(0)
    tables = torch.nn.functional.normalize(torch.randn(NUM_TABLES, 1000, 384, generator=generator), dim=-1)
    logits, described = torch.zeros(1, 5, 1000), torch.randn(1, 5, 384, generator=generator)
    logits[0, 3, 7] = 60.0
    described[0, 3] = tables[2, 7]
    found = views(logits, described, tables[2, 7][None], tables)
    assert (found[0].argmax(dim=0) == 3).all()
    assert torch.allclose(found[0, 3], torch.full((3,), VIEW_SCALE), atol=1e-3)
    hidden = views(logits, described, tables[2, 7][None], tables, torch.tensor([7]))
    name = views(logits, described, tables[0, 7][None], tables, torch.tensor([7]))
    assert abs(hidden[0, 3, 0]) < VIEW_SCALE / 2  # the class now goes by its name alone
    assert name[0, 3, 0] == pytest.approx(VIEW_SCALE, abs=1e-3)
    assert torch.allclose(views(logits, described, tables[2, 7][None], tables, torch.tensor([-1])), found)


def test_reading_does_not_depend_on_the_rest_of_the_batch(model: MiniHawkEye):
    generator = torch.Generator().manual_seed(2)
    features, sentences = torch.randn(3, 9, WIDTH, generator=generator), torch.randn(3, 384, generator=generator)
    whole = model.read(features, sentences)
    alone = model.read(features[1:2], sentences[1:2])
    assert whole.inside.shape == (3, 9)
    for name in ("queries", "inside", "choice", "found"):
        assert torch.allclose(getattr(whole, name)[1:2], getattr(alone, name), atol=1e-5)


def test_the_first_visual_token_is_the_held_choice(model: MiniHawkEye):
    generator = torch.Generator().manual_seed(2)
    reading = model.read(torch.randn(1, 4, WIDTH, generator=generator), torch.randn(1, 384, generator=generator))
    surely = torch.eye(4)[[2]]
    assert torch.equal(model.tokens_of(reading, surely)[0, 0], model.position.weight[2])
    assert torch.allclose(model.tokens_of(reading)[0, 0], reading.choice.softmax(-1)[0] @ model.position.weight)


def test_the_qformer_is_told_the_query_and_the_language_model_the_instruction():
    look = asked([_look()])[0]
    assert isinstance(look.prompt, QueryPrompt)
    assert look.prompt.instruction == "a dog runs"
    plain = replace(_look().prompt, message="")
    assert look.prompt.before_video == plain.before_video
    assert look.prompt.after_video == plain.after_video


def test_it_meets_both_interfaces_and_scores_looks_alone_or_together(seeing: MiniHawkEye):
    assert isinstance(seeing, VideoLanguageModel)
    assert isinstance(seeing, FrameTextModel)
    looks = [_look(), _look("cats sleep"), _look(seed=1)]
    together = seeing.score(looks)
    for look, row in zip(looks, together, strict=True):
        assert sum(torch.tensor(row).exp()) == pytest.approx(1.0)
        assert row == pytest.approx(seeing.score([look])[0], abs=1e-4)
    assert together[0] != pytest.approx(together[1], abs=1e-4)
    assert together[0] != pytest.approx(together[2], abs=1e-4)
    assert all(isinstance(reply, str) for reply in seeing.generate(looks, max_new_tokens=3))


def test_the_curve_has_a_value_for_each_frame_and_text(seeing: MiniHawkEye):
    embedded = seeing.embed_frames(_look(frames=11).frames)
    curve = seeing.similarity(embedded, ["a dog", "cats"])
    assert curve.shape == (2, 11)
    assert not torch.allclose(curve[0], curve[1])


def test_saving_and_loading_gives_the_same_answers(seeing: MiniHawkEye, tmp_path: Path):
    again = load(save_mini(seeing, tmp_path / "model"), device="cpu")
    again._sentences.append(OneHot())  # type: ignore[arg-type]
    again._modules["vision"] = NoNetwork()
    # Weights are stored in half precision: errors grow with the score.
    assert again.score([_look()])[0] == pytest.approx(seeing.score([_look()])[0], rel=2e-3, abs=0.02)
    assert not any(p.requires_grad for p in again.parameters())
    names = {path.name: path.stat().st_size for path in (tmp_path / "model").iterdir()}
    assert set(names) == {"config.json", "model.safetensors", "tokenizer.model"}


def test_broken_folders_are_told_apart(seeing: MiniHawkEye, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"has no config\.json, model\.safetensors, tokenizer\.model"):
        load(tmp_path, device="cpu")
    folder = save_mini(seeing, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: can't be read"):
        load(folder, device="cpu")
    save_mini(seeing, folder)
    changed = (folder / "config.json").read_text().replace('"num_queries": 3', '"num_queries": 4')
    (folder / "config.json").write_text(changed)
    with pytest.raises(CheckpointError, match=r"is not a hawkeye-mini of the size in config\.json"):
        load(folder, device="cpu")
    with pytest.raises(ConfigError, match="the model mini has no option speed"):
        load(folder, device="cpu", speed=2)
