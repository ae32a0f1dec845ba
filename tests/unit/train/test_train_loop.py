"""The loop on real videos with a real tiny model: it learns, resumes bit by bit, stops when told, and names what is wrong."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hawkeye.errors import CheckpointError, ConfigError, ModelError
from hawkeye.grounding.grounder import Grounder
from hawkeye.models.base import load_model
from hawkeye.train import checkpoints
from hawkeye.train.config import TrainConfig
from hawkeye.train.loop import Result, train
from hawkeye.train.meters import Progress
from hawkeye.train.run import Run

Settings = dict[str, Any]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and child processes that may be forked."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def changed(settings: Settings, **groups: Any) -> Settings:
    """A copy with ``group__key=value`` laid over it."""
    result = copy.deepcopy(settings)
    for path, value in groups.items():
        *parents, last = path.split("__")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return result


def run(settings: Settings, listen: Callable[[Progress], None] | None = None) -> Result:
    return train(TrainConfig.from_dict(settings), listen)


def log_of(result: Result) -> list[dict]:
    return [json.loads(line) for line in (result.output / "log.jsonl").read_text().splitlines()]


def final_weights(result: Result) -> dict[str, torch.Tensor]:
    assert result.exported is not None
    return load_file(result.exported / "model.safetensors")


def in_child(function: Callable[[], object]) -> int:
    """Run it in a forked process; returns its exit code (minus the signal that ended it)."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def test_a_run_learns_logs_and_leaves_a_model_that_grounds(settings: Settings, mini: Path) -> None:
    steps: list[Progress] = []
    settings = changed(settings, schedule__epochs=8, optimizer__lr=3e-3, data__workers=1, model__language="full")
    result = run(settings, steps.append)
    rows = log_of(result)
    assert [row["step"] for row in rows] == list(range(1, 17))
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["loss/charades"] == pytest.approx(rows[-1]["loss"])
    assert max(row["lr"] for row in rows) == pytest.approx(3e-3)
    assert rows[-1]["lr"] == pytest.approx(0.25 * 3e-3)
    assert steps[-1].last.samples == 2
    assert 0 < rows[-1]["waiting_share"] < 1
    assert sorted(p.name for p in (result.output / "checkpoints").iterdir()) == [
        "step_00000012",
        "step_00000014",
        "step_00000016",
    ]
    grounder = Grounder(load_model(result.exported), max_turns=1)
    assert grounder.ground(mini / "videos/charades/AAAAA.mp4", "person shows colour 0").span is not None


def test_a_killed_run_goes_on_to_the_same_bits(settings: Settings, tmp_path: Path) -> None:
    settings = changed(settings, model__settings={}, data__workers=1)  # with dropout: generators count too
    whole = run(changed(settings, output=str(tmp_path / "whole")))

    def killed() -> None:
        def kill(progress: Progress) -> None:
            if progress.step == 3:  # one step after the checkpoint of step 2
                os.kill(os.getpid(), signal.SIGKILL)

        run(settings, kill)

    assert in_child(killed) == -signal.SIGKILL
    assert checkpoints.newest(tmp_path / "run") == tmp_path / "run/checkpoints/step_00000002"
    resumed = run(settings)
    ours, theirs = final_weights(resumed), final_weights(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [(r["step"], r["loss"]) for r in log_of(resumed)] == [(r["step"], r["loss"]) for r in log_of(whole)]


def test_a_signal_ends_it_with_a_checkpoint_and_the_run_goes_on(settings: Settings, tmp_path: Path) -> None:
    whole = run(changed(settings, output=str(tmp_path / "whole")))
    settings = changed(settings, checkpoint__every_steps=100)

    def ask(progress: Progress) -> None:
        if progress.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = run(settings, ask)
    assert stopped.stopped
    assert stopped.exported is None
    assert checkpoints.newest(stopped.output) == checkpoints.folder_of(stopped.output, 2)
    ours, theirs = final_weights(run(settings)), final_weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def distributed(settings: Settings, size: int, meeting: Path) -> None:
    """``settings`` in ``size`` gloo processes, forked from this one."""

    def member(rank: int) -> None:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
        torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
        run(settings)
        torch.distributed.destroy_process_group()

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=member, args=(rank,)) for rank in range(size)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * size


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_does_with_twice_the_batch(
    settings: Settings, tmp_path: Path, parallel: str
) -> None:
    full = {"model__language": "full", "model__train_vision": True} if parallel == "fsdp" else {}
    settings = changed(settings, batch__accumulate=2, schedule__epochs=3, **full)
    one = run(changed(settings, output=str(tmp_path / "one"), batch__size=2))
    distributed(changed(settings, output=str(tmp_path / "two"), batch__size=1, parallel=parallel), 2, tmp_path / "meet")
    two = [json.loads(line) for line in (tmp_path / "two/log.jsonl").read_text().splitlines()]
    # Gradients are added in another order, so the last bits of float32 differ, and AdamW's first steps magnify that where
    # a gradient is near zero: the losses agree to about 1e-5, which is far below what one step changes.
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in log_of(one)], rel=2e-5)
    moved = [abs(a["loss"] - b["loss"]) for a, b in pairwise(two)]
    assert min(moved) > 1e-3
    weights = load_file(tmp_path / "two/model/model.safetensors")
    for name, value in final_weights(one).items():
        assert torch.allclose(weights[name], value, atol=2e-4), name


def test_a_loss_that_is_not_finite_stops_and_names_the_items_or_is_skipped_and_counted(settings: Settings) -> None:
    settings = changed(settings, optimizer__lr=1e30, optimizer__weight_decay=0.0)
    with pytest.raises(ModelError, match=r"step \d: the loss is not finite for \w{5}#0.*on_bad_loss=skip"):
        run(settings)
    result = run(changed(settings, on_bad_loss="skip", resume="never"))
    assert result.step == 4
    assert result.skipped >= 1


