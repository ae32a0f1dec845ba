"""Ids of the two tokenizers against the reference's, and where each token begins."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawkeye.errors import CheckpointError
from hawkeye.models.hawkeye.tokenizers import (
    JSONTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
    continuation,
)


def test_language_ids_are_the_references(tokenizers, recorded):
    told, _ = recorded("tokenizer_examples")
    tokenizer = tokenizers.language
    differs = [row["text"] for row in told["encode"] if tokenizer.encode(row["text"]) != row["ids"]]
    assert differs == ["a</s>b"]  # on purpose: a text can't end the sequence
    assert (tokenizer.bos, tokenizer.eos) == (told["bos"], told["eos"])
    assert tokenizer.vocab_size == told["vocab_size"]


def test_decoding_reads_as_the_references(tokenizers, recorded):
    told, _ = recorded("tokenizer_examples")
    for row in told["decode"]:
        ours = tokenizers.language.decode(row["ids"])
        theirs = row["decoded"].replace("</s>", "").replace("<unk>", " ⁇ ")
        assert ours.strip() == theirs.strip()


def test_eos_is_silent_and_a_bos_inside_a_reply_joins_nothing(tokenizers):
    tokenizer = tokenizers.language
    ids = tokenizer.encode("At the end")
    assert tokenizer.decode([*ids, tokenizer.eos]) == "At the end"
    assert tokenizer.decode([*ids[:2], tokenizer.bos, *ids[2:]]) != "At the end"
    assert (
        tokenizer.decode([*ids, 31999]) == "At the end ⁇ "
    )  # a model may have more rows than the tokenizer has pieces


def test_stop_sequences(tokenizers):
    assert tokenizers.language.stop_sequences == ((275,), (262, 594))  # 835 and 2277,29937 in LLaMA's own vocabulary


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
@settings(max_examples=60, deadline=None)
def test_each_token_begins_where_its_text_is(tokenizers, text):
    tokenizer = tokenizers.language
    ids, starts = tokenizer.encode_with_starts(text)
    assert len(ids) == len(starts)
    assert starts == sorted(starts)
    assert all(0 <= start <= max(len(text) - 1, 0) for start in starts)
    for cut in {start for start in starts if start}:
        first = starts.index(cut)
        assert text[:cut].replace("▁", " ").startswith(tokenizer.decode(ids[:first]).rstrip("\ufffd"))


def test_a_reply_goes_on_from_its_prompt(tokenizers):
    tokenizer = tokenizers.language
    ids = continuation(tokenizer, "Best option: (", "B) At the end of the video.")
    assert tokenizer.encode("Best option: (B) At the end of the video.") == [*tokenizer.encode("Best option: ("), *ids]
    # "Throu" + "ghout" is one token together: the model, which is past the border, begins a fresh one.
    whole, before = tokenizer.encode("x Throughout"), tokenizer.encode("x Throu")
    assert whole[: len(before)] != before
    assert tokenizer.decode(continuation(tokenizer, "x Throu", "ghout")) == "ghout"


def test_word_pieces_are_the_references_and_long_texts_lose_their_beginning(tokenizers, recorded):
    told, _ = recorded("qformer")
    for row in told["bert_tokenizer_examples"]:
        assert tokenizers.qformer.encode(row["text"], row["max_length"]) == row["ids"]
    assert any(len(row["ids"]) == row["max_length"] for row in told["bert_tokenizer_examples"])


def test_a_json_tokenizer_serves_other_language_models(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["At the end of the video. ###Human: ###Assistant: Best option: (B)\n###"] * 9, trainer)
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = JSONTokenizer(tmp_path / "tokenizer.json")
    text = "At the end.\n###Assistant:"
    ids, starts = tokenizer.encode_with_starts(text)
    assert tokenizer.decode(ids) == text
    assert starts[0] == 0
    assert (tokenizer.bos, tokenizer.eos) == (0, 1)
    assert all(tokenizer.decode(s).strip().endswith("###") for s in tokenizer.stop_sequences)
    tokenizer.save(tmp_path)
    assert JSONTokenizer(tmp_path / "tokenizer.json").encode(text) == ids


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (SentencePieceTokenizer, b"no model", "is not a sentencepiece model"),
        (SentencePieceTokenizer, None, "is not a sentencepiece model"),
        (WordPieceTokenizer, b"a\nb\n", r"has no \[PAD\], \[UNK\], \[CLS\], \[SEP\]"),
        (WordPieceTokenizer, None, "can't be read"),
        (JSONTokenizer, b"{", "can't be read as a tokenizer.json"),
        (JSONTokenizer, json.dumps({"x": 1}).encode(), "is not a tokenizer.json"),
    ],
)
def test_files_that_are_no_tokenizer(tmp_path, kind, content, said):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        kind(path)
