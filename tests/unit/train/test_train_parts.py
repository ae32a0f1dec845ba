"""The small parts against recorded values: schedule, parameter groups, names of exported weights, tokens, trackers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

from hawkeye.choices import OPTION_TEXT, Choice, option_lines
from hawkeye.errors import CheckpointError, ConfigError, MissingDependency
from hawkeye.models.hawkeye.checkpoint import rename
from hawkeye.models.hawkeye.config import tiny
from hawkeye.models.hawkeye.folder import read_tokenizers
from hawkeye.models.hawkeye.language import plain_name
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.prompts import grounding_prompt
from hawkeye.train import checkpoints
from hawkeye.train.config import TrainConfig
from hawkeye.train.dry_run import labelled_pieces
from hawkeye.train.export import reference_name, reference_state
from hawkeye.train.memory import estimate_memory
from hawkeye.train.optimizer import OptimizerConfig, parameter_groups
from hawkeye.train.schedule import multiplier
from hawkeye.train.states import load_trained_weights, trained_weights
from hawkeye.train.tokenizers import make_tokenizers, prompt_phrases
from hawkeye.train.trackers import JsonlTracker, open_trackers


@pytest.fixture(scope="module")
def model() -> HawkEye:
    made = HawkEye.fresh(tiny())
    made.set_trainable()
    return made


def test_the_learning_rate_follows_the_recorded_steps(golden: Path) -> None:
    for case in json.loads((golden / "training_misc.json").read_text())["lr_schedule"]:
        warmup, total, floor = case["num_warmup_steps"], case["num_training_steps"], case["min_lr_multi"]
        found = [multiplier(step, warmup, total, floor) for step in range(len(case["multipliers"]))]
        assert found == case["multipliers"]


def test_parameters_decay_as_recorded(golden: Path, model: HawkEye) -> None:
    recorded = json.loads((golden / "training_misc.json").read_text())["weight_decay_groups"]
    groups = parameter_groups(model.named_parameters(), OptimizerConfig(weight_decay=0.02))
    found = {group["weight_decay"]: {reference_name(name) for name in group["names"]} for group in groups}
    assert found == {0.02: set(recorded["decay"]), 0.0: set(recorded["no_decay"])}


def test_groups_learn_at_their_own_rate(model: HawkEye) -> None:
    groups = parameter_groups(model.named_parameters(), OptimizerConfig(lr=1e-5, groups={"lora_": 1e-4}))
    rates = {name: group["lr"] for group in groups for name in group["names"]}
    assert {rate for name, rate in rates.items() if "lora_" in name} == {1e-4}
    assert {rate for name, rate in rates.items() if "lora_" not in name} == {1e-5}
    with pytest.raises(ConfigError, match="is not a regular expression"):
        parameter_groups(model.named_parameters(), OptimizerConfig(groups={"(": 1.0}))


def test_exported_names_and_shapes_are_those_the_reference_saves(golden: Path, model: HawkEye) -> None:
    recorded = json.loads((golden / "training_saved_keys.json").read_text())
    state = reference_state(trained_weights(model), model.config)
    found = {name: [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for name, tensor in state.items()}
    assert found == recorded
    assert torch.allclose(
        state["llama_model.base_model.model.model.layers.0.self_attn.rotary_emb.inv_freq"],
        model.language.model.rotary_emb.inv_freq,
    )


def test_every_exported_name_is_read_back_as_the_same_parameter(model: HawkEye) -> None:
    for name, _ in model.named_parameters():
        assert rename(reference_name(name)) == plain_name(name)
        assert rename(reference_name(name, adapters=False)) == plain_name(name)


def test_weights_of_another_model_are_refused_by_name(model: HawkEye) -> None:
    weights = trained_weights(model)
    with pytest.raises(CheckpointError, match=r"this model doesn't train extra"):
        load_trained_weights(model, {**weights, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"the checkpoint lacks projection.bias"):
        load_trained_weights(model, {k: v for k, v in weights.items() if k != "projection.bias"})
    with pytest.raises(CheckpointError, match=r"projection.bias is \(1,\) in the checkpoint, \(64,\) here"):
        load_trained_weights(model, {**weights, "projection.bias": torch.zeros(1)})


def test_made_tokenizers_treat_text_as_the_published_ones_do(toy_tokenizers: Path, tmp_path: Path) -> None:
    tokenizers = read_tokenizers(toy_tokenizers)
    text = "Question: When?\n###Human: person shows colour 12"
    ids, starts = tokenizers.language.encode_with_starts(text)
    assert tokenizers.language.decode(ids) == text
    assert starts[0] == 0
    assert any(text[start:].startswith("###Human") for start in starts)  # no piece reaches over the line's end
    assert tokenizers.qformer.encode("person shows é", 9)[1:3] != [1, 1]
    with pytest.raises(ConfigError, match="different characters don't fit into a vocabulary of 8 words"):
        make_tokenizers(["some text"], tmp_path, 300, 8)


def test_with_phrases_every_option_in_every_place_is_one_token(tmp_path: Path) -> None:
    texts = []
    for turn in range(4):
        lines = option_lines([OPTION_TEXT[choice] for choice in (list(Choice) * 2)[turn : turn + 4]])
        prompt = grounding_prompt("a red square", lines, [0.5, 11.5])
        texts.append((prompt.before_video + prompt.after_video, lines))
    make_tokenizers([text for text, _ in texts], tmp_path, 400, 200, phrases=prompt_phrases())
    tokenizer = read_tokenizers(tmp_path).language
    for text, lines in texts:
        ids, starts = tokenizer.encode_with_starts(text)
        assert tokenizer.decode(ids) == text
        pieces = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
        assert [piece for piece in pieces if piece.startswith(("A)", "B)", "C)", "D)"))] == [line[1:] for line in lines]
        assert pieces[-1] == "Best option: ("
        assert tokenizer.encode(lines[2][1:])[-1] in ids


def test_what_is_learned_is_marked_in_the_text(toy_tokenizers: Path) -> None:
    text = "Watch. ###Human: <Video></Video> ###Human: When? ###Assistant: At the end. ###"
    pieces = labelled_pieces(read_tokenizers(toy_tokenizers).language, text)
    assert "".join(piece for piece, _ in pieces) == text
    learned = [piece for piece, flag in pieces if flag]
    assert learned == [" ###Human:", " ###Assistant: At the end. ###"]


def test_memory_counts_what_is_trained() -> None:
    with torch.device("meta"):
        model = HawkEye(tiny())
    model.set_trainable()
    source = {"name": "a", "annotations": "a", "videos": "a"}
    values = {"output": "x", "model": {"start": "hawkeye-tiny"}, "data": {"sources": [source]}}
    config = TrainConfig.from_dict(values)
    memory = estimate_memory(model, config, torch.bfloat16, 1)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert (memory.trained, memory.parameters) == (trained, trained + frozen)
    assert memory.weights * 2**30 == pytest.approx(4 * trained + 2 * frozen)
    assert memory.optimizer == pytest.approx(2 * memory.gradients)
    values["model"]["gradient_checkpointing"] = True
    assert estimate_memory(model, TrainConfig.from_dict(values), torch.bfloat16, 1).activations < memory.activations


def test_a_resumed_log_loses_the_steps_that_are_taken_again(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    tracker = JsonlTracker(log, start_step=2)
    tracker.log(3, {"loss": 0.5})
    tracker.close()
    assert [json.loads(line) for line in log.read_text().splitlines()] == [
        {"step": 1},
        {"step": 2},
        {"step": 3, "loss": 0.5},
    ]


def test_tensorboard_gets_the_values(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trackers = open_trackers(tmp_path, ["tensorboard"], "test", {})
    for tracker in trackers:
        tracker.log(1, {"loss": 0.25})
        tracker.close()
    events = next((tmp_path / "tensorboard").glob("events.*")).read_bytes()
    assert b"loss" in events


@pytest.mark.parametrize("package", ["trackio", "wandb"])
def test_other_trackers_get_project_settings_values_and_an_end(
    package: Literal["trackio", "wandb"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a module of that name on the path which writes down its calls: the packages want a network or an account."""
    lines = [
        "calls = []",
        *(f"def {name}(*a, **k): calls.append(('{name}', a, k))" for name in ("init", "log", "finish")),
    ]
    (tmp_path / f"{package}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package, raising=False)
    for tracker in open_trackers(tmp_path / "run", [package], "hawkeye", {"seed": 1}):
        tracker.log(3, {"loss": 0.5})
        tracker.close()
    assert sys.modules.pop(package).calls == [
        ("init", (), {"project": "hawkeye", "name": "run", "config": {"seed": 1}}),
        ("log", ({"loss": 0.5},), {"step": 3}),
        ("finish", (), {}),
    ]


def test_a_tracker_that_is_not_installed_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawkeye.runtime.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="wandb is not installed: run  pip install wandb"):
        open_trackers(tmp_path, ["wandb"], "test", {})


def test_old_checkpoints_go_and_the_best_stays(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        folder = checkpoints.folder_of(tmp_path, step)
        folder.mkdir(parents=True)
        (folder / "state.json").write_text("{}")
        if step == 1:
            checkpoints.mark_best(tmp_path, folder, "mIoU", {"eval/mIoU": 0.5})
    checkpoints.prune(tmp_path, keep=2)
    assert [p.name for p in sorted((tmp_path / "checkpoints").glob("step_*"))] == [
        "step_00000001",
        "step_00000003",
        "step_00000004",
    ]
    assert re.fullmatch(r"step_0+4", checkpoints.newest(tmp_path).name)  # type: ignore[union-attr]
