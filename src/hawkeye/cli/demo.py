"""``hawkeye demo``: the web page."""

from __future__ import annotations

from typing import Annotated

import typer

from hawkeye.cli.common import DeviceOption, DtypeOption, say
from hawkeye.errors import ConfigError


def command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to offer: a name, a folder, or name=weights; give it several times to offer several."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7860,
    share: Annotated[str, typer.Option(help="on: a public address through gradio's servers; off: none.")] = "off",
    max_upload_mb: Annotated[int, typer.Option(help="Largest upload in MB.")] = 500,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
) -> None:
    """Serve a web page: find, ask, caption and compare in the browser."""
    if share not in ("on", "off"):
        raise ConfigError(f"--share is {share!r}: expected on or off")
    if not 0 < port < 65536:
        raise ConfigError(f"--port is {port}: expected 1 to 65535")
    if max_upload_mb < 1:
        raise ConfigError(f"--max-upload-mb is {max_upload_mb}: expected 1 or more")
    from hawkeye.demo.app import build, launch
    from hawkeye.demo.service import Models, read_offers
    from hawkeye.demo.uploads import Uploads

    models = Models(read_offers(model or []), device, dtype)
    models.get(models.names[0])  # before anybody waits for it, and a wrong name is said here
    uploads = Uploads()
    try:
        blocks = build(models, uploads)
        say(f"hawkeye: http://{host}:{port} (Ctrl+C ends it; uploads are deleted after an hour and at the end)")
        launch(blocks, uploads, host, port, share == "on", max_upload_mb)
    finally:
        uploads.close()
