"""The handlers behind the page, with real videos and a small model: progress, cancelling, clear errors, downloads."""

import json
import math
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import ROOT

from hawkeye.demo.jobs import Job, Jobs, Stopped, WatchedReader, run
from hawkeye.demo.page import Api, Page
from hawkeye.demo.service import Models, Search, ground, read_offers, read_sentences
from hawkeye.demo.uploads import Uploads
from hawkeye.errors import ConfigError, VideoError
from hawkeye.video.reader import VideoReader, open_video

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


class Second:
    """Always the second half; waits at ``gate`` before it answers, so that a test can look on."""

    name, num_frames = "second", 4

    def __init__(self):
        self.gate, self.asked = threading.Event(), threading.Event()
        self.gate.set()

    def score(self, looks):
        self.asked.set()
        assert self.gate.wait(30)
        if looks[0].choices:
            return [[math.log(0.7 if choice == "end" else 0.1) for choice in look.choices] for look in looks]
        return [[-float(i) for i in range(len(look.options))] for look in looks]

    def generate(self, looks, max_new_tokens=100):
        return [f"{look.window.start:.0f} to {look.window.end:.0f}" for look in looks]


@pytest.fixture
def model():
    return Second()


@pytest.fixture
def page(model, tmp_path):
    return Page(Models.of({"second": model}), Uploads(tmp_path / "uploads"))


@pytest.fixture
def video(page):
    return str(page.uploads.take(SAMPLE))


def find(page, video, sentences="a cat\na rocket", visitor="v", turns=2):
    return page.find(visitor, video, sentences, "second", "auto", turns)


def test_spans_come_first_and_downloads_after(page, video):
    updates = list(find(page, video))
    shown = next(i for i, update in enumerate(updates) if update.results)
    assert updates[shown].files is None
    last = updates[-1]
    assert last.status == ""
    assert [file.rsplit("/", 1)[1] for file in last.files] == [
        "space_cat_coffee.json",
        "space_cat_coffee.png",
        "space_cat_coffee_34.5-46.0.mp4",
    ]
    rows = json.loads(Path(last.files[0]).read_text())
    assert [row["query"] for row in rows] == ["a cat", "a rocket"]
    assert rows[0]["video"] == "space_cat_coffee.mp4"
    assert rows[0]["span"] == [34.5, 46.0]
    assert Image.open(last.files[1]).width == 1200
    with open_video(last.files[2]) as clip:
        assert clip.info.duration == pytest.approx(11.5, abs=0.05)
    assert updates[shown].results.count("<img ") == 2 * 2 * 4


@pytest.mark.parametrize(
    ("sentences", "message"),
    [("", "no sentence yet"), ("  \n ", "no sentence yet"), ("x" * 2001, "the query has 2001 characters")],
)
def test_bad_sentences_are_one_clear_line(page, video, sentences, message):
    last = list(find(page, video, sentences))[-1]
    assert 'role="alert"' in last.status
    assert message in last.status


def test_a_broken_video_is_one_clear_line_without_paths(page):
    broken = page.uploads.new_folder() / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    last = list(find(page, str(broken)))[-1]
    assert 'role="alert"' in last.status
    assert ">broken.mp4: " in last.status
    assert str(page.uploads.folder) not in last.status


def test_no_video_and_foreign_paths_are_refused(page):
    assert "no video yet" in list(find(page, None))[-1].status
    assert "is not an uploaded file" in list(find(page, str(SAMPLE)))[-1].status


def test_cancel_ends_the_search_and_only_the_own_one(page, video, model):
    model.gate.clear()
    mine, other = find(page, video, visitor="me"), find(page, video, visitor="you")
    assert "Looking" in [next(mine).status for _ in range(3)][-1] or model.asked.wait(10)
    assert page.cancel("nobody").status != page.cancel("me").status
    model.gate.set()
    assert [update.status for update in mine][-1].count("Cancelled.") == 1
    assert list(other)[-1].files is not None


