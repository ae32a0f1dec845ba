"""Visual tokens, training batches and losses against the reference's recordings, and what happens beyond their range."""

import pytest
import torch

from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.models.hawkeye.config import tiny
from hawkeye.models.hawkeye.conversation import IGNORED, VISUAL, encode_conversation, learned_ranges
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.prompts import Conversation, inference_conversation

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
CASES = ["conv", "caption", "mixed", "noquestion_noinstruction", "truncated", "image", "conv_T12"]


@pytest.fixture
def batch_of(hash_uniform, recorded):
    told, _ = recorded("forward")

    def make(model, case):
        items = told[case]["items"]
        conversations = [Conversation(item["text"], item["qformer_instruction"]) for item in items]
        pixels = hash_uniform((len(items), told[case]["T"], 3, 32, 32), 300 + CASES.index(case))
        model.config = model.config.model_copy(update={"max_text_tokens": told[case]["max_txt_len"]})
        return model.training_batch(conversations, pixels)

    return make


@pytest.mark.parametrize(("name", "num_frames"), [("T1", 1), ("T4", 4), ("T8", 8), ("T12", 12)])
def test_visual_tokens(plain_model, recorded, hash_uniform, name, num_frames):
    told, tensors = recorded("encode_img")
    wanted = tensors[f"{name}.output"]
    pixels = hash_uniform((wanted.shape[0], num_frames, 3, 32, 32), 50 + num_frames)
    with torch.inference_mode():
        torch.testing.assert_close(plain_model.encode_video(pixels, told[name]["instruction"]), wanted, **CLOSE)


@pytest.mark.parametrize("variant", ["empty_string", "plain_str", "empty_list_item"])
def test_visual_tokens_of_one_instruction(plain_model, recorded, hash_uniform, variant):
    told, tensors = recorded("encode_img")
    instruction = told[f"T4_{variant}"]["instruction"]
    pixels = hash_uniform((2, 4, 3, 32, 32), 54)[:1]
    with torch.inference_mode():
        out = plain_model.encode_video(pixels, [instruction] if isinstance(instruction, str) else instruction)
    torch.testing.assert_close(out, tensors[f"T4_{variant}.output"], **CLOSE)


