"""NExT-GQA: questions of NExT-QA with the spans that hold the answer. CSV of questions, JSON of spans, JSON of video ids."""

from __future__ import annotations

from pathlib import Path

from hawkeye.datasets.nextqa import OPTION_COLUMNS, VideoNames, question_text
from hawkeye.datasets.reading import Reading, Row, pick_files
from hawkeye.records import GroundingExample


def read(
    reading: Reading,
    annotations: Path,
    spans: str | Path | None = None,
    id_map: str | Path | None = None,
    split: str = "test",
) -> list[GroundingExample]:
    """``annotations``: the CSV file, or a folder with ``SPLIT.csv``. ``spans`` is ``gsub_SPLIT.json``, taken if beside.

    The question is the query; ``extra`` holds ``options``, the index ``answer`` and ``task`` for Acc@GQA.
    """
    (path,) = pick_files(annotations, [f"{split}.csv"], "NExT-GQA file")[:1]
    name = VideoNames(reading, path, id_map)
    table = reading.table(spans or path.with_name(f"gsub_{path.stem}.json"))
    videos: dict[str, Row] = {}
    examples = []
    for row in reading.csv(path, ("video_id", "question", "answer", "qid", "type", *OPTION_COLUMNS)):
        video, qid = row.name("video_id"), row.name("qid")
        if video not in videos:
            videos[video] = table.inside(video)
        duration = videos[video].number("duration")
        found = tuple(
            span for pair in videos[video].inside("location").pairs(qid) if (span := reading.span(*pair, duration))
        )
        options = [row.text(column) + "." for column in OPTION_COLUMNS]
        right = row.text("answer") + "."
        if right not in options:
            raise row.error(f"the answer {row.text('answer')!r} is none of the options")
        if options.count(right) > 1:
            reading.noted["answer stands in several options"] += 1
        if found:
            extra = {
                "qid": row.integer("qid"),
                "options": options,
                "answer": options.index(right),
                "task": row.text("type"),
            }
            examples.append(GroundingExample(f"{video}_{qid}", name(video), question_text(row), found, duration, extra))
    return examples