def test_a_closed_page_stops_its_work(page, video, model):
    model.gate.clear()
    updates = find(page, video)
    next(updates)
    job = page.jobs._running["v"]
    updates.close()
    assert job.stopped
    model.gate.set()
    assert page.jobs._running == {}


def test_compare_ask_and_caption(page, video):
    compared = list(page.compare("v", video, "a cat", "second", "auto", "second", "recursive"))[-1].results
    assert compared.count("<section>") == 2
    answered = list(page.ask("v", video, "what?", "a cat\na dog", 0, 0, True, "second"))[-1].results
    assert "(A) a cat" in answered
    assert "Found: " in answered
    described = list(page.caption("v", video, 5, 20, "second"))[-1].results
    assert "5 to 20" in described
    wrong = list(page.caption("v", video, 20, 5, "second"))[-1].status
    assert "expected 0 &lt;= start &lt; end" in wrong


def test_the_api_gives_plain_values(page, video):
    api = Api(page)
    (row,) = api.ground(video, "a cat", "second", "recursive", 1)
    assert row["span"] == [23.0, 46.0]
    assert row["video"] == "space_cat_coffee.mp4"
    assert api.ask(video, "what?", "a\nb", "second")["index"] == 0
    assert api.caption(video, "second", 5, 20)["answer"] == "5 to 20"
    with open_video(api.clip(video, 1.0, 2.0)) as clip:
        assert clip.info.duration == pytest.approx(1.0, abs=0.05)
    with pytest.raises(VideoError, match="is not an uploaded file"):
        api.clip(str(SAMPLE), 1.0, 2.0)
    with pytest.raises(ConfigError, match="model 'gpt' is not offered here: expected one of second"):
        api.ground(video, "a cat", "gpt")


def test_watched_readers_count_and_stop():
    job = Job()
    with open_video(SAMPLE) as reader:
        watched = WatchedReader(reader, job)
        assert isinstance(watched, VideoReader)
        job.phase("Looking", 4)
        assert watched.read([0, 100]).times == reader.read([0, 100]).times
        assert job.fraction == 0.5
        job.stop()
        with pytest.raises(Stopped):
            watched.read([0])


def test_a_stopped_job_leaves_the_model_free(model, tmp_path):
    models, job = Models.of({"second": model}), Job()
    job.stop()
    with pytest.raises(Stopped):
        ground(models, SAMPLE, ["a cat"], Search("second"), job)
    assert models.lock("second").acquire(blocking=False)


def test_run_hands_on_results_and_errors():
    def outcome(work):
        steps = run(Job(), work, 0.01)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    assert outcome(lambda: 7) == 7
    with pytest.raises(ConfigError, match="no"):
        outcome(lambda: (_ for _ in ()).throw(ConfigError("no")))


def test_a_second_job_of_a_visitor_stops_the_first():
    jobs = Jobs()
    first, second = jobs.begin("v"), jobs.begin("v")
    assert (first.stopped, second.stopped) == (True, False)
    jobs.end("v", first)
    assert jobs.stop("v")
    assert second.stopped


def test_sentences_are_lines():
    assert read_sentences("a cat\n\n  a   dog \na cat") == ["a cat", "a dog"]
    with pytest.raises(ConfigError, match="21 sentences: expected at most 20"):
        read_sentences("\n".join(f"cat {i}" for i in range(21)))


def test_offers_are_models_with_weights():
    offers = read_offers(["similarity", "openai=http://localhost:8000/v1#m", "similarity"])
    assert [(o.name, o.model, o.weights) for o in offers] == [
        ("similarity", "similarity", None),
        ("openai", "openai", "http://localhost:8000/v1#m"),
        ("similarity'", "similarity", None),
    ]
    assert [o.name for o in read_offers([])] == ["similarity"]
    with pytest.raises(ConfigError, match="--model nothing: no such model or folder"):
        read_offers(["nothing"])
