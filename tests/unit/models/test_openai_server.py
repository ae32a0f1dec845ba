"""A real HTTP server on the loopback, speaking the protocol as vLLM does, and as a plain server does."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from PIL import Image

from hawkeye.choices import Choice, option_lines
from hawkeye.errors import ConfigError, ModelError
from hawkeye.models.base import Look, load_model
from hawkeye.models.openai_server import OpenAIServer
from hawkeye.prompts import grounding_prompt
from hawkeye.spans import Span
from hawkeye.video.reader import Frames


def look(query="a dog"):
    options = tuple(option_lines(["one", "two", "three", "four"]))
    frames = Frames(torch.zeros(2, 3, 500, 400, dtype=torch.uint8), (0.5, 1.5))
    return Look(
        "v.mp4", 2.0, Span(0, 2), frames, query, grounding_prompt(query, options, (0.5, 1.5)), options, tuple(Choice)
    )


@pytest.fixture
def server():
    """Set ``server.reply`` to a function (request body) -> (status, answer)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._send(200, {"data": [{"id": "first-model"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            http.bodies.append(body)
            self._send(*http.reply(body))

        def _send(self, status, answer):
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.bodies, http.reply = [], lambda body: (200, {})
    http.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield http
    http.shutdown()
    http.server_close()


def reply(text, top=None):
    content = [{"token": text[:1], "logprob": -0.1, "top_logprobs": top}] if top else None
    return 200, {"choices": [{"message": {"content": text}, "logprobs": {"content": content} if content else None}]}


def test_probabilities_of_the_first_token(server):
    top = [{"token": "B", "logprob": -0.2}, {"token": "A", "logprob": -2.0}, {"token": " the", "logprob": -3.0}]
    server.reply = lambda body: reply("B", top)
    model = load_model("openai", weights=server.url)
    (row,) = model.score([look()])
    assert model.name == "openai:first-model"
    assert row[1] - row[0] == pytest.approx(1.8)
    assert sum(torch.tensor(row).exp()) == pytest.approx(1.0)
    content = server.bodies[0]["messages"][-1]["content"]
    picture = Image.open(io.BytesIO(base64.b64decode(content[0]["image_url"]["url"].split(",")[1])))
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert min(picture.size) == 336
    assert "'a dog'" in content[-1]["text"]
    assert "(D) four" in content[-1]["text"]


def test_a_server_without_probabilities_is_read_by_its_letter(server):
    server.reply = lambda body: reply("(C) three")
    (answer,) = OpenAIServer(server.url, "m").answer([look()])
    assert answer.index == 2
    assert max(range(4), key=answer.log_probs.__getitem__) == 2


def test_a_reply_that_names_nothing(server):
    server.reply = lambda body: reply("I cannot tell.")
    (answer,) = OpenAIServer(server.url, "m").answer([look()])
    assert answer.index is None
    assert len(set(answer.log_probs)) == 1


def test_many_looks_keep_their_order(server):
    server.reply = lambda body: reply("ABCD"[int(body["messages"][-1]["content"][-1]["text"].split("'q")[1][0]) % 4])
    answers = OpenAIServer(server.url, "m").answer([look(f"q{i}") for i in range(8)])
    assert [a.index for a in answers] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_busy_then_well(server):
    codes = iter([503, 200])
    server.reply = lambda body: reply("A") if next(codes) == 200 else (503, {})
    assert OpenAIServer(server.url, "m").answer([look()])[0].index == 0
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("status", "answer", "message"), [(400, {"error": "too big"}, "HTTP 400"), (200, b"<html>", "JSON")]
)
def test_what_a_server_can_do_wrong(server, status, answer, message):
    server.reply = lambda body: (status, answer)
    with pytest.raises(ModelError, match=message):
        OpenAIServer(server.url, "m").score([look()])


def test_a_reply_of_another_shape(server):
    server.reply = lambda body: (200, {"choices": []})
    with pytest.raises(ModelError, match="choices"):
        OpenAIServer(server.url, "m").score([look()])


def test_nobody_there():
    with pytest.raises(ModelError, match="no answer"):
        OpenAIServer("http://127.0.0.1:9/v1", "m", retries=0).score([look()])


def test_no_url():
    with pytest.raises(ConfigError, match="http"):
        load_model("openai")
