"""The documentation tells the truth: the site builds without a warning, links lead somewhere, marked commands run."""

import ast
import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer
from tests.conftest import ROOT

from hawkeye.cli.main import VERBS, build_app, main

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
RUNNABLE = re.compile(r"<!-- run -->\n```(console|python)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
ENTRY = re.compile(r"^::: (\S+)$", re.MULTILINE)
GENERATED = {"reference/cli.md", "performance.md"}  # by docs/site_hooks.py
LEAST_DOCUMENTED = 0.75  # of all public classes and functions; a name that says it all needs no sentence


def blocks():
    """(page, kind, text) of every block that is marked to be run."""
    return [
        pytest.param(kind, text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, (kind, text) in enumerate(RUNNABLE.findall(page.read_text(encoding="utf-8")))
    ]


def anchors(page):
    """The names that headings can be linked by."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(("kind", "text"), blocks())
def test_marked_blocks_run(kind, text, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    if kind == "python":
        exec(compile(text, "block", "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out
        return
    for line in text.strip().splitlines():
        name, *arguments = shlex.split(line)
        assert name == "hawkeye"
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        out, err = capsys.readouterr()
        assert not stop.value.code, err
        assert out


def commands():
    """Every ``hawkeye ...`` line of every page, whether it is run or not."""
    lines = {
        line.split("#")[0].strip()
        for page in PAGES
        for block in FENCED.findall(page.read_text(encoding="utf-8"))
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("hawkeye ")
    }
    return sorted(" ".join(line.split()) for line in lines if "--help" not in line)


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_that_exists(line):
    """Its verb, options and the types of their values; files that it names need not be there."""
    _, verb, *rest = shlex.split(line)
    assert verb in VERBS
    command, context = typer.main.get_command(build_app(verb)).commands[verb], None
    while command:
        context = command.make_context(command.name, rest, parent=context)  # raises what a person would see
        command = None
        if hasattr(context.command, "resolve_command"):
            left = [*context._protected_args, *context.args]
            _, command, rest = context.command.resolve_command(context, left)


def test_what_the_reference_lists_is_documented():
    missing = []
    for name in ENTRY.findall((ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")):
        module, _, last = name.rpartition(".")
        listed = getattr(importlib.import_module(module), last)
        members = vars(listed).items() if inspect.isclass(listed) else ()
        kinds = (property, staticmethod, classmethod)
        public = {n: m for n, m in members if n[0] != "_" and (inspect.isfunction(m) or isinstance(m, kinds))}
        missing += [name for name, m in {name: listed, **public}.items() if not inspect.getdoc(m)]
    assert not missing


def test_most_public_names_are_documented():
    told = [
        ast.get_docstring(node) is not None
        for file in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sum(told) / len(told) >= LEAST_DOCUMENTED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        if file in GENERATED:
            continue
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name} links to {target}, which is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{page.name} links to {target}: there is no such heading"


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="needs mkdocs: pip install 'hawkeye-vtg[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr[-3000:]
    reference = (tmp_path / "site" / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
    assert "hawkeye ground" in reference
    assert "--max-turns" in reference
    assert "sub_window" in (tmp_path / "site" / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "site")
