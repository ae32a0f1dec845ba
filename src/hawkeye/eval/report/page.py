"""The HTML page of a report: one file with its styles, charts and pictures inside, that works without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hawkeye.eval.report.cases import Case
from hawkeye.eval.report.figures import Figure

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5c6770; --paper: #ffffff; --card: #f5f7f9; --line: #d8dee4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa6b2; --paper: #0f1419; --card: #182028; --line: #2b3641; }
}
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; font-size: 1.25rem; } h3 { margin: 0 0 .2rem; font-size: 1rem; }
p { margin: .2rem 0 .6rem; color: var(--soft); } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.card { padding: .9rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); min-width: 0; }
.card p { font-size: .85rem; overflow-wrap: anywhere; } .value { float: right; font-weight: 600; }
svg, img { display: block; width: 100%; height: auto; } img { margin: .4rem 0; border-radius: .25rem; }
svg text { fill: var(--ink); font-size: 13px; } svg .tick { fill: var(--soft); font-size: 12px; }
svg .grid { stroke: var(--line); }
"""


def page(title: str, about: str, tables: Sequence[tuple[str, str]], parts: Sequence[str]) -> str:
    """A whole document. ``tables``: (heading, Markdown table); ``parts``: HTML from `figure_grid` and `case_grid`."""
    body = "".join(f"<h2>{escape(heading)}</h2>{html_table(table)}" for heading, table in tables)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(about)}</p>{body}{''.join(parts)}</body></html>\n"
    )


def html_table(markdown: str) -> str:
    """One of our Markdown tables as HTML."""
    rows = [[cell.strip().replace("\\|", "|") for cell in line[2:-2].split(" | ")] for line in markdown.splitlines()]
    head, _, *rest = rows
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rest)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def figure_grid(figures: Sequence[Figure]) -> str:
    cards = "".join(
        f'<section class="card"><h3>{escape(f.title)}</h3><p>{escape(f.about)}</p>{f.svg}</section>' for f in figures
    )
    return f'<h2>Figures</h2><div class="grid">{cards}</div>'


def case_grid(heading: str, cases: Sequence[Case]) -> str:
    return f'<h2>{escape(heading)}</h2><div class="grid">{"".join(_card(case) for case in cases)}</div>'


def _card(case: Case) -> str:
    return (
        f'<section class="card"><span class="value">{escape(case.value)}</span><h3>{escape(case.title)}</h3>'
        f"<p>{escape(case.detail)}</p>{case.picture}</section>"
    )
