"""Every form that weights come in, every way in which they can be wrong, and the account of each parameter."""

import json
import os
import zipfile
from argparse import Namespace
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hawkeye.errors import CheckpointError, ConfigError, MissingDependency
from hawkeye.models.hawkeye import placement, published
from hawkeye.models.hawkeye.checkpoint import allow_fresh, collect, plain_shapes, rename
from hawkeye.models.hawkeye.config import PRESETS, HawkEyeConfig, tiny
from hawkeye.models.hawkeye.convert import _settings as from_llama_folder
from hawkeye.models.hawkeye.convert import convert
from hawkeye.models.hawkeye.folder import CONFIG_FILE, save_folder
from hawkeye.models.hawkeye.language import quantize
from hawkeye.models.hawkeye.load import load_7b, load_folder
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.published import describe_weights
from hawkeye.models.hawkeye.tensors import read_tensors, write_tensors


class EasyDict(dict):
    """As the reference's settings object: a dict whose keys are attributes as well."""

    def __init__(self, **values) -> None:
        super().__init__(**values)
        self.__dict__.update(values)


@pytest.fixture(scope="session")
def reference(golden) -> dict[str, torch.Tensor]:
    """The tiny model under the reference's names: what its hawkeye.pth would hold, adapters included."""
    base = load_file(golden / "model" / "tiny_state.safetensors")
    adapters = load_file(golden / "model" / "tiny_lora_checkpoint.safetensors")
    rest = {k: v for k, v in base.items() if not k.startswith("llama_model.")}
    return {**rest, **{k: v for k, v in adapters.items() if "lora_" in k or "inv_freq" in k}}


@pytest.fixture
def layout(tmp_path, golden, reference) -> Path:
    """A folder as a user has it after fetching the published files, at tiny size."""
    folder, base = tmp_path / "model", tmp_path / "model" / "vicuna-7b-v0"
    base.mkdir(parents=True)
    torch.save(reference, folder / "hawkeye.pth")
    write_llama(base, golden)
    return folder


def write_llama(base: Path, golden: Path, kind: str = "safetensors", **settings) -> None:
    """The tiny language model as transformers lays it out: 641 rows, in two files."""
    told = json.loads((golden / "model" / "tiny_config.json").read_text())["llama"]
    state = load_file(golden / "model" / "tiny_state.safetensors")
    language = {k.removeprefix("llama_model."): v for k, v in state.items() if k.startswith("llama_model.")}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        language[name] = torch.cat([language[name], torch.full((1, 64), 9.0)])
    names = sorted(language)
    stem, suffix = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
    homes = {}
    for i, part in enumerate((names[:9], names[9:])):
        file = f"{stem}-0000{i + 1}-of-00002.{suffix}"
        tensors = {name: language[name].clone() for name in part}
        save_file(tensors, base / file) if kind == "safetensors" else torch.save(tensors, base / file)
        homes.update(dict.fromkeys(part, file))
    (base / f"{stem}.{suffix}.index.json").write_text(json.dumps({"weight_map": homes}))
    (base / "config.json").write_text(json.dumps({**told, **settings}))
    (base / "tokenizer.model").write_bytes((golden / "model" / "llama_tiny.model").read_bytes())


def convert_tiny(sources, out, golden, **options):
    vocab = golden / "model" / "bert_vocab.txt"
    return convert(sources, out, config=tiny(), bert_vocab=vocab, **options)


def same_answers(model, other, look) -> None:
    torch.testing.assert_close(
        torch.tensor(model.score([look])), torch.tensor(other.score([look])), atol=1e-4, rtol=1e-4
    )


# What loads


