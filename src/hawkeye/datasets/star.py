"""STAR: JSON list of ``{question_id, question, video_id, start, end, answer, choices}``. The test split has no answers."""

from __future__ import annotations

from pathlib import Path

from hawkeye.datasets.reading import Reading
from hawkeye.records import QAExample


def read(reading: Reading, annotations: Path, bounds: bool = False) -> list[QAExample]:
    """``bounds``: look only at the annotated ``[start, end]``; the reference looks at the whole video.

    The task is the first part of the question id: Interaction, Sequence, Prediction or Feasibility.
    """
    examples = []
    for row in reading.records(annotations):
        choices = sorted(row.rows("choices"), key=lambda choice: choice.integer("choice_id"))
        options = tuple(choice.text("choice") for choice in choices)
        span = reading.window(row.number("start"), row.number("end"))
        qid = row.name("question_id")
        examples.append(
            QAExample(
                id=qid,
                video=f"{row.name('video_id')}.mp4",
                question=row.text("question"),
                options=options,
                answer=row.index_of("answer", options) if row.values.get("answer") is not None else None,
                window=span if bounds else None,
                spans=(span,) if span else (),
                task=qid.split("_")[0],
                extra={"qid": qid},
            )
        )
    return examples
