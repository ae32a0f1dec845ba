"""The Q-Former against the reference's recordings."""

import pytest
import torch

from hawkeye.errors import ConfigError
from hawkeye.models.hawkeye.config import QFormerConfig
from hawkeye.models.hawkeye.qformer import QFormer

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def test_every_hidden_state(plain_model, recorded):
    _, tensors = recorded("qformer")
    former, states = plain_model.qformer, []
    hooks = [former.embeddings.register_forward_hook(lambda m, i, o: states.append(o))]
    hooks += [layer.register_forward_hook(lambda m, i, o: states.append(o)) for layer in former.layers]
    with torch.inference_mode():
        mask = tensors["attention_mask"][:, 12:].bool()
        out = former(tensors["encoder_hidden_states"], tensors["input_ids"], mask)
        projected = plain_model.projection(out)
    for hook in hooks:
        hook.remove()
    real = tensors["attention_mask"].bool()  # what padding becomes has no influence, and no meaning
    assert len(states) == 5
    for i, state in enumerate(states):
        torch.testing.assert_close(state[real], tensors[f"hidden_states_{i}"][real], **CLOSE)
    torch.testing.assert_close(former.queries.expand(2, -1, -1), tensors["query_embeds"], **CLOSE)
    torch.testing.assert_close(out, tensors["query_output"], **CLOSE)
    torch.testing.assert_close(projected, tensors["llama_proj_output"], **CLOSE)


def test_padding_changes_nothing(plain_model, recorded):
    _, tensors = recorded("qformer")
    ids, mask, video = tensors["input_ids"], tensors["attention_mask"][:, 12:].bool(), tensors["encoder_hidden_states"]
    with torch.inference_mode():
        together = plain_model.qformer(video, ids, mask)
        length = int(mask[1].sum())
        alone = plain_model.qformer(video[1:], ids[1:, :length], mask[1:, :length])
    torch.testing.assert_close(together[1:], alone, atol=1e-6, rtol=1e-5)


def test_an_instruction_beyond_the_positions_is_refused(plain_model):
    ids = torch.ones(1, 129, dtype=torch.long)
    with pytest.raises(ConfigError, match="129 tokens: expected at most 128"):
        plain_model.qformer(torch.zeros(1, 4, 32), ids, ids.bool())


def test_without_text_and_extra_queries():
    sizes = {"width": 32, "num_layers": 2, "num_heads": 4, "mlp_width": 64, "num_queries": 3}
    former = QFormer(QFormerConfig(**sizes, num_extra_queries=0, text_input=False), 16).eval()
    assert former(torch.zeros(2, 5, 16), None, None).shape == (2, 3, 32)
    assert not any("word_embeddings" in name or "extra" in name for name, _ in former.named_parameters())


def test_drop_path_rises_over_the_layers(plain_model):
    rates = [layer.output_query.drop_path.rate for layer in plain_model.qformer.layers]
    assert rates == pytest.approx([0, 0.2 / 3, 0.4 / 3, 0.2])
    assert plain_model.qformer.layers[2].attention.output.drop_path.rate == pytest.approx(0.4 / 3)