@pytest.mark.parametrize("bos_quirk", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_labels(build, batch_of, recorded, case, bos_quirk):
    _, tensors = recorded("forward")
    model = build(bos_quirk=bos_quirk)
    batch = batch_of(model, case)
    assert torch.equal(batch.labels, tensors[f"{case}.labels"].long())
    assert torch.equal(batch.attention_mask, tensors[f"{case}.attention_mask"].bool())
    with torch.inference_mode():
        out = model(batch)
    kind = "" if bos_quirk else "_true_bos"
    torch.testing.assert_close(out.loss, tensors[f"{case}.loss{kind}"][0], **CLOSE)
    torch.testing.assert_close(out.token_log_probs, tensors[f"{case}.token_logprob{kind}"], **CLOSE)
    assert out.num_learned == int((batch.labels != IGNORED).sum())


@pytest.mark.parametrize("case", CASES)
def test_embeddings_of_the_prompt(build, batch_of, recorded, case):
    _, tensors = recorded("forward")
    model = build()
    batch = batch_of(model, case)
    with torch.inference_mode():
        visual = model.visual_tokens(model.vision_features(batch.pixels), batch.instruction_ids, batch.instruction_mask)
        embedded = model.embed_prompt(batch.tokens, visual)
    # Every fourth position is kept; the recording has the number 1.0 in the BOS slot.
    torch.testing.assert_close(embedded[:, ::4][:, 1:], tensors[f"{case}.inputs_embeds"][:, 1:], **CLOSE)
    assert (tensors[f"{case}.inputs_embeds"][:, 0] == 1).all()


def test_logits(build, batch_of, recorded):
    _, tensors = recorded("forward")
    model = build(bos_quirk=True)
    with torch.inference_mode():
        logits = model.language.lm_head(model.hidden_states(batch_of(model, "conv")))
    torch.testing.assert_close(logits[:, ::8], tensors["conv.logits"], **CLOSE)


def test_texts_that_the_reference_reads(tokenizers, recorded):
    told, _ = recorded("forward")
    cases = {k: v for k, v in told["_edge_cases"].items() if isinstance(v, dict) and v["ok"]}
    assert len(cases) == 3
    for case in cases.values():
        assert learned_pieces(tokenizers, case["text"]) == case["supervised"]


def test_texts_that_stop_the_reference(tokenizers, recorded):
    told = recorded("forward")[0]["_edge_cases"]
    assert learned_pieces(tokenizers, told["question_with_trailing_newline"]["text"]) == (
        ["▁###", "Human", ":", "▁###", "Assistant", ":", "▁The", "▁door", ".", "▁###"]
    )
    for name, count in (("two_end_tokens", 2), ("no_end_token", 0)):
        with pytest.raises(AnnotationError, match=f"expected exactly one .*, found {count}"):
            learned_pieces(tokenizers, told[name]["text"])


def learned_pieces(tokenizers, text):
    encoded = encode_conversation(tokenizers.language, text)
    pieces = [tokenizers.language._model.id_to_piece(i) for i in encoded.after]
    return [piece for piece, learned in zip(pieces, encoded.learned, strict=True) if learned]


def test_the_layout_of_evaluation_can_be_learned_too(tokenizers):
    rounds = [{"i": "Watch.", "q": "What?", "a": "(B) At the end."}, {"q": "Where?", "a": "Here."}]
    text = inference_conversation(rounds, " The video contains 1 frames.", choose=True).text
    said = "".join(learned_pieces(tokenizers, text)).replace("▁", " ").replace("<0x0A>", "\n")
    assert said == "###Human:###Assistant: Best option: (B) At the end.\n###Human:###Assistant: Here.\n###"


def test_learned_ranges_of_a_bare_caption():
    assert learned_ranges("</Video>a dog") == [(8, 13)]
    assert learned_ranges("</Image>a dog") == [(8, 13)]


def test_a_batch_with_nothing_to_learn_has_no_loss_and_no_gradient(build, hash_uniform):
    model = build(max_text_tokens=20)
    long = Conversation("###Human: <Video></Video>" + " the video" * 40 + " ###Assistant: a dog ###", "")
    out = model(model.training_batch([long], hash_uniform((1, 4, 3, 32, 32), 1)))
    assert (out.num_learned, float(out.loss.detach())) == (0, 0.0)
    out.loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_a_prefix_longer_than_the_limit_loses_its_beginning(build, hash_uniform):
    model = build(max_text_tokens=8)
    long = Conversation("the video " * 40 + "###Human: <Video></Video> ###Assistant: a dog ###", "")
    batch = model.training_batch([long], hash_uniform((1, 4, 3, 32, 32), 1))
    kept = model.tokenizers.language.encode("the video ###Human: <Video>")[-7:]
    assert batch.tokens.tolist() == [[1, *kept, *[VISUAL] * 12]]
    assert float(model(batch).loss.detach()) == 0.0


def test_counts_of_visual_tokens_are_checked(plain_model):
    tokens = torch.tensor([[1, VISUAL, VISUAL, 5]])
    with pytest.raises(ConfigError, match=r"places for \[2\] visual tokens, and each video gave 12"):
        plain_model.embed_prompt(tokens, torch.zeros(1, 12, 64))
    with pytest.raises(ConfigError, match=r"places for \[12, 13\]"):
        plain_model.embed_prompt(torch.tensor([[1, *[VISUAL] * 12], [VISUAL] * 13]), torch.zeros(2, 12, 64))


def test_as_many_conversations_as_videos(plain_model, hash_uniform):
    with pytest.raises(AnnotationError, match="1 conversations for 2 videos"):
        plain_model.training_batch([Conversation("<Video></Video>a", "")], hash_uniform((2, 4, 3, 32, 32), 1))


def test_fresh_weights_depend_on_the_seed_alone(tokenizers):
    first, second, other = (HawkEye.fresh(tiny(), tokenizers, seed=seed) for seed in (3, 3, 4))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    differ = [not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)]
    assert all(same)
    assert sum(differ) > len(differ) / 3  # the rest are norms and biases
    assert not any(p.is_meta for p in first.parameters())
    assert torch.isfinite(first.language.model.rotary_emb.inv_freq).all()


def test_tied_embeddings_stay_tied(tokenizers, hash_uniform):
    language = tiny().language.model_copy(update={"tie_embeddings": True, "lora": None, "num_kv_heads": 2})
    model = HawkEye.fresh(tiny(language=language), tokenizers)
    assert model.language.lm_head.weight is model.language.model.embed_tokens.weight
    batch = model.training_batch([Conversation("<Video></Video>a dog", "")], hash_uniform((1, 2, 3, 32, 32), 5))
    assert torch.isfinite(model(batch).loss)
