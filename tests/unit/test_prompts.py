"""Every text that a model sees, to the character, against the reference's recordings."""

import json
import random
import re

import pytest

from hawkeye.choices import OPTION_TEXT, Choice, option_lines, read_reply
from hawkeye.models.hawkeye.answering import whole_reply
from hawkeye.prompts import (
    GROUNDING_INSTRUCTION,
    Prompt,
    caption_conversation,
    caption_prompt,
    format_seconds,
    frames_message,
    grounding_prompt,
    inference_conversation,
    open_prompt,
    qa_prompt,
    training_conversation,
)


@pytest.fixture(scope="module")
def told(golden):
    return json.loads((golden / "model" / "prompts.json").read_text(encoding="utf-8"))


def times_in(text: str) -> list[float]:
    return [float(t) for t in re.search(r"sampled at (.*?) seconds", text)[1].split(", ")]


def whole(prompt: Prompt) -> str:
    return f"{prompt.before_video}<VideoHere>{prompt.after_video}"


def test_grounding_prompts(told):
    count = 0
    for run in told["recursive_grounding"]:
        for turn in run["turns"]:
            full = turn["full_prompt"]
            options = re.findall(r"^\([A-D]\) .*$", full, re.MULTILINE)
            prompt = grounding_prompt(run["query"], options, times_in(full))
            assert whole(prompt) == full
            assert prompt.instruction == turn["qformer_instruction"]
            count += 1
    assert count == 12


def test_grounding_replies_are_read_as_recorded(told):
    for run in told["recursive_grounding"]:
        for turn in run["turns"]:
            options = re.findall(r"^\([A-D]\) .*$", turn["full_prompt"], re.MULTILINE)
            prompt = grounding_prompt(run["query"], options, [0.0])
            reply = whole_reply(prompt, turn["raw_reply"].replace("</s>", ""))
            assert reply == turn["reply_after_parse"].replace("</s>", "")
            index = read_reply(reply, options)
            named = {text: choice for choice, text in OPTION_TEXT.items()}
            choice = Choice.THROUGHOUT if index is None else named[options[index].split(") ", 1)[1]]
            assert choice == turn["parsed_answer"]


def test_question_prompts(told):
    modes = set()
    for case in told["videoqa"]:
        question, full = case["data"]["question"], case["full_prompt"]
        if case["mode"] == "choice":
            prompt = qa_prompt(question, option_lines(case["data"]["candidates"]), times_in(full))
        elif case["mode"] in ("grounding_sec", "grounding_frame"):
            prompt = open_prompt(question, times_in(full))
        else:
            continue  # the reference's variant that asks for an answer and a part at once is not used here
        modes.add(case["mode"])
        assert whole(prompt) == full
        assert prompt.instruction == case["qformer_instruction"]
    assert modes == {"choice", "grounding_sec", "grounding_frame"}


def test_training_conversations(told):
    assert len(told["training_conversations"]) == 5
    for case in told["training_conversations"]:
        made = training_conversation(case["qa"], case["message"])
        assert made.text == case["conversation"]
        assert made.instruction == case["qformer_instruction"]


def test_bare_captions(told):
    for text in told["training_time_caption_formats"]:
        made = caption_conversation(text.removeprefix("<Video></Video>"))
        assert (made.text, made.instruction) == (text, "")
    assert caption_conversation("a dog", "image").text == "<Image></Image>a dog"


def test_a_conversation_laid_out_as_an_evaluation_prompt():
    options = option_lines(["yes", "no"])
    rounds = [
        {"i": GROUNDING_INSTRUCTION.strip(), "q": "Question: Is it?\nOptions:\n" + "\n".join(options), "a": options[1]}
    ]
    made = inference_conversation(rounds, " " + frames_message([0.5]), choose=True)
    prompt = Prompt(
        GROUNDING_INSTRUCTION,
        " " + frames_message([0.5]),
        rounds[0]["q"],
        "\nOnly give the best option.",
        "Best option: (",
    )
    assert made.text == prompt.before_video + prompt.after_video + "B) no\n###"
    free = inference_conversation([{"i": "", "q": "What?", "a": "A dog."}])
    assert free.text.endswith("What?\n###Assistant: A dog.\n###")


def test_an_open_reply_begins_with_its_own_blank():
    for prompt in (open_prompt("What?", [0.0]), caption_prompt([0.0], OPTION_TEXT[Choice.END]), caption_prompt([0.0])):
        assert prompt.after_video.endswith("\n###Assistant:")
    assert "At the end of the video." in caption_prompt([0.0], OPTION_TEXT[Choice.END]).after_video


def test_earlier_turns_stand_before_the_question():
    prompt = open_prompt("And then?", [0.0], [("Question: What?\n", "A dog.")])
    assert prompt.question == "Question: What?\n\n###Assistant: A dog.\n###Human: Question: And then?\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2"), (0.35, "0.4"), (2.449999, "2.4"), (-0.01, "0.0"), (12.0, "12.0"), (0.05, "0.0"), (0.15, "0.2")],
)
def test_seconds_are_rounded_half_to_even_as_recorded(seconds, text):
    assert format_seconds(seconds) == text


def test_seconds_agree_with_numpy():
    import numpy as np

    rng = random.Random(3)
    for _ in range(500):
        value = rng.randrange(0, 40000) / rng.choice([24, 25, 29.97, 30])
        assert format_seconds(value) == f"{np.round(value, 1):.1f}"
