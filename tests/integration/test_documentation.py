"""The documentation tells the truth: the site builds without a warning, links lead somewhere, marked commands run."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from tests.conftest import ROOT

from hawkeye.cli.main import main

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
RUNNABLE = re.compile(r"<!-- run -->\n```(console|python)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
GENERATED = {"reference/cli.md"}  # by docs/site_hooks.py


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