def test_published_layout_converts_and_answers_alike(layout, tmp_path, golden, lora_model, make_look):
    report, warnings = convert_tiny([layout], tmp_path / "out", golden)
    assert warnings == []
    assert report.coverage() == {"language": 1.0, "lora": 1.0, "projection": 1.0, "qformer": 1.0, "vision": 1.0}
    assert len(report.loaded) == 175
    assert "cut from 641 to 640 rows" in str(report)
    assert len(report.ignored) == 5  # position_ids, and rotary frequencies in both files
    same_answers(load_folder(tmp_path / "out", device="cpu"), lora_model, make_look())
    assert all(path.stat().st_mode & 0o044 for path in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_the_layout_loads_as_it_is(tmp_path, golden, reference, lora_model, make_look, monkeypatch, kind):
    folder, base = tmp_path, tmp_path / "vicuna-7b-v0"
    base.mkdir()
    write_llama(base, golden, kind)
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
def test_forms_of_hawkeye_pth(layout, tmp_path, golden, reference, lora_model, name):
    torch.save(variants(reference)[name], layout / "hawkeye.pth")
    report, _ = convert_tiny([layout], tmp_path / "out", golden)
    assert len(report.loaded) == 175
    written = read_tensors(tmp_path / "out")
    for plain, parameter in lora_model.plain_parameters():
        torch.testing.assert_close(written[plain], parameter.detach())


def test_an_old_torch_file(layout, tmp_path, golden, reference):
    torch.save(reference, layout / "hawkeye.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(layout / "hawkeye.pth")
    report, _ = convert_tiny([layout], tmp_path / "out", golden)
    assert len(report.loaded) == 175


def test_videochat2_stages_lie_over_each_other(layout, tmp_path, golden, reference):
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
        convert_tiny(sources, tmp_path / "out", golden)
    report, _ = convert_tiny(sources, tmp_path / "out", golden, fresh=["lora", "extra_query_tokens"])
    assert len(report.fresh) == 9
    written = read_tensors(tmp_path / "out")
    assert torch.equal(written["qformer.query_tokens"], reference["query_tokens"])
    model = load_folder(tmp_path / "out", device="cpu", adapters="keep")
    assert any("lora_A" in name for name, _ in model.named_parameters())
    assert any(p.requires_grad for p in model.parameters())


def test_lower_precision_and_many_parts(layout, tmp_path, golden, lora_model, make_look, monkeypatch):
    import hawkeye.models.hawkeye.convert as module

    monkeypatch.setattr(module, "PART_BYTES", 100_000)
    convert_tiny([layout], tmp_path / "out", golden, dtype=torch.bfloat16)
    parts = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(parts) > 3
    assert parts[0] == f"model-00001-of-{len(parts):05d}.safetensors"
    assert not list((tmp_path / "out").glob(".part*"))
    model = load_folder(tmp_path / "out", device="cpu", dtype="float32")
    assert model.score([make_look()])[0] == pytest.approx(lora_model.score([make_look()])[0], abs=0.5)
    (tmp_path / "out" / parts[1]).unlink()
    with pytest.raises(CheckpointError, match=f"names 1 files that are missing: {parts[1]}"):
        load_folder(tmp_path / "out", device="cpu")


def test_a_saved_model_is_the_same_model(lora_model, tmp_path, make_look):
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


def test_another_device_for_the_tower_and_offloading(lora_model, tmp_path, make_look):
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


# What doesn't


def test_code_in_a_pickle_is_refused_and_not_run(layout, tmp_path, golden, reference):
    class Wish:
        def __init__(self, call) -> None:
            self.call = call

        def __reduce__(self):
            return self.call

    for call, name in (
        ((os.system, (f"touch {tmp_path}/ran",)), "posix.system"),
        ((eval, (f"open('{tmp_path}/ran', 'w')",)), "builtins.eval"),
    ):
        torch.save({"model": reference, "extra": Wish(call)}, layout / "hawkeye.pth")
        with pytest.raises(CheckpointError, match=f"wants to call {name} when it is read.*refused"):
            convert_tiny([layout], tmp_path / "out", golden)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "is truncated or not a PyTorch file"),
        (b"", "is truncated or not a PyTorch file"),
        ("half", "is truncated or not a PyTorch file"),
        ({"a": 1}, "holds no named tensors"),
        ([torch.ones(1)], "holds no named tensors"),
    ],
)
def test_files_that_are_no_weights(layout, tmp_path, golden, content, said):
    path = layout / "hawkeye.pth"
    if content == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=said):
        convert_tiny([layout], tmp_path / "out", golden)
    assert not (tmp_path / "out" / CONFIG_FILE).exists()


