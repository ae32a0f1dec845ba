"""The recorded tiny model of the reference, built from its own files, and the inputs that it was recorded with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.models.base import Look
from hawkeye.models.hawkeye.checkpoint import rename
from hawkeye.models.hawkeye.config import tiny
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.convert import convert
from hawkeye.models.hawkeye.load import Options, put_together
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.packed import Row
from hawkeye.models.hawkeye.sharing import plan_for, prompts_of, run_row, visual_table
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer, WordPieceTokenizer
from hawkeye.models.hawkeye.tree import Branch
from hawkeye.prompts import grounding_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import Frames
from hawkeye.video.sampling import window_indices


def _hash_uniform(shape, salt: int, low: float = -2.0, high: float = 2.0) -> torch.Tensor:
    """The recordings' inputs: numbers made in whole-number arithmetic, the same everywhere."""
    bits = np.uint64(2**32 - 1)
    h = ((np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(1000003 * salt)) * np.uint64(2654435761)) & bits
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & bits
    h ^= h >> np.uint64(13)
    return torch.from_numpy((h / 2**32 * (high - low) + low).astype(np.float32).reshape(shape))


@pytest.fixture(scope="session")
def hash_uniform():
    return _hash_uniform


@pytest.fixture(scope="session")
def recorded(golden: Path):
    """``recorded("forward")`` -> (what the JSON file tells, tensors)."""

    def read(name: str):
        folder = golden / "model"
        tensors = folder / f"{name}.safetensors"
        path = folder / f"{name}.json"
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return told, load_file(tensors) if tensors.is_file() else {}

    return read


@pytest.fixture(scope="session")
def tokenizers(golden: Path) -> Tokenizers:
    folder = golden / "model"
    return Tokenizers(
        SentencePieceTokenizer(folder / "llama_tiny.model"), WordPieceTokenizer(folder / "bert_vocab.txt")
    )


@pytest.fixture(scope="session")
def build(golden: Path, tokenizers: Tokenizers):
    """``build(lora)`` -> a new copy of the recorded model, in float32 on the CPU, in evaluation mode."""
    base = load_file(golden / "model" / "tiny_state.safetensors")
    adapted = load_file(golden / "model" / "tiny_lora_checkpoint.safetensors")

    def make(lora: bool = False, **changes) -> HawkEye:
        sources = [("base", base), ("adapted", adapted)] if lora else [("base", base)]
        copies = [(name, {key: value.clone() for key, value in tensors.items()}) for name, tensors in sources]
        model, report = put_together(tiny(**changes), tokenizers, copies, Options(device="cpu"), lora=lora)
        report.check("tests/golden/model")
        return model.eval()

    return make


@pytest.fixture(scope="session")
def plain_model(build) -> HawkEye:
    """Not to be changed by a test."""
    return build()


@pytest.fixture(scope="session")
def lora_model(build) -> HawkEye:
    """Not to be changed by a test."""
    return build(lora=True)


@pytest.fixture(scope="session")
def our_name():
    return rename


