"""The notebooks run from top to bottom, in this process: no Jupyter is needed, and what they print is kept small."""

import ast
import contextlib
import io
import json
import sys

import pytest
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def execute(path):
    """Run the cells as Jupyter would, the last expression's value aside; returns what they print."""
    scope, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for number, source in enumerate(code_cells(path), 1):
            exec(compile(ast.parse(source), f"{path.name}, code cell {number}", "exec"), scope)
    return printed.getvalue()


@pytest.fixture
def quiet_system(monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, quiet_system):
    pytest.importorskip("matplotlib")
    printed = execute(path)
    expected = {
        "1_ground_a_query": "turn 1:",
        "2_evaluate_and_analyse": "throughout R@0.3",
        "3_build_data": "a video of ",
        "4_fine_tune_tiny": "found",
    }
    assert expected[path.stem] in printed
    assert len(printed) < 20_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_well_formed(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert path.stat().st_size < 100_000
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_there_are_four():
    assert len(NOTEBOOKS) == 4
