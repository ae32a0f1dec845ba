"""A tiny HawkEye with random weights does all that the 7B one does, through the real command, on the sample video."""

import io
import json

import pytest
import torch
from tests.conftest import GOLDEN, ROOT

from hawkeye.cli.main import main
from hawkeye.models.hawkeye.config import tiny
from hawkeye.models.hawkeye.conversation import Tokenizers
from hawkeye.models.hawkeye.load import save_folder
from hawkeye.models.hawkeye.model import HawkEye
from hawkeye.models.hawkeye.tokenizers import SentencePieceTokenizer, WordPieceTokenizer

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"
FILES = GOLDEN / "model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizers = Tokenizers(
        SentencePieceTokenizer(FILES / "llama_tiny.model"), WordPieceTokenizer(FILES / "bert_vocab.txt")
    )
    return save_folder(HawkEye.fresh(tiny(), tokenizers, seed=1), tmp_path_factory.mktemp("tiny") / "model")


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of ``hawkeye ARGUMENTS``."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


@pytest.mark.parametrize("decoding", ["best", "exact"])
def test_ground(capsys, folder, decoding):
    code, out, _ = run(
        capsys, "ground", SAMPLE, "a cat", "a rocket", "--model", folder, "--decoding", decoding, "--orders", 2, "--json"
    )  # fmt: skip
    assert code == 0
    answer = json.loads(out)
    assert (answer["model"], answer["strategy"]) == ("hawkeye-tiny", "recursive")
    assert len(answer["results"]) == 2
    for result in answer["results"]:
        assert 0 <= result["span"][0] < result["span"][1] <= 46.01
        for turn in result["turns"]:
            assert len(turn["frame_times"]) == 12
            assert sum(torch.exp(torch.tensor(turn["log_probs"]))) == pytest.approx(1.0, abs=1e-4)


def test_ask_with_options(capsys, folder):
    arguments = ("ask", SAMPLE, "What is it?", "--options", "a cat|a dog", "--options", "a cup", "--model", folder)
    code, out, _ = run(capsys, *arguments, "--start", 3, "--end", 9, "--evidence", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["options"] == ["(A) a cat", "(B) a dog", "(C) a cup"]
    assert answer["answer"] == answer["options"][answer["index"]]
    assert answer["window"] == [3, 9]
    assert sum(answer["probabilities"]) == pytest.approx(1.0, abs=1e-5)
    assert answer["evidence"]["span"][1] > 0
    code, text, _ = run(capsys, *arguments)
    assert code == 0
    assert text.splitlines()[0] in answer["options"]
    assert text.count("%") == 3


def test_ask_freely_and_caption(capsys, folder):
    model = ("--model", folder, "--max-new-tokens", 6)
    code, out, _ = run(capsys, "ask", SAMPLE, "What is it?", *model)
    assert code == 0
    assert out.strip()
    code, out, _ = run(capsys, "caption", SAMPLE, "--where", "middle", "--json", *model)
    assert code == 0
    assert json.loads(out)["question"] == "In the middle of the video."
    assert json.loads(out)["answer"]


def test_chat_from_a_pipe(capsys, folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("What is it?\n\nAnd then?\nexit\nnever asked\n"))
    code, out, _ = run(capsys, "chat", SAMPLE, "--model", folder, "--max-new-tokens", 3)
    assert code == 0
    assert len(out.strip().splitlines()) >= 2


def test_convert_then_ground(capsys, tmp_path, folder):
    """A converted folder is a source like others; here to change its number type."""
    code, out, err = run(capsys, "convert", folder, tmp_path / "m", "--dtype", "bfloat16")
    assert (code, err) == (0, "")
    assert "175 parameters loaded, 0 missing" in out
    assert "vision: 100.0%" in out
    code, out, _ = run(capsys, "ground", SAMPLE, "a cat", "--model", tmp_path / "m", "--dtype", "bfloat16", "--json")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ask", SAMPLE, " "), 2, "the question is empty"),
        (("ask", SAMPLE, "What?", "--options", "one"), 2, "expected 2 to 64 different ones"),
        (("ask", SAMPLE, "What?", "--start", "60", "--model", "FOLDER"), 2, "seconds of a video of 46.0 s"),
        (("ask", "nothing.mp4", "What?", "--model", "FOLDER"), 1, "nothing.mp4: no such file"),
        (("caption", SAMPLE, "--where", "left"), 2, "expected beginning, middle, end, throughout"),
        (("convert", "only"), 2, "expected SOURCE... OUT_DIR"),
        (("convert", "nothing", "out"), 1, "nothing: no such file or folder"),
        (("convert", SAMPLE, "out", "--dtype", "int8"), 2, "expected stored, float32, bfloat16, float16"),
        (("ground", SAMPLE, "a cat", "--model", "hawkeye-7b"), 1, "hawkeye.pth (about 1.9 GB) from https://"),
        (("ground", SAMPLE, "a cat", "--model", "hawkeye-7b", "--weights", "nowhere"), 1, "nowhere: no such folder"),
    ],
)
def test_bad_input_gets_one_line(capsys, folder, arguments, code, said):
    got, out, err = run(capsys, *[folder if a == "FOLDER" else a for a in arguments])
    assert (got, out) == (code, "")
    assert said in err
    assert err.startswith("hawkeye: ")
    assert err.count("\n") == 1
