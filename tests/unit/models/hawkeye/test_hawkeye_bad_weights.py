"""Every way in which weights can be wrong or missing, and what is said then."""

import os
from importlib.util import find_spec

import pytest
import torch

from hawkeye.errors import CheckpointError, ConfigError, MissingDependency
from hawkeye.models.hawkeye import placement, published
from hawkeye.models.hawkeye.checkpoint import allow_fresh, collect, plain_shapes, rename
from hawkeye.models.hawkeye.config import tiny
from hawkeye.models.hawkeye.convert import convert
from hawkeye.models.hawkeye.folder import CONFIG_FILE, save_folder
from hawkeye.models.hawkeye.language import quantize
from hawkeye.models.hawkeye.load import load_7b, load_folder
from hawkeye.models.hawkeye.published import describe_weights
from hawkeye.models.hawkeye.tensors import read_tensors, write_tensors


def test_code_in_a_pickle_is_refused_and_not_run(layout, tmp_path, reference, convert_tiny):
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
            convert_tiny([layout], tmp_path / "out")
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
def test_files_that_are_no_weights(layout, tmp_path, content, said, convert_tiny):
    path = layout / "hawkeye.pth"
    if content == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=said):
        convert_tiny([layout], tmp_path / "out")
    assert not (tmp_path / "out" / CONFIG_FILE).exists()


def test_a_truncated_safetensors_file(layout, tmp_path, convert_tiny):
    path = next((layout / "vicuna-7b-v0").glob("*1-of*.safetensors"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        convert_tiny([layout], tmp_path / "out")


def test_weights_of_another_model(layout, tmp_path, reference, convert_tiny):
    torch.save({"encoder.layer1.weight": torch.ones(3)}, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"parameters are missing \(vision.patch_embed.*1 tensors are unexpected"):
        convert_tiny([layout], tmp_path / "out")
    wider = {k: torch.cat([v, v]) if k == "vision_layernorm.weight" else v for k, v in reference.items()}
    torch.save(wider, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"1 shapes differ \(vision.norm.weight: expected \(32,\), got \(64,\)\)"):
        convert_tiny([layout], tmp_path / "out")


def test_an_unknown_tensor_can_be_left_out_by_name(layout, tmp_path, reference, convert_tiny):
    torch.save({**reference, "aux_head.weight": torch.ones(3)}, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"1 tensors are unexpected \(aux_head.weight\)"):
        convert_tiny([layout], tmp_path / "out")
    report, _ = convert_tiny([layout], tmp_path / "out", ignore=["aux_head.*"])
    assert "aux_head.weight" in report.ignored


def test_numbers_that_are_none(layout, tmp_path, reference, lora_model, convert_tiny):
    broken = {k: v.clone() for k, v in reference.items()}
    broken["vision_layernorm.weight"][3] = float("nan")
    torch.save(broken, layout / "hawkeye.pth")
    with pytest.raises(CheckpointError, match=r"vision.norm.weight holds NaN"):
        convert_tiny([layout], tmp_path / "out")
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


def test_missing_or_wrong_tokenizers(layout, tmp_path, lora_model, convert_tiny, write_llama):
    (layout / "vicuna-7b-v0" / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer.model in .*give the folder of the LLaMA model"):
        convert_tiny([layout], tmp_path / "out")
    write_llama(layout / "vicuna-7b-v0")
    with pytest.raises(CheckpointError, match="Q-Former has embeddings for 141 tokens and its tokenizer knows 30522"):
        convert([layout], tmp_path / "out", config=tiny())
    save_folder(lora_model, tmp_path / "m")
    (tmp_path / "m" / "qformer_vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"has no qformer_vocab.txt"):
        load_folder(tmp_path / "m")


def test_llama_2_is_told_apart(layout, tmp_path, convert_tiny, write_llama):
    write_llama(layout / "vicuna-7b-v0", rms_norm_eps=1e-5, max_position_embeddings=4096)
    _, warnings = convert_tiny([layout], tmp_path / "out")
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


def test_a_converted_folder_is_not_written_over(layout, tmp_path, convert_tiny):
    convert_tiny([layout], tmp_path / "out")
    with pytest.raises(ConfigError, match="holds a model already"):
        convert_tiny([layout], tmp_path / "out")


def test_an_interrupted_write_leaves_the_old_model(lora_model, tmp_path, make_look, same_answers):
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


def test_describe_weights(layout, tmp_path):
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
