"""Every form that weights come in, and the account of each parameter."""

import json
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from hawkeye.errors import CheckpointError, ConfigError
from hawkeye.models.hawkeye.checkpoint import plain_shapes, rename
from hawkeye.models.hawkeye.config import PRESETS, HawkEyeConfig, tiny
from hawkeye.models.hawkeye.convert import _settings as from_llama_folder
from hawkeye.models.hawkeye.folder import save_folder
from hawkeye.models.hawkeye.load import load_7b, load_folder
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tensors import read_tensors


class EasyDict(dict):
    """As the reference's settings object: a dict whose keys are attributes as well."""

    def __init__(self, **values) -> None:
        super().__init__(**values)
        self.__dict__.update(values)


def test_published_layout_converts_and_answers_alike(
    layout, tmp_path, lora_model, make_look, convert_tiny, same_answers
):
    report, warnings = convert_tiny([layout], tmp_path / "out")
    assert warnings == []
    assert report.coverage() == {"language": 1.0, "lora": 1.0, "projection": 1.0, "qformer": 1.0, "vision": 1.0}
    assert len(report.loaded) == 175
    assert "cut from 641 to 640 rows" in str(report)
    assert len(report.ignored) == 5  # position_ids, and rotary frequencies in both files
    same_answers(load_folder(tmp_path / "out", device="cpu"), lora_model, make_look())
    assert all(path.stat().st_mode & 0o044 for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_the_layout_loads_as_it_is(tmp_path, golden, reference, lora_model, make_look, kind, write_llama, same_answers):
    folder, base = tmp_path, tmp_path / "vicuna-7b-v0"
    base.mkdir()
    write_llama(base, kind)
    torch.save({"model": reference, "epoch": 3}, folder / "hawkeye.pth")
    (folder / "vocab.txt").write_bytes((golden / "model" / "bert_vocab.txt").read_bytes())
    changes = {"vision": tiny().vision.model_dump(), "qformer": tiny().qformer.model_dump()}
    changes["language"] = tiny().language.model_dump()
    model = load_7b(folder, device="cpu", changes=changes, decoding="exact")
    assert model.decoding == "exact"
    assert not any(p.requires_grad for p in model.parameters())
    same_answers(model, lora_model, make_look())


def variants(reference):
    extra = {**reference, "vision_encoder.encoder.blocks.23.norm1.weight": torch.ones(32)}
    short = OrderedDict((k.replace(".default", ""), v) for k, v in reference.items())
    bare = {k: v for k, v in reference.items() if "inv_freq" not in k and "position_ids" not in k}
    peft = {k.replace("base_model.model.", "") if "lora" in k else k: v for k, v in reference.items()}
    settings = EasyDict(model=EasyDict(name="x", lr=1e-4), path=Path("a"), args=Namespace(seed=1))
    return {
        "bare": reference,
        "under model": {"model": reference, "optimizer": {"state": {}, "lr": 0.1}, "epoch": 2},
        "no adapter name": short,
        "no buffers": bare,
        "block 23": extra,
        "unwrapped": peft,
        "pickled settings": {"model": reference, "config": settings},
    }


@pytest.mark.parametrize("name", list(variants({"x": torch.zeros(1)})))
def test_forms_of_hawkeye_pth(layout, tmp_path, reference, lora_model, name, convert_tiny):
    torch.save(variants(reference)[name], layout / "hawkeye.pth")
    report, _ = convert_tiny([layout], tmp_path / "out")
    assert len(report.loaded) == 175
    written = read_tensors(tmp_path / "out")
    for plain, parameter in lora_model.plain_parameters():
        torch.testing.assert_close(written[plain], parameter.detach())


def test_an_old_torch_file(layout, tmp_path, reference, convert_tiny):
    torch.save(reference, layout / "hawkeye.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(layout / "hawkeye.pth")
    report, _ = convert_tiny([layout], tmp_path / "out")
    assert len(report.loaded) == 175


def test_videochat2_stages_lie_over_each_other(layout, tmp_path, reference, convert_tiny):
    """Stage 1 brings the tower and an older Q-Former, stage 2 a newer one; adapters and extra queries are yet to be trained."""
    first = {k: v for k, v in reference.items() if k.startswith("vision")}
    heads = {"vision_proj.weight": torch.ones(4, 32), "itm_head.bias": torch.ones(2), "temp": torch.ones(())}
    older = {
        k: v + 1 for k, v in reference.items() if k.startswith(("qformer", "query_tokens")) and v.is_floating_point()
    }
    second = {k: v for k, v in reference.items() if k.startswith(("qformer", "query_tokens", "llama_proj"))}
    torch.save({**first, **heads, **older}, tmp_path / "umt_l16_qformer.pth")
    torch.save({"model": second}, tmp_path / "videochat2_7b_stage2.pth")
    sources = [layout / "vicuna-7b-v0", tmp_path / "umt_l16_qformer.pth", tmp_path / "videochat2_7b_stage2.pth"]
    with pytest.raises(CheckpointError, match=r"9 parameters are missing \(qformer.extra_query_tokens"):
        convert_tiny(sources, tmp_path / "out")
    report, _ = convert_tiny(sources, tmp_path / "out", fresh=["lora", "extra_query_tokens"])
    assert len(report.fresh) == 9
    written = read_tensors(tmp_path / "out")
    assert torch.equal(written["qformer.query_tokens"], reference["query_tokens"])
    model = load_folder(tmp_path / "out", device="cpu", adapters="keep")
    assert any("lora_A" in name for name, _ in model.named_parameters())
    assert any(p.requires_grad for p in model.parameters())


def test_lower_precision_and_many_parts(layout, tmp_path, lora_model, make_look, monkeypatch, convert_tiny):
    import hawkeye.models.hawkeye.convert as module

    monkeypatch.setattr(module, "PART_BYTES", 100_000)
    convert_tiny([layout], tmp_path / "out", dtype=torch.bfloat16)
    parts = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(parts) > 3
    assert parts[0] == f"model-00001-of-{len(parts):05d}.safetensors"
    assert not list((tmp_path / "out").glob(".part*"))
    model = load_folder(tmp_path / "out", device="cpu", dtype="float32")
    assert model.score([make_look()])[0] == pytest.approx(lora_model.score([make_look()])[0], abs=0.5)
    (tmp_path / "out" / parts[1]).unlink()
    with pytest.raises(CheckpointError, match=f"names 1 files that are missing: {parts[1]}"):
        load_folder(tmp_path / "out", device="cpu")


def test_a_saved_model_is_the_same_model(lora_model, tmp_path, make_look, same_answers):
    save_folder(lora_model, tmp_path / "m")
    kept = load_folder(tmp_path / "m", device="cpu", adapters="keep")
    for (name, a), (other, b) in zip(lora_model.named_parameters(), kept.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    assert kept.config == lora_model.config
    save_folder(load_folder(tmp_path / "m", device="cpu"), tmp_path / "m")  # over itself, merged now
    same_answers(load_folder(tmp_path / "m", device="cpu"), lora_model, make_look())


def test_settings_may_be_changed(lora_model, tmp_path):
    save_folder(lora_model, tmp_path)
    model = load_folder(tmp_path, device="cpu", changes={"bos_quirk": True, "qformer": {"dropout": 0.0}})
    assert model.config.bos_quirk
    assert model.config.qformer.dropout == 0
    assert model.config.qformer.width == 32
    with pytest.raises(ConfigError, match=r"qformer.width_: unknown key, did you mean width"):
        load_folder(tmp_path, device="cpu", changes={"qformer": {"width_": 3}})
    with pytest.raises(CheckpointError, match="shapes differ"):
        load_folder(tmp_path, device="cpu", changes={"language": {"lora": {"rank": 3}}})


def test_another_device_for_the_tower_and_offloading(lora_model, tmp_path, make_look, same_answers):
    save_folder(lora_model, tmp_path)
    model = load_folder(tmp_path, device="cpu", vision_device="cpu", offload=True)
    assert next(model.language.model.layers[0].parameters()).is_meta  # not there until it is needed
    same_answers(model, lora_model, make_look())
    assert model.generate([make_look()], 4) == lora_model.generate([make_look()], 4)


def test_presets_are_what_the_files_say(golden):
    folder = Path(__file__).parents[4] / "configs" / "model"
    assert {path.stem for path in folder.glob("hawkeye-*.yaml")} >= set(PRESETS)
    for name, preset in PRESETS.items():
        assert HawkEyeConfig.from_yaml(folder / f"{name}.yaml") == preset()
    told = json.loads((golden / "model" / "tiny_config.json").read_text())["state_dict"]
    shapes = {rename(name): tuple(shape) for name, (_, shape) in told.items() if rename(name)}
    with torch.device("meta"):
        assert plain_shapes(HawkEye(tiny(), lora=False)) == shapes


def test_sizes_come_from_the_language_models_own_settings(layout, write_llama):
    base = layout / "vicuna-7b-v0"
    write_llama(base, vocab_size=32001, num_key_value_heads=2)
    language = from_llama_folder([base]).language
    assert (language.vocab_size, language.width, language.num_layers, language.num_kv_heads) == (32000, 64, 2, 2)
    assert from_llama_folder([]).language == PRESETS["hawkeye-7b"]().language


@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_quantized_answers_are_near(tokenizers, tmp_path, make_look, kind):
    pytest.importorskip("bitsandbytes")
    language = tiny().language.model_copy(update={"width": 128, "mlp_width": 256})  # its kernels want multiples of 32
    save_folder(HawkEye.fresh(tiny(language=language), tokenizers), tmp_path)
    exact = load_folder(tmp_path, device="cpu").score([make_look()])[0]
    model = load_folder(tmp_path, device="cpu", quantize=kind)
    assert "bit" in type(model.language.model.layers[0].mlp.up_proj).__name__
    assert model.score([make_look()])[0] == pytest.approx(exact, abs=1.0)
    assert len(model.generate([make_look()], 3)) == 1
