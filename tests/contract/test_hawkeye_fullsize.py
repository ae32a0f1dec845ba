"""The model at full size, without its weights: names and shapes are the published ones, and loading costs little memory."""

from __future__ import annotations

import json
import resource
import struct
from pathlib import Path

import pytest
import torch

from hawkeye.models.hawkeye.checkpoint import plain_shapes, rename
from hawkeye.models.hawkeye.config import hawkeye_7b
from hawkeye.models.hawkeye.load import Options, put_together
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tensors import read_tensors

GIB = 1 << 30


@pytest.fixture(scope="module")
def keys(golden) -> dict:
    return json.loads((golden / "model" / "fullsize_keys.json").read_text(encoding="utf-8"))


def test_every_name_and_shape_is_the_references(keys):
    with torch.device("meta"):
        shapes = plain_shapes(HawkEye(hawkeye_7b()))
    theirs = {}
    for name, (_, shape) in keys["whole_model"].items():
        ours = rename(name)
        if ours is None:
            assert name in keys["buffers_in_state_dict"]
            continue
        assert ours not in theirs
        theirs[ours] = tuple(shape)
    assert shapes == theirs
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == keys["n_params"]["whole_model"] - 2560


def peak_memory() -> int:
    """Bytes: the most that this process has held since the last `reset_peak`, or since it began where that is not allowed."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def write_sparse_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A float16 file of the right size whose numbers are a hole in the disk: all zero, and no room taken."""
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + torch.Size(shape).numel() * 2
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in use from /proc")
def test_loading_at_full_size_takes_little_memory(keys, tmp_path):
    """hawkeye.pth with all its 796 names and shapes, and a vicuna file of 13.5 GB with 32001 rows, both without content."""
    whole = keys["whole_model"]
    dtypes = {"float32": torch.float32, "int64": torch.int64}
    adapter = {
        name: torch.zeros(1, dtype=dtypes[whole[name][0]]).expand(whole[name][1])
        for name in keys["hawkeye_pth_expected"]
    }
    torch.save({"model": adapter}, tmp_path / "hawkeye.pth")
    prefix = "llama_model.base_model.model."
    base = {k.removeprefix(prefix): tuple(s) for k, (d, s) in whole.items() if k.startswith(prefix) and d == "float16"}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        base[name] = (32001, 4096)
    write_sparse_safetensors(tmp_path / "model.safetensors", base)
    assert (tmp_path / "model.safetensors").stat().st_size > 13 * 10**9
    reset_peak()
    before = peak_memory()
    sources = [(name, read_tensors(tmp_path / name)) for name in ("model.safetensors", "hawkeye.pth")]
    model, report = put_together(hawkeye_7b(), None, sources, Options(device="cpu", dtype="stored"))
    report.check("the synthetic files")
    assert peak_memory() - before < 2 * GIB
    assert set(report.coverage().values()) == {1.0}
    assert len(report.loaded) == 1054
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert model.language.lm_head.weight.shape == (32000, 4096)
    assert float(model.language.model.layers[31].mlp.down_proj.weight.detach()[5, 5]) == 0.0
