"""The vision tower and its position tables against the reference's recordings."""

import pytest
import torch

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import UMTConfig, tiny
from hawkeye.models.hawkeye.positions import position_table
from hawkeye.models.hawkeye.vision import DropPath, VisionTower

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def test_position_tables_are_bit_for_bit_the_references(recorded):
    told, tables = recorded("pos_tables")
    assert len(tables) == 14
    for name, table in tables.items():
        size, width, frames = name.removesuffix("_rows").split("_")
        num_frames = 1 if frames == "img" else int(frames[1:])
        ours = position_table(num_frames, int(size[1:]) // 16, int(width[1:]))
        if name.endswith("_rows"):
            assert torch.equal(ours[told[name]["rows"]], table)
            assert float(ours.double().abs().sum()) == pytest.approx(told[name]["full_abs_sum"], rel=1e-12)
        else:
            assert torch.equal(ours[::29], table[0])


@pytest.mark.parametrize("num_frames", [1, 4, 8, 12])
def test_small_pictures(plain_model, recorded, hash_uniform, num_frames):
    told, tensors = recorded("vision")
    name = f"px32_T{num_frames}"
    tower, seen = plain_model.vision, {}
    hooks = [tower.patch_embed.register_forward_hook(lambda m, i, o: seen.update(patch_embed=o))]
    for i, block in enumerate(tower.blocks):
        hooks.append(block.register_forward_hook(lambda m, x, o, i=i: seen.update({f"block{i}": o})))
        hooks.append(block.attn.register_forward_hook(lambda m, x, o, i=i: seen.update({f"block{i}_attn": o})))
    pixels = hash_uniform((told[name]["B"], 3, num_frames, 32, 32), num_frames).transpose(1, 2)
    with torch.inference_mode():
        seen["ln_out"] = tower(pixels)
    for hook in hooks:
        hook.remove()
    seen["encoder_out"] = seen["block1"].unflatten(1, (num_frames, -1))
    checked = [key for key in tensors if key.startswith(f"{name}.")]
    assert len(checked) == (7 if num_frames in (1, 4) else 2)
    for key in checked:
        torch.testing.assert_close(seen[key.split(".")[1]], tensors[key], **CLOSE)


@pytest.mark.parametrize("num_frames", [1, 4, 8, 12])
def test_pictures_of_full_size(plain_model, recorded, hash_uniform, num_frames):
    told, tensors = recorded("vision")
    name = f"px224_T{num_frames}"
    tower = VisionTower(tiny().vision.model_copy(update={"image_size": 224}))
    tower.load_state_dict(plain_model.vision.state_dict())
    last = {}
    tower.blocks[-1].register_forward_hook(lambda m, i, o: last.update(out=o))
    with torch.inference_mode():
        tower(hash_uniform((1, 3, num_frames, 224, 224), told[name]["salt"]).transpose(1, 2))
    out = last["out"].unflatten(1, (num_frames, 196))
    torch.testing.assert_close(out[:, :, ::7], tensors[f"{name}.encoder_out"], **CLOSE)
    assert float(out.double().abs().sum()) == pytest.approx(told[name]["full_abs_sum"], rel=1e-6)


def test_any_number_of_frames_works_with_the_same_weights(plain_model):
    for num_frames in (2, 3, 5, 31, 64):
        with torch.inference_mode():
            out = plain_model.vision(torch.zeros(1, num_frames, 3, 32, 32))
        assert out.shape == (1, num_frames * 4, 32)
        assert torch.isfinite(out).all()


def test_pixels_of_another_size_are_refused(plain_model):
    with pytest.raises(ConfigError, match=r"\(1, 4, 3, 64, 64\): expected \(B, T, 3, 32, 32\)"):
        plain_model.vision(torch.zeros(1, 4, 3, 64, 64))


def test_checkpoint_frames_is_honoured():
    tower = VisionTower(UMTConfig(image_size=32, width=32, num_blocks=1, num_heads=4, checkpoint_frames=8))
    table = tower.positions(torch.zeros(1, 8, 3, 32, 32))
    assert torch.equal(table, position_table(8, 2, 32, trained_frames=8))
    assert not torch.equal(table, position_table(8, 2, 32))


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation():
    torch.manual_seed(0)
    drop, ones = DropPath(0.25), torch.ones(4000, 2, 2)
    out = drop.train()(ones)
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (out.flatten(1).std(dim=1) == 0).all()  # a sample is dropped whole
    assert float(out.mean()) == pytest.approx(1.0, abs=0.05)
    assert drop.eval()(ones) is ones


def test_gradient_checkpointing_changes_no_number(plain_model):
    tower = VisionTower(tiny().vision).train()
    tower.load_state_dict(plain_model.vision.state_dict())
    grads = []
    for tower.gradient_checkpointing in (False, True):
        tower.zero_grad()
        tower(torch.ones(1, 2, 3, 32, 32)).square().sum().backward()
        grads.append(tower.blocks[0].attn.q_bias.grad.clone())
    torch.testing.assert_close(grads[0], grads[1])
