"""``hawkeye models``: what can be named after --model."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hawkeye.models.base import DEFAULT_MODEL, REGISTRY


def command() -> None:
    """List the models that can be asked for by name."""
    table = Table("name", "what it is", "needs", box=None, pad_edge=False)
    for entry in REGISTRY.values():
        mark = " (default)" if entry.name == DEFAULT_MODEL else ""
        table.add_row(entry.name + mark, entry.about, entry.needs)
    Console().print(table)
