"""examples/train_mini.py at a tiny size: it learns, and a killed run goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from hawkeye.models.class_texts import class_names
from hawkeye.synth.names import full_description

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COLOURS = ("red", "lime", "blue", "yellow", "magenta", "cyan")
SIZES = {
    "qformer": {"width": 32, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "num_queries": 3, "feature_width": 8},
    "language": {"vocab_size": 640, "width": 32, "mlp_width": 32, "num_layers": 1, "num_heads": 2,
                 "max_positions": 512, "tie_embeddings": True, "lora": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and class tables made up so that 2,000 texts need not be embedded."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "pictures").mkdir()
    rows = []
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (64, 48), colour).save(folder / "pictures" / f"{number}.png")
        rows.append({"image": f"{number}.png", "class_index": 150 * number})
    (folder / "pictures" / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "material").mkdir()
    generator = torch.Generator().manual_seed(0)
    torch.save(torch.randn(4, 1000, 384, generator=generator) / 20, folder / "material" / "tables.pt")
    texts = [*class_names(), *(full_description(i) for i in range(1000))]
    known = dict(zip(texts, torch.randn(len(texts), 384, generator=generator).half() / 20, strict=True))
    torch.save(known, folder / "material" / "train_sentences.pt")
    return folder


def test_no_picture_is_described_by_a_regression_that_knows_it(monkeypatch: pytest.MonkeyPatch):
    """Noise for captions: what is fitted on a picture finds its caption, what is not fitted on it doesn't."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from mini_views import Pictures, clutter

    generator = torch.Generator().manual_seed(0)
    features, captions = torch.rand(12, 1280, generator=generator), torch.randn(12, 384, generator=generator)
    shown = torch.arange(12)[:, None].expand(-1, 2)
    weights, texts = torch.rand(1000, 1280, generator=generator), torch.zeros(1000, 384)
    pictures = Pictures(features, shown, captions, weights, texts, [-1] * 12)
    regression, offset = pictures.fit()
    known = torch.nn.functional.normalize(features, dim=-1) @ regression + offset
    assert torch.cosine_similarity(known, captions).min() > 0.9
    assert torch.cosine_similarity(pictures.described(), captions).mean() < 0.2

    looks, rows = features[None, :4].clone(), features
    plain = clutter(looks, torch.arange(4)[None], rows, torch.Generator().manual_seed(1), most=0.0)
    assert torch.equal(plain, looks)
    mixed = clutter(looks, torch.zeros(1, 4, dtype=torch.long), rows, torch.Generator().manual_seed(1))
    assert not torch.allclose(mixed, looks, atol=1e-2)


def test_a_run_killed_in_every_stage_ends_with_the_same_weights(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(EXAMPLES)
    import train_mini

    def settings(name: str):
        values = {
            "pictures": str(cache / "pictures"), "output": str(tmp_path / name), "cache": str(cache), "device": "cpu",
            "held_out": 1, "videos": 2, "frames": [6, 8], "save_every": 1, "model": SIZES,
            "reading": {"steps": 3, "batch": 6}, "lookup": {"steps": 2, "batch": 3}, "together": {"steps": 2, "batch": 4},
        }  # fmt: skip
        return train_mini.MiniTraining.from_dict(values)

    whole = train_mini.train(settings("whole"))
    plain = dict(train_mini.LOSSES)
    for stage, losses in plain.items():
        calls = []

        def dies_at_its_second_step(*arguments, losses=losses, calls=calls):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return losses(*arguments)

        monkeypatch.setitem(train_mini.LOSSES, stage, dies_at_its_second_step)
        with pytest.raises(KeyboardInterrupt):
            train_mini.train(settings("killed"))
        monkeypatch.setitem(train_mini.LOSSES, stage, losses)
        assert torch.load(tmp_path / "killed" / f"{stage}.pt", weights_only=True)["step"] == 1
    resumed = train_mini.train(settings("killed"))
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()

    from hawkeye.models.hawkeye.mini import load

    model = load(resumed, device="cpu")
    material = train_mini.Material(
        cache / "material", train_mini.split_classes(train_mini.read_pictures(cache / "pictures"), 1)[0],
        "train", 2, 0, settings("x").class_captions,
    )  # fmt: skip
    fresh = train_mini.build(settings("fresh"), material)
    kept = {n for n, p in model.named_parameters() if torch.equal(p, fresh.get_parameter(n).half().float())}
    assert "qformer.tables" in kept
    for part in ("language.model.layers.0", "position", "projection", "qformer.layers.0", "qformer.content_query"):
        assert not any(name.startswith(part) and "weight" in name and "norm" not in name for name in kept), part
