"""examples/train_mini.py at a tiny size: it learns, and a killed run goes on as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

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
    torch.save(torch.randn(2, 1000, 384, generator=generator) / 20, folder / "material" / "tables.pt")
    return folder


def test_an_interrupted_run_ends_with_the_same_weights(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import train_mini

    def settings(name: str):
        values = {
            "pictures": str(cache / "pictures"), "output": str(tmp_path / name), "cache": str(cache), "device": "cpu",
            "held_out": 1, "videos": 2, "steps": 4, "batch": 6, "language_rows": 3, "caption_rows": 1, "question_rows": 1,
            "frames": [6, 8], "save_every": 1, "model": SIZES,
        }  # fmt: skip
        return train_mini.MiniTraining.from_dict(values)

    whole = train_mini.train(settings("whole"))
    plain_losses = train_mini.losses

    def dies_at_step_three(model, material, config, step):
        if step == 2:
            raise KeyboardInterrupt
        return plain_losses(model, material, config, step)

    monkeypatch.setattr(train_mini, "losses", dies_at_step_three)
    with pytest.raises(KeyboardInterrupt):
        train_mini.train(settings("killed"))
    monkeypatch.setattr(train_mini, "losses", plain_losses)
    assert torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["step"] == 2
    resumed = train_mini.train(settings("killed"))
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()

    from hawkeye.models.hawkeye.mini import load

    model = load(resumed, device="cpu")
    assert model.config.num_visual_tokens == 3
    fresh = train_mini.build(settings("fresh"), train_mini.Material(settings("fresh"), *_pictures(cache, train_mini)))
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, fresh.get_parameter(n))]
    assert any(name.startswith("language") for name in changed)
    assert any(name.startswith("qformer.layers") for name in changed)
    assert torch.allclose(model.qformer.tables, fresh.qformer.tables.half().float())


def _pictures(cache: Path, train_mini):
    pictures, _ = train_mini.split_classes(train_mini.read_pictures(cache / "pictures"), 1)
    return pictures, "train", 2, 0
