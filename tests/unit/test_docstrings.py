"""Every module says what it is for, and every public name says what it does unless its name and types already do."""

import ast

import pytest
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "hawkeye"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.read_text(encoding="utf-8").strip())
LEAST = 0.85  # of public classes and functions; the rest is short and speaks for itself


def public(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_says_its_purpose(path):
    if path.name == "__init__.py" or path.name == "version.py":
        return
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path}: has no module docstring"


def test_public_names_are_described():
    described, bare = 0, []
    for path in MODULES:
        for node in public(ast.parse(path.read_text(encoding="utf-8"))):
            if ast.get_docstring(node):
                described += 1
            else:
                bare.append(f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}")
    share = described / (described + len(bare))
    assert share >= LEAST, f"only {share:.0%} of public names have a docstring; without: " + ", ".join(bare)
