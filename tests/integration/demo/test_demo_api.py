"""The page as an API, through gradio's own client, and what its server refuses."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from tests.conftest import ROOT

from hawkeye.video.reader import open_video

gradio_client = pytest.importorskip("gradio_client")


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    return gradio_client.Client(
        server.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")), analytics_enabled=False
    )


@pytest.fixture(scope="module")
def handle(client):
    return gradio_client.handle_file(ROOT / "examples" / "space_cat_coffee.mp4")


def status_of(url, data=None):
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_sentences_are_found(client, handle):
    coffee, rocket = client.predict(
        handle, "A cup of coffee on a wooden table.\nA rocket lifts off from the launch pad.", api_name="/ground"
    )
    assert coffee["video"] == "space_cat_coffee.mp4"
    assert coffee["found"]
    assert coffee["span"][0] == pytest.approx(22, abs=1.5)
    assert rocket["span"][0] == pytest.approx(7, abs=1.5)
    assert rocket["curve"]


def test_settings_by_name(client, handle):
    (row,) = client.predict(
        video=handle, sentences="a cat", model="slow", strategy="recursive", max_turns=2, api_name="/ground"
    )
    assert row["model"] == "slow"
    assert row["span"] == [34.5, 46.0]
    assert len(row["turns"]) == 2


def test_ask_caption_and_clip(client, handle):
    reply = client.predict(
        video=handle, question="What is it?", options="a rocket\na cat", start=8, end=14, api_name="/ask"
    )
    assert reply["index"] == 0
    assert sum(reply["probabilities"]) == pytest.approx(1)
    assert client.predict(video=handle, start=23, end=29, api_name="/caption")["answer"].startswith("a video of ")
    with open_video(client.predict(video=handle, start=1, end=2, api_name="/clip")) as clip:
        assert clip.info.duration == pytest.approx(1.0, abs=0.05)


def test_errors_are_the_library_s_lines(client, handle):
    with pytest.raises(gradio_client.exceptions.AppError, match="no sentence yet: type one such as"):
        client.predict(handle, "", api_name="/ground")
    with pytest.raises(gradio_client.exceptions.AppError, match=r"start 30.* expected 0 <= start < end"):
        client.predict(video=handle, start=30, end=20, api_name="/caption")


def test_the_api_is_documented(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {"/ground", "/ask", "/caption", "/clip"}
    names = [p["parameter_name"] for p in described["/ground"]["parameters"]]
    assert names == ["video", "sentences", "model", "strategy", "max_turns"]


def call(server, name, *data):
    """(event, data) of a raw request, without the client, which would upload a local file by itself."""
    body = json.dumps({"data": list(data)}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}gradio_api/call/{name}", body, headers)
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{server.url}gradio_api/call/{name}/{event}") as answer:
        lines = [line for line in answer.read().decode().splitlines() if line and "heartbeat" not in line]
    return lines[0].removeprefix("event: "), lines[1].removeprefix("data: ")


def test_no_path_outside_the_upload_folder_is_opened(server):
    inside = server.uploads.take(ROOT / "examples" / "space_cat_coffee.mp4")
    outside = (ROOT / "examples" / "space_cat_coffee.mp4", "/etc/passwd", f"{server.uploads.folder}/../../etc/passwd")
    for path, expected in [(inside, "complete"), *((path, "error") for path in outside)]:
        given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        event, data = call(server, "clip", given, 1, 2)
        assert event == expected, (path, data)
    for path in (*outside, ROOT / "pyproject.toml"):
        assert status_of(f"{server.url}gradio_api/file={urllib.parse.quote(str(path))}") in (403, 404)


def test_uploads_beyond_the_limit_are_refused(client, tmp_path):
    big = tmp_path / "big.mp4"
    big.write_bytes(bytes(6 * 1024 * 1024))
    with pytest.raises(ValueError, match=r"413|exceed|too large|Maximum"):
        client.predict(gradio_client.handle_file(big), "a cat", api_name="/ground")


def test_a_port_in_use_is_one_clear_line(server, tmp_path, monkeypatch):
    from hawkeye.demo.app import build, launch
    from hawkeye.demo.service import Models
    from hawkeye.demo.uploads import Uploads
    from hawkeye.errors import ConfigError

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(server.uploads.folder))  # so that it is put back afterwards
    uploads = Uploads(tmp_path / "other")
    port = urllib.parse.urlsplit(server.url).port
    with pytest.raises(ConfigError, match=rf"--port {port}: can't serve there"):
        launch(build(Models.of({"slow": server.slow}), uploads), uploads, port=port, wait=False)
