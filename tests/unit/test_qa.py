"""Questions and captions through real models and a real video."""

import pytest
from tests.conftest import ROOT

from hawkeye.choices import Choice
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Answer, load_model
from hawkeye.qa import Chat, ask, caption, seen
from hawkeye.video.reader import open_video

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


@pytest.fixture(scope="module")
def similarity():
    return load_model()


class Recorder:
    """A model that remembers what it was shown; the texts it gives are the prompts' last words."""

    name, num_frames = "recorder", 4

    def __init__(self, index=0) -> None:
        self.looks, self.index = [], index

    def score(self, looks):
        return [list(reply.log_probs) for reply in self.answer(looks)]

    def answer(self, looks):
        self.looks += looks
        return [Answer(tuple([-1.0] * len(look.options)), self.index, "a reply") for look in looks]

    def generate(self, looks, max_new_tokens=100):
        self.looks += looks
        return [f"reply {len(self.looks)} of {max_new_tokens}" for _ in looks]


def test_multiple_choice_by_the_default_model(similarity):
    reply = ask(
        similarity, SAMPLE, "What is in the picture?", ["a cat", "a cup of coffee", "a rocket"], start=24, end=40
    )
    assert reply.options == ("(A) a cat", "(B) a cup of coffee", "(C) a rocket")
    assert reply.text == reply.options[reply.index]
    assert sum(reply.probabilities) == pytest.approx(1.0)
    assert reply.probabilities.index(max(reply.probabilities)) == reply.index
    assert (reply.window.start, reply.window.end) == (24, 40)
    assert len(reply.frame_times) == similarity.num_frames
    assert all(24 <= t <= 40 for t in reply.frame_times)


def test_evidence_is_grounded_in_the_whole_video():
    model = Recorder(index=1)
    reply = ask(model, SAMPLE, "Does a rocket lift off?", ["yes", "no"], start=0, end=20, evidence=True)
    assert reply.evidence.query == "Does a rocket lift off"
    assert reply.evidence.turns[0].window == (0, pytest.approx(46.0))
    assert reply.to_dict()["evidence"]["span"] == list(reply.evidence.span)
    assert ask(model, SAMPLE, "What?", ["a cat", "a dog"]).to_dict()["evidence"] is None


def test_what_the_model_is_shown():
    model = Recorder()
    ask(model, SAMPLE, "  What is it? ", ["a", "b"], start=10, num_frames=6)
    (look,) = model.looks
    assert len(look.frames) == 6
    assert look.window.start == 10
    assert look.window.end == pytest.approx(46.0)
    # Seconds of the video, not of the window.
    assert f"sampled at {look.frames.times[0]:.1f}, " in look.prompt.message
    assert look.frames.times[0] > 10
    assert look.prompt.question == "Question: What is it?\nOptions:\n(A) a\n(B) b"
    assert look.choices == ()


def test_an_unreadable_reply_is_shown_as_it_is():
    reply = ask(Recorder(index=None), SAMPLE, "What?", ["a", "b"])
    assert (reply.index, reply.text) == (None, "a reply")


def test_open_questions_and_captions():
    model = Recorder()
    assert ask(model, SAMPLE, "What?", max_new_tokens=7).text == "reply 1 of 7"
    reply = caption(model, SAMPLE, where=Choice.END, end=9.5)
    assert reply.question == "At the end of the video."
    assert reply.window.end == 9.5
    assert caption(model, SAMPLE).question == ""
    prompts = [look.prompt for look in model.looks]
    assert prompts[0].question == "Question: What?\n"
    assert prompts[1].instruction != prompts[2].instruction
    assert all(look.options == () for look in model.looks)


def test_a_chat_remembers_and_reads_the_video_once():
    model = Recorder()
    with open_video(SAMPLE) as reader, seen(model, reader) as view:
        chat = Chat(model, view)
        assert chat.say("What is it?") == "reply 1 of 100"
        assert chat.say("And now?") == "reply 2 of 100"
        assert model.looks[0].frames is model.looks[1].frames
        assert "reply 1 of 100" in model.looks[1].prompt.question
        assert model.looks[1].prompt.question.endswith("Question: And now?\n")
        assert len(reader.read([0]).times) == 1  # a reader that was given stays open


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"question": "  "}, "the question is empty"),
        ({"question": "x" * 5000}, "5000 characters: expected at most 4000"),
        ({"options": ["one"]}, "expected 2 to 64 different ones"),
        ({"options": ["one", "one"]}, "expected 2 to 64 different ones"),
        ({"options": ["one", " "]}, "expected 2 to 64 different ones"),
        ({"start": 50}, r"start 50, end 46: expected 0 <= start < end, in seconds of a video of 46.0 s"),
        ({"start": 5, "end": 5}, "start 5, end 5"),
        ({"start": -1}, "start -1"),
        ({"end": float("nan")}, "expected 0 <= start < end"),
    ],
)
def test_what_can_not_be_asked(options, said):
    with pytest.raises(ConfigError, match=said):
        ask(Recorder(), SAMPLE, **{"question": "What?", **options})


def test_where_must_be_one_of_four():
    with pytest.raises(ConfigError, match="where is 'left': expected beginning, middle, end, throughout"):
        caption(Recorder(), SAMPLE, where="left")


def test_a_model_that_can_not_write():
    model = Recorder()
    model.generate = None
    with pytest.raises(ModelError, match="the model recorder can't write text"):
        ask(model, SAMPLE, "What?")
