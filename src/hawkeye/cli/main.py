"""The ``hawkeye`` command: one verb a file, loaded only when it is asked for, so that ``hawkeye --help`` is quick.

Logs and errors go to stderr, results to stdout. Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from hawkeye.errors import ConfigError, HawkEyeError
from hawkeye.version import __version__

# verb -> (module, one-line help). A module has either `command` (a function) or `app` (a Typer with verbs of its own).
VERBS: dict[str, tuple[str, str]] = {
    "ground": ("hawkeye.cli.ground", "Find when a sentence happens in a video."),
    "ask": ("hawkeye.cli.ask", "Ask a question about a video."),
    "caption": ("hawkeye.cli.caption", "Describe a video or a part of it."),
    "chat": ("hawkeye.cli.chat", "Talk about a video, several turns."),
    "convert": ("hawkeye.cli.convert", "Convert published weights into a model folder."),
    "models": ("hawkeye.cli.models", "List the models that can be asked for by name."),
    "synth": ("hawkeye.cli.synth", "Compose videos with exact spans from captioned pictures."),
    "eval": ("hawkeye.cli.eval", "Run a benchmark: resumable, in shards, with a manifest and a score."),
    "score": ("hawkeye.cli.score", "Score predictions against annotations, with error bars."),
    "report": ("hawkeye.cli.report", "Runs side by side: tables, charts, the worst and best cases."),
    "prepare": ("hawkeye.cli.prepare", "Annotation files to JSON, a check of the videos, files for servers."),
    "train": ("hawkeye.cli.train", "Train a model, or check a training configuration."),
    "internvid": ("hawkeye.cli.internvid", "Build grounding data from raw videos: the InternVid-G pipeline."),
    "demo": ("hawkeye.cli.demo", "Serve a web page: find, ask, caption and compare in the browser."),
    "doctor": ("hawkeye.cli.doctor", "Check this installation, and a folder of weights."),
}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hawkeye {__version__}")
        raise typer.Exit


def build_app(wanted: str | None) -> typer.Typer:
    """The command tree, with only the ``wanted`` verb's module imported; the others are names with a help line."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback(help="Given a video and a sentence, tell from which second to which second it happens.")
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_print_version, is_eager=True, help="Show it and exit."
        ),
    ) -> None: ...

    for verb, (module_name, help_text) in VERBS.items():
        if verb != wanted:
            app.command(verb, help=help_text)(lambda: None)
            continue
        module = import_module(module_name)
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb, help=help_text)
        else:
            app.command(verb, help=help_text)(module.command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    try:
        build_app(wanted)(args=arguments, prog_name="hawkeye")
    except HawkEyeError as error:
        typer.echo(f"hawkeye: {error}", err=True)
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None
    except KeyboardInterrupt:
        typer.echo("hawkeye: interrupted", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
