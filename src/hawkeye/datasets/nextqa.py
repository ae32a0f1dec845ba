"""NExT-QA (multiple choice): CSV with the video, the question, five options and the number of the right one."""

from __future__ import annotations

from pathlib import Path

from hawkeye.datasets.reading import Reading, Row, pick_files
from hawkeye.records import QAExample

OPTION_COLUMNS = tuple(f"a{i}" for i in range(5))
ID_MAP = "map_vid_vidorID.json"


class VideoNames:
    """Video id -> ``FOLDER/ID.mp4``, by the official id map; ``ID.mp4`` where there is no map."""

    def __init__(self, reading: Reading, csv_path: Path, id_map: str | Path | None) -> None:
        beside = csv_path.parent / ID_MAP
        path = id_map or (beside if beside.is_file() else None)
        self.map = reading.table(path) if path else None

    def __call__(self, video: str) -> str:
        return f"{self.map.name(video) if self.map else video}.mp4"


def read(reading: Reading, annotations: Path, id_map: str | Path | None = None, split: str = "test") -> list[QAExample]:
    """``annotations``: the CSV file, or a folder with ``SPLIT.csv``; ``id_map``: ``map_vid_vidorID.json`` (taken if beside)."""
    (path,) = pick_files(annotations, [f"{split}.csv"], "NExT-QA file")[:1]
    name = VideoNames(reading, path, id_map)
    examples = []
    for row in reading.csv(path, ("video", "question", "answer", "qid", "type", *OPTION_COLUMNS)):
        video, answer = row.name("video"), row.integer("answer")
        qid, texts = row.integer("qid"), [row.text(column) for column in OPTION_COLUMNS]
        if not 0 <= answer < len(OPTION_COLUMNS):
            raise row.error(f"expected the number of an option, 0 to 4, in 'answer', got {answer}")
        examples.append(
            QAExample(
                id=f"{video}_{qid}",
                video=name(video),
                question=question_text(row),
                options=tuple(f"{text}." for text in texts),
                answer=answer,
                task=row.text("type"),
                extra={"qid": qid, "answer_text": texts[answer]},
            )
        )
    return examples


def question_text(row: Row) -> str:
    return row.text("question") + "?"
