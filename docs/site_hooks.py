"""Hooks of the documentation site: the menu in reading order, a page for the command line, and one of benchmark results.

Not part of the package; mkdocs imports it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from hawkeye.cli.main import VERBS, build_app

sys.path.insert(0, str(Path(__file__).parent))
from performance_page import performance_page

# Pages that are not named here come after those that are; a page that is not there yet is left out.
MENU = {
    "Start": ["index.md", "quick_start.md", "concepts.md", "how_to.md", "demo.md", "troubleshooting.md"],
    "Topics": [
        "default_model.md",
        "model.md",
        "weights.md",
        "datasets.md",
        "evaluation.md",
        "training.md",
        "internvid_g.md",
        "mini.md",
        "video.md",
    ],
    "Measured": ["reproduction.md", "performance.md", "experiments.md"],
    "Reference": ["reference/cli.md", "reference/api.md", "architecture.md"],
}
REPOSITORY_FILES = re.compile(r"\]\((\.\./[^)#]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu, of the pages that exist."""
    there = {str(path.relative_to(config.docs_dir)) for path in Path(config.docs_dir).rglob("*.md")} | GENERATED.keys()
    named = {page for pages in MENU.values() for page in pages}
    menu = {title: [page for page in pages if page in there] for title, pages in MENU.items()}
    menu["Topics"] += sorted(there - named)
    config.nav = [{title: pages} for title, pages in menu.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, made in GENERATED.items():
        files.append(File.generated(config, page, content=made()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to files of the repository outside docs/ work on the code host, not on the site: there they are names."""
    return REPOSITORY_FILES.sub(lambda found: f"] (`{found[1].removeprefix('../')}`)", markdown)


def command_reference() -> str:
    """Every verb with its arguments and options, from the same definitions that parse them."""
    parts = ["# Command line\n"]
    for verb in VERBS:
        command = typer.main.get_command(build_app(verb))
        parts += _describe(command.commands[verb], f"hawkeye {verb}", 2)  # type: ignore[attr-defined]
    return "\n".join(parts)


def _describe(command: object, name: str, level: int) -> list[str]:
    help_text = re.sub(r"\s*\n\s*", " ", (getattr(command, "help", "") or "").strip())
    parts = [f"{'#' * level} {name}\n", f"{help_text}\n"]
    for child, inner in getattr(command, "commands", {}).items():
        parts += _describe(inner, f"{name} {child}", level + 1)
    rows = [row for parameter in getattr(command, "params", []) if (row := _row(parameter))]
    if rows and not getattr(command, "commands", {}):
        parts += ["| name | default | what |", "|---|---|---|", *rows, ""]
    return parts


def _row(parameter: object) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))  # type: ignore[attr-defined]
    if getattr(parameter, "param_type_name", "") == "argument":
        names = f"`{(parameter.metavar or parameter.name).upper()}`"  # type: ignore[attr-defined]
    if "--help" in names:
        return ""
    default = getattr(parameter, "default", None)
    shown = "" if default is None or callable(default) or repr(default).startswith("Sentinel") else f"`{default}`"
    words = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    return f"| {names} | {shown} | {words} |"


GENERATED = {"reference/cli.md": command_reference, "performance.md": performance_page}