def test_a_gradient_that_is_not_finite_changes_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is finite, and its gradient overflows at the second step."""
    forward = Run._forward

    def overflowing(self: Run, loaded: Any) -> Any:
        output = forward(self, loaded)
        if self.step == 1:
            output.loss.register_hook(lambda gradient: gradient * float("inf"))
        return output

    monkeypatch.setattr(Run, "_forward", overflowing)
    with pytest.raises(ModelError, match=r"step 2: the loss or its gradient is not finite for the whole batch"):
        run(settings)
    result = run(changed(settings, on_bad_loss="skip", resume="never"))
    assert (result.step, result.skipped) == (4, 1)
    assert all(bool(torch.isfinite(value).all()) for value in final_weights(result).values())


def test_beginning_anew_leaves_nothing_of_the_run_before(settings: Settings) -> None:
    run(settings)
    again = run(changed(settings, resume="never", schedule__max_steps=1))
    assert [p.name for p in (again.output / "checkpoints").iterdir()] == ["step_00000001"]
    assert [row["step"] for row in log_of(again)] == [1]


def test_compiled_parts_keep_the_names_and_values_of_weights(settings: Settings, tmp_path: Path) -> None:
    """The wrapping alone: a stance lets the parts run as they are, since compiling takes a minute."""
    plain = final_weights(run(settings))
    with torch.compiler.set_stance("force_eager"):
        compiled = final_weights(run(changed(settings, model__compile=True, output=str(tmp_path / "compiled"))))
    assert plain.keys() == compiled.keys()
    assert all(torch.equal(plain[name], compiled[name]) for name in plain)


def test_resuming_another_run_says_what_differs(settings: Settings) -> None:
    run(settings)
    with pytest.raises(CheckpointError, match=r"another run \(optimizer.lr: 0.001 -> 0.002\).*resume=never"):
        run(changed(settings, optimizer__lr=2e-3))
    other = copy.deepcopy(settings)
    other["data"]["sources"][0]["limit"] = 3
    with pytest.raises(CheckpointError, match=r"data.sources.charades.limit: null -> 3"):
        run(other)
    with pytest.raises(CheckpointError, match=r"model\.language: "):
        run(changed(settings, model__language="full"))


def test_a_broken_checkpoint_is_named(settings: Settings, tmp_path: Path) -> None:
    run(settings)
    (tmp_path / "run/checkpoints/step_00000004/optimizer.pt").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"optimizer.pt: can't be read .*remove .*step_00000004 to go on"):
        run(settings)


def test_unreadable_videos_are_replaced_counted_and_reported(settings: Settings, mini: Path, tmp_path: Path) -> None:
    shutil.copytree(mini / "videos/charades", tmp_path / "videos")
    (tmp_path / "videos/BBBBB.mp4").write_bytes(b"")
    settings["data"]["sources"][0]["videos"] = str(tmp_path / "videos")
    result = run(settings)
    assert sum(result.unreadable.values()) >= 2  # once an epoch, and when it is drawn as a replacement
    assert all(problem.startswith("BBBBB#0: ") for problem in result.unreadable)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_checkpointing_and_clipping_learn_too(settings: Settings, precision: str) -> None:
    changes = {"precision": precision, "model__gradient_checkpointing": True, "optimizer__clip_norm": 0.1}
    result = run(changed(settings, schedule__epochs=6, optimizer__lr=3e-3, **changes))
    rows = log_of(result)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_frame_tokens_are_learned_and_old_rows_stay(settings: Settings, tmp_path: Path) -> None:
    settings["data"]["sources"][0]["representation"] = "frame_token"
    start = run(changed(settings, schedule__max_steps=1, optimizer__lr=1e-30, output=str(tmp_path / "start")))
    end = run(changed(settings, optimizer__lr=1e-2))
    before, after = final_weights(start), final_weights(end)
    model = load_model(end.exported)
    ids = [model.tokenizers.language.encode(f"<frame_{n}>")[-1] for n in range(4)]
    old = [i for i in range(model.config.language.vocab_size) if i not in ids]
    for name in ("language.model.embed_tokens.weight", "language.lm_head.weight"):
        assert torch.equal(after[name][old], before[name][old])
        assert not torch.equal(after[name][ids], before[name][ids])
    assert ids == list(range(ids[0], ids[0] + 4))
    assert len(model.tokenizers.qformer.encode("<frame_2>", 9)) == 3
    again = run(changed(settings, output=str(tmp_path / "again"), model={"start": str(end.exported)}))
    assert final_weights(again)["language.lm_head.weight"].shape == after["language.lm_head.weight"].shape


def test_settings_are_checked_before_anything_runs(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"model.start: 'hawkeye-tony' is neither .* presets hawkeye-7b"):
        run(changed(settings, model__start="hawkeye-tony"))
    with pytest.raises(ConfigError, match=r"preset hawkeye-tiny needs the folder of its tokenizers"):
        run(changed(settings, model__tokenizers=None))
    with pytest.raises(ConfigError, match=r"optimizer.groups: 'lorra' finds none of the"):
        run(changed(settings, optimizer__groups={"lorra": 1e-4}))
    with pytest.raises(ConfigError, match=r"data.wrkers: unknown key, did you mean workers"):
        TrainConfig.from_dict(changed(settings, data__wrkers=3))
    with pytest.raises(ConfigError, match="4 examples an epoch, too few for one step of 8 x 1"):
        run(changed(settings, batch__size=8))
