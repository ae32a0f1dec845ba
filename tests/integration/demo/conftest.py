"""One real server for the tests of the web page: the default model, and a slow one to look at while it works."""

from __future__ import annotations

import math
import os
import socket
import threading
from pathlib import Path

import pytest
from tests.conftest import ROOT

SAMPLE = ROOT / "examples" / "space_cat_coffee.mp4"


class Slow:
    """Answers "end", after the gate is open."""

    name, num_frames = "slow", 4

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()

    def score(self, looks):
        assert self.gate.wait(60)
        return [[math.log(0.7 if choice == "end" else 0.1) for choice in look.choices] for look in looks]

    def generate(self, looks, max_new_tokens=100):
        return ["a long time" for _ in looks]


class Server:
    def __init__(self, url, uploads, slow):
        self.url, self.uploads, self.slow = url, uploads, slow


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    pytest.importorskip("gradio")
    from hawkeye.demo.app import build, launch
    from hawkeye.demo.service import Models
    from hawkeye.demo.uploads import Uploads
    from hawkeye.models.base import load_model

    before = os.environ.get("GRADIO_TEMP_DIR")
    slow, uploads = Slow(), Uploads(tmp_path_factory.mktemp("uploads"))
    blocks = build(Models.of({"similarity": load_model(), "slow": slow}), uploads)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = launch(blocks, uploads, port=port, wait=False, max_upload_mb=5)
    yield Server(url, uploads, slow)
    blocks.close()
    uploads.close()
    if before is None:
        del os.environ["GRADIO_TEMP_DIR"]
    else:
        os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture
def sample() -> Path:
    return SAMPLE
