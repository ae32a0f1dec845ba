"""Reports: the page stands alone and shows the right numbers; runs are compared on the same examples only."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hawkeye.choices import geometric_choice, sub_window
from hawkeye.cli.main import main
from hawkeye.errors import ConfigError
from hawkeye.eval.report.cases import worst_and_best
from hawkeye.eval.report.figures import choice_counts, figures
from hawkeye.eval.report.page import html_table
from hawkeye.eval.report.runs import load_runs
from hawkeye.eval.report.write import write_report
from hawkeye.eval.runner import RunSettings
from hawkeye.eval.session import ModelChoice, evaluate, prepare, read_annotations
from hawkeye.eval.tables import markdown_table
from hawkeye.eval.tasks import EvalTask


def run_task(data, model, out: Path, limit: int | None = None, **fields) -> Path:
    task = EvalTask(name="red", dataset="jsonl", annotations=data.annotations, **fields)
    session = prepare(task, read_annotations(task), ModelChoice(model, asked="red"))
    evaluate(session, data.videos, out, RunSettings(limit=limit, workers=0))
    return out


@pytest.fixture(scope="module")
def runs(benchmark_data, red_model, tmp_path_factory) -> list[Path]:
    """A run of four turns, and a worse one of a single turn."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        run_task(benchmark_data, red_model, folder / "four"),
        run_task(benchmark_data, red_model, folder / "one", max_turns=1),
    ]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_two_runs_side_by_side(runs: list[Path], tmp_path: Path, capsys) -> None:
    out = tmp_path / "report"
    with pytest.raises(SystemExit) as exit_:
        main(["report", *map(str, runs), "--out", str(out), "--cases", "3", "--draws", "200"])
    assert exit_.value.code == 0
    assert "| four (sees-red)" in capsys.readouterr().out
    found = json.loads((out / "summary.json").read_text())
    four, one = (found["runs"][name]["overall"]["metrics"]["mIoU"]["value"] for name in ("four", "one"))
    change = found["differences"]["one"]["mIoU"]
    assert change["value"] == pytest.approx(one - four)
    assert change["interval"]["low"] <= change["value"] <= change["interval"]["high"] < 0
    assert change["p_value"] < 0.05
    assert f"{100 * one:.1f} (" in (out / "report.md").read_text()
    page = (out / "index.html").read_text()
    tags = Tags(page)
    assert tags.open == []
    assert len(tags.sources) == 12  # 3 worst and 3 best of each run, each with a filmstrip
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.sources)
    assert not re.search(r"https?://", page)
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(chart)
    for heading in ("IoU", "mIoU after each turn", "Choices, four", "Worst, one", "Best, four"):
        assert f">{heading}<" in page


def test_choices_are_counted_as_they_were_made(runs: list[Path]) -> None:
    """Against the rows themselves, one look after the other."""
    comparison = load_runs(runs[:1], draws=10)
    expected = np.zeros((4, 4), dtype=int)
    order = ["beginning", "middle", "end", "throughout"]
    rows = {row["id"]: row for row in map(json.loads, (runs[0] / "predictions.jsonl").read_text().splitlines())}
    for example in comparison.examples:
        row = rows[example.id]
        window = (0.0, row["duration"])
        for turn in row["turns"]:
            if min(window[1], example.spans[0].end) > max(window[0], example.spans[0].start):
                expected[order.index(geometric_choice(example.spans[0], window)), order.index(turn["choice"])] += 1
            window = sub_window(turn["choice"], window)
    assert choice_counts(comparison.runs[0]) == expected.tolist()


def test_the_worst_come_first(runs: list[Path]) -> None:
    comparison = load_runs(runs, draws=10)
    worst, best = worst_and_best(comparison, comparison.runs[0], 5)
    values = [float(case.value.removeprefix("IoU ")) for case in (*worst, *best)]
    assert values[:5] == sorted(values[:5])
    assert values[5:] == sorted(values[5:], reverse=True)
    assert values[4] <= values[9]
    assert values[0] == pytest.approx(comparison.runs[0].values.min(), abs=0.006)
    assert "<image" in worst[0].picture


def test_histogram_adds_up(runs: list[Path]) -> None:
    chart = next(iter(figures(load_runs(runs[:1], draws=10))))
    shares = [float(share) for share in re.findall(r"four: ([\d.]+)%", chart.svg)]
    assert len(shares) == 20
    assert sum(shares) == pytest.approx(100, abs=0.6)


def test_a_predictions_file_and_no_videos(runs: list[Path], benchmark_data, tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    rows = [json.loads(line) for line in (runs[0] / "predictions.jsonl").read_text().splitlines()]
    path.write_text("\n".join(json.dumps({"id": r["id"], "span": r["span"], "error": None}) for r in rows[:-1]))
    comparison = load_runs([path], [benchmark_data.annotations], draws=10)
    assert comparison.runs[0].score.counts["missing"] == 1
    page = write_report(comparison, tmp_path / "report", draws=10).read_text()
    assert "no prediction" in page
    assert "data:image" not in page
    assert "Choices" not in page


def test_questions(benchmark_data, red_model, tmp_path: Path) -> None:
    videos = sorted(path.name for path in benchmark_data.videos.iterdir())
    rows = [
        {"video": v, "question": "Which <colour>?", "candidates": ["red.", "grey."], "answer": a}
        for v, a in zip(videos, ["grey."] * 8 + ["red."] * 2, strict=True)
    ]
    (tmp_path / "moving_direction.json").write_text(json.dumps(rows))
    task = EvalTask(
        name="q",
        dataset="mvbench",
        annotations=tmp_path / "moving_direction.json",
        options={"tasks": "moving_direction"},
    )
    session = prepare(task, read_annotations(task), ModelChoice(red_model))
    evaluate(session, benchmark_data.videos, tmp_path / "run", RunSettings(workers=0))
    comparison = load_runs([tmp_path / "run"], draws=10)
    assert comparison.runs[0].values.mean() == 0.8
    page = write_report(comparison, tmp_path / "report", shown=2, draws=10).read_text()
    assert "Which &lt;colour&gt;?" in page
    assert "answered (B) grey.; right is (A) red." in page
    assert "100 % of 8" in page
    assert Tags(page).open == []


def test_runs_on_other_data_are_not_compared(runs: list[Path], benchmark_data, red_model, tmp_path: Path) -> None:
    part = run_task(benchmark_data, red_model, tmp_path / "part", limit=4)
    with pytest.raises(ConfigError, match="is not about the same examples"):
        load_runs([runs[0], part])
    with pytest.raises(ConfigError, match="give --annotations"):
        load_runs([tmp_path])


def test_tables_survive_bars_and_angles() -> None:
    table = markdown_table(["a", "b"], [["x | y", "<1>"]])
    assert html_table(table).count("<td>") == 2
    assert "<td>x | y</td><td>&lt;1&gt;</td>" in html_table(table)