def test_a_truncated_safetensors_file(layout, tmp_path, golden):
    path = next((layout / "vicuna-7b-v0").glob("*1-of*.safetensors"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        convert_tiny([layout], tmp_path / "out", golden)


def test_weights_of_another_model(layout, tmp_path, golden, reference):
    torch.save({"encoder.layer1.weight": torch.ones(3)}, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"parameters are missing \(vision.patch_embed.*1 tensors are unexpected"):
        convert_tiny([layout], tmp_path / "out", golden)
    wider = {k: torch.cat([v, v]) if k == "vision_layernorm.weight" else v for k, v in reference.items()}
    torch.save(wider, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"1 shapes differ \(vision.norm.weight: expected \(32,\), got \(64,\)\)"):
        convert_tiny([layout], tmp_path / "out", golden)


def test_an_unknown_tensor_can_be_left_out_by_name(layout, tmp_path, golden, reference):
    torch.save({**reference, "aux_head.weight": torch.ones(3)}, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"1 tensors are unexpected \(aux_head.weight\)"):
        convert_tiny([layout], tmp_path / "out", golden)
    report, _ = convert_tiny([layout], tmp_path / "out", golden, ignore=["aux_head.*"])
    assert "aux_head.weight" in report.ignored


def test_numbers_that_are_none(layout, tmp_path, golden, reference, lora_model):
    broken = {k: v.clone() for k, v in reference.items()}
    broken["vision_layernorm.weight"][3] = float("nan")
    torch.save(broken, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"vision.norm.weight holds NaN"):
        convert_tiny([layout], tmp_path / "out", golden)
    save_folder(lora_model, tmp_path / "m")
    tensors = {k: v.clone() for k, v in read_tensors(tmp_path / "m").items()}
    tensors["projection.weight"][1, 1] = float("inf")
    write_tensors(tmp_path / "m", tensors.items())
    with pytest.raises(CheckpointError, match=r"projection.weight holds NaN or infinite values"):
        load_folder(tmp_path / "m", device="cpu")


def test_missing_files_are_named_with_their_source_and_the_next_command(tmp_path, layout):
    with pytest.raises(CheckpointError) as caught:
        load_7b(tmp_path / "nothing")
    for said in (
        "hawkeye.pth (about 1.9 GB) from https://huggingface.co/",
        "vicuna-7b-v0/ (about 13.5 GB)",
        "hawkeye convert",
    ):
        assert said in str(caught.value)
    (layout / "hawkeye.pth").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_7b(layout)
    assert "hawkeye.pth" in str(caught.value)
    assert "13.5 GB" not in str(caught.value)
    with pytest.raises(CheckpointError, match="give --weights DIR"):
        load_7b(None)
    with pytest.raises(CheckpointError, match="is not a converted model"):
        load_folder(tmp_path)


def test_missing_or_wrong_tokenizers(layout, tmp_path, golden, lora_model):
    (layout / "vicuna-7b-v0" / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer.model in .*give the folder of the LLaMA model"):
        convert_tiny([layout], tmp_path / "out", golden)
    write_llama(layout / "vicuna-7b-v0", golden)
    with pytest.raises(CheckpointError, match="Q-Former has embeddings for 141 tokens and its tokenizer knows 30522"):
        convert([layout], tmp_path / "out", config=tiny())
    save_folder(lora_model, tmp_path / "m")
    (tmp_path / "m" / "qformer_vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"has no qformer_vocab.txt"):
        load_folder(tmp_path / "m")


def test_llama_2_is_told_apart(layout, tmp_path, golden):
    write_llama(layout / "vicuna-7b-v0", golden, rms_norm_eps=1e-5, max_position_embeddings=4096)
    _, warnings = convert_tiny([layout], tmp_path / "out", golden)
    assert len(warnings) == 1
    assert "looks like LLaMA-2" in warnings[0]
    with pytest.warns(UserWarning, match="LLaMA-2"), pytest.raises(CheckpointError):
        load_7b(layout)  # and it has other sizes than 7B


def test_too_little_memory_says_how_much_is_needed(lora_model, tmp_path, monkeypatch):
    save_folder(lora_model, tmp_path)
    monkeypatch.setattr(placement, "free_memory", lambda device: 1000)
    with pytest.raises(
        CheckpointError, match=r"cpu has 0.0 GiB free and the model needs .* in float32, .* in bfloat16"
    ):
        load_folder(tmp_path, device="cpu")
    monkeypatch.undo()
    free = placement.free_memory(torch.device("cpu"))
    assert free is None or free > 1 << 20


def test_a_converted_folder_is_not_written_over(layout, tmp_path, golden):
    convert_tiny([layout], tmp_path / "out", golden)
    with pytest.raises(ConfigError, match="holds a model already"):
        convert_tiny([layout], tmp_path / "out", golden)


def test_an_interrupted_write_leaves_the_old_model(lora_model, tmp_path, make_look):
    save_folder(lora_model, tmp_path)

    def broken_off():
        yield "projection.weight", torch.ones(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tensors(tmp_path, broken_off(), max_bytes=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "qformer_vocab.txt",
        "tokenizer.model",
    ]
    same_answers(load_folder(tmp_path, device="cpu"), lora_model, make_look())


def test_options_are_checked():
    for options, said in (
        ({"decoding": "worst"}, "decoding is 'worst': expected best or exact"),
        ({"quantize": "2bit"}, "expected 8bit or 4bit"),
        ({"quantize": "8bit", "offload": True}, "choose one"),
        ({"beam": 3}, "has no option beam"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_folder("anywhere", **options)
    with pytest.raises(ConfigError, match="give the folder"):
        load_folder(None)


def test_quantizing_without_the_package_says_how_to_get_it(build):
    if find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(MissingDependency, match="pip install bitsandbytes"):
        quantize(build().language, "8bit")


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


def test_describe_weights(layout, tmp_path, golden):
    told = {name: (state, advice) for name, state, advice in describe_weights(layout)}
    assert told["hawkeye.pth"] == ("there", "")
    assert told["vicuna-7b-v0/"] == ("there", "")
    assert told["vicuna-7b-v0/tokenizer.model"] == ("there", "")
    assert told["VideoChat2/umt_l16_qformer.pth"] == ("missing (for training only)", "")
    (layout / "hawkeye.pth").write_bytes(b"half")
    (layout / "vicuna-7b-v0" / "tokenizer.model").unlink()
    told = {name: (state, advice) for name, state, advice in describe_weights(layout)}
    assert told["hawkeye.pth"][0].startswith("damaged")
    assert told["vicuna-7b-v0/tokenizer.model"] == ("missing", "it comes with the LLaMA weights")
    missing = {name: advice for name, state, advice in describe_weights(tmp_path / "none") if state == "missing"}
    assert set(missing) == {"hawkeye.pth", "vicuna-7b-v0/"}
    assert all("https://huggingface.co/" in advice for advice in missing.values())


def test_describe_a_converted_folder(lora_model, tmp_path):
    save_folder(lora_model, tmp_path)
    assert {state for _, state, _ in describe_weights(tmp_path)} == {"there"}
    (tmp_path / "model.safetensors").unlink()
    assert describe_weights(tmp_path)[-1][1].startswith("damaged")


def test_every_name_of_the_account_is_known(reference, lora_model):
    _, report = collect([("x", reference)], plain_shapes(lora_model))
    assert report.unexpected == []
    assert all(name.startswith("language.") and "lora" not in name for name in report.missing)
    with pytest.raises(KeyError):
        rename("decoder.weight")
    with pytest.raises(CheckpointError, match="fresh part 'head' is unknown"):
        allow_fresh(report, ["head"])


def test_bert_words_come_with_the_installation():
    from hawkeye.models.hawkeye.tokenizers import WordPieceTokenizer

    tokenizer = WordPieceTokenizer(published.bert_words())
    assert tokenizer.vocab_size == 30522
    assert tokenizer.encode("the dog", 64) == [101, 1996, 3899, 102]


def test_sizes_come_from_the_language_models_own_settings(layout, golden):
    base = layout / "vicuna-7b-v0"
    write_llama(base, golden, vocab_size=32001, num_key_value_heads=2)
    language = from_llama_folder([base]).language
    assert (language.vocab_size, language.width, language.num_layers, language.num_kv_heads) == (32000, 64, 2, 2)
    assert from_llama_folder([]).language == PRESETS["hawkeye-7b"]().language