def _frame(number: int) -> torch.Tensor:
    """Frame ``number`` of the recordings' synthetic video, uint8 (3, 36, 48)."""
    y, x, c = np.meshgrid(np.arange(36), np.arange(48), np.arange(3), indexing="ij")
    pixels = (37 * number + 5 * y + 3 * x + 61 * c + (x * y) // 7) % 256
    return torch.from_numpy(pixels.astype(np.uint8)).permute(2, 0, 1)


@pytest.fixture(scope="session")
def make_frames():
    """``make_frames(window)`` -> 12 frames of the synthetic video of 300 frames at 30 a second."""

    def make(window: tuple[float, float] = (2.5, 7.5)) -> Frames:
        numbers = window_indices(window, 30.0, 299, 12)
        return Frames(torch.stack([_frame(n) for n in numbers]), tuple(n / 30 for n in numbers))

    return make


@pytest.fixture(scope="session")
def make_look(make_frames):
    """``make_look(query, order, window)`` -> a grounding look at the synthetic video."""

    def make(query: str = "a man opens the door", order: str = "MECB", window=(2.5, 7.5), frames=None) -> Look:
        of_letter = {"B": Choice.BEGINNING, "M": Choice.MIDDLE, "E": Choice.END, "C": Choice.THROUGHOUT}
        choices = tuple(of_letter[x] for x in order)
        lines = tuple(option_lines([OPTION_TEXT[c] for c in choices]))
        frames = frames or make_frames(window)
        prompt = grounding_prompt(query, lines, [t - window[0] for t in frames.times])
        return Look("v", 10.0, Span(*window), frames, query, prompt, lines, choices)

    return make


@pytest.fixture(scope="session")
def teach():
    """``teach(model, looks, replies)``: refit the head so that greedy decoding tends to say each reply (token ids)."""

    @torch.no_grad()
    def fit(model: HawkEye, looks, replies, noise: float = 0.0, seed: int = 0) -> None:
        table, videos = visual_table(model, looks)
        prompts = prompts_of(model, looks, videos)
        plan = plan_for(model, [Branch(p, (tuple(r),)) for p, r in zip(prompts, replies, strict=True)])
        states = run_row(model, plan.ids, plan.positions, table, Row(plan.parts))
        hidden, targets = [], []
        for i, reply in enumerate(replies):
            first = plan.options[i][0]
            hidden.append(states[[plan.ends[i], *range(first, first + len(reply) - 1)]])
            targets += reply
        states, wanted = torch.cat(hidden).double(), torch.tensor(targets)
        one_hot = torch.zeros(len(wanted), model.config.language.vocab_size, dtype=torch.float64)
        one_hot[torch.arange(len(wanted)), wanted] = 10.0
        fitted = torch.linalg.lstsq(states, one_hot).solution.T.float()
        generator = torch.Generator().manual_seed(seed)
        wobble = torch.randn(fitted.shape, generator=generator) * noise * fitted.std()
        model.language.lm_head.weight.data = (fitted + wobble).contiguous()

    return fit


@pytest.fixture(scope="session")
def reference(golden) -> dict[str, torch.Tensor]:
    """The tiny model under the reference's names: what its hawkeye.pth would hold, adapters included."""
    base = load_file(golden / "model" / "tiny_state.safetensors")
    adapters = load_file(golden / "model" / "tiny_lora_checkpoint.safetensors")
    rest = {k: v for k, v in base.items() if not k.startswith("llama_model.")}
    return {**rest, **{k: v for k, v in adapters.items() if "lora_" in k or "inv_freq" in k}}


@pytest.fixture(scope="session")
def write_llama(golden):
    """``write_llama(folder)``: the tiny language model as transformers lays it out: 641 rows, in two files."""

    def write(base: Path, kind: str = "safetensors", **settings) -> None:
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

    return write


@pytest.fixture
def layout(tmp_path, reference, write_llama) -> Path:
    """A folder as a user has it after fetching the published files, at tiny size."""
    folder, base = tmp_path / "model", tmp_path / "model" / "vicuna-7b-v0"
    base.mkdir(parents=True)
    torch.save(reference, folder / "hawkeye.pth")
    write_llama(base)
    return folder


@pytest.fixture(scope="session")
def convert_tiny(golden):
    """`convert` with the tiny model's settings and vocabulary."""

    def run(sources, out, **options):
        return convert(sources, out, config=tiny(), bert_vocab=golden / "model" / "bert_vocab.txt", **options)

    return run


@pytest.fixture(scope="session")
def same_answers():
    def check(model, other, look) -> None:
        theirs = torch.tensor(other.score([look]))
        torch.testing.assert_close(torch.tensor(model.score([look])), theirs, atol=1e-4, rtol=1e-4)

    return check
