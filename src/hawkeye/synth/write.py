"""Made-up videos as files, with the records to train and to evaluate on. Resumable: a video that is there is kept.

In the folder: ``videos/``, ``grounding.jsonl`` (InternVid-G rows), ``captions.json`` and ``qa.json`` (rounds in the layout
of HawkEye-IT), ``queries.jsonl`` (sentences that fit one stretch, with that stretch), ``absent.jsonl`` (that fit nothing).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hawkeye.choices import option_lines
from hawkeye.errors import AnnotationError
from hawkeye.prompts import QA_INSTRUCTION, question_with_options
from hawkeye.records import atomic_write, read_json, write_jsonl
from hawkeye.synth.events import Event, events_of
from hawkeye.synth.pictures import Picture
from hawkeye.synth.plan import Plan, Style, make_plan
from hawkeye.synth.questions import absent_sentences, questions_about
from hawkeye.synth.video import SyntheticVideo, paint

CAPTION_INSTRUCTION = "Describe what the video shows."
ABSENT_PER_VIDEO = 2
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Made:
    """Settings of one folder; written beside the data so that a second run with others is refused."""

    seed: int
    count: int
    fps: float
    files: bool
    style: Style


def write_dataset(
    pictures: Sequence[Picture], out: Path, made: Made, progress: Progress | None = None
) -> dict[str, int]:
    """Write everything; returns how many of each there are. Raises AnnotationError if the folder holds something else."""
    if len(pictures) < 2:
        raise AnnotationError(f"{len(pictures)} picture(s): a video needs at least 2")
    _claim(out, made, pictures)
    plans = [make_plan(made.seed, number, len(pictures), made.style) for number in range(made.count)]
    if made.files:
        for done, plan in enumerate(plans, 1):
            _write_video(plan, pictures, out / "videos" / f"{plan.id}.mp4", made.fps)
            if progress:
                progress(done, len(plans))
    events = {plan.id: events_of(plan, pictures, made.seed) for plan in plans}
    counts = {"videos": len(plans)}
    counts["grounding"] = write_jsonl(
        out / "grounding.jsonl", [r for p in plans for r in grounding_rows(p, events[p.id])]
    )
    counts["queries"] = write_jsonl(out / "queries.jsonl", [r for p in plans for r in _queries(p, events[p.id])])
    counts["absent"] = write_jsonl(
        out / "absent.jsonl",
        [
            {"video": video_name(p), "query": text, "duration": p.duration}
            for p in plans
            for text in absent_sentences(p, pictures, ABSENT_PER_VIDEO, made.seed)
        ],
    )
    captions = [row for p in plans for row in caption_rows(p, events[p.id])]
    questions = [row for p in plans for row in _question_rows(p, pictures, made.seed)]
    for name, rows in (("captions", captions), ("qa", questions)):
        with atomic_write(out / f"{name}.json") as file:
            file.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        counts[name] = len(rows)
    return counts


def video_name(plan: Plan) -> str:
    return f"{plan.id}.mp4"


def grounding_rows(plan: Plan, events: Sequence[Event]) -> list[dict[str, Any]]:
    """One InternVid-G row a sentence: its span and its negative span, in seconds."""
    return [
        {
            "video": video_name(plan),
            "duration": plan.duration,
            "start_sec": event.span.start,
            "end_sec": event.span.end,
            "neg_start_sec": event.context.start,
            "neg_end_sec": event.context.end,
            "caption": sentence,
            "kind": event.kind,
        }
        for event in events
        for sentence in event.sentences
    ]


def _queries(plan: Plan, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Only sentences that fit one stretch of the whole video: those whose negative span is all of it."""
    whole = [event for event in events if event.context == (0.0, plan.duration)]
    return [
        {"id": f"{plan.id}#{number}", "video": video_name(plan), "query": event.sentences[0], "span": list(event.span),
         "duration": plan.duration, "kind": event.kind}
        for number, event in enumerate(whole)
    ]  # fmt: skip


def caption_rows(plan: Plan, events: Sequence[Event]) -> list[dict[str, Any]]:
    """The sentences of single shots, as captions of just that stretch."""
    return [
        {
            "video": video_name(plan),
            "start": event.span.start,
            "end": event.span.end,
            "QA": [{"i": CAPTION_INSTRUCTION, "q": "", "a": event.sentences[0]}],
        }
        for event in events
        if event.kind == "shot"
    ]


def _question_rows(plan: Plan, pictures: Sequence[Picture], seed: int) -> list[dict[str, Any]]:
    rows = []
    for question in questions_about(plan, pictures, seed):
        lines = option_lines(question.options)
        text = question_with_options(question.text, lines)
        rounds = [{"i": QA_INSTRUCTION.strip(), "q": text, "a": f"Answer: {lines[question.answer]}"}]
        rows.append({"video": video_name(plan), "QA": rounds, "kind": question.kind})
    return rows


def _write_video(plan: Plan, pictures: Sequence[Picture], file: Path, fps: float) -> None:
    from hawkeye.video.synthetic import write_video

    if file.is_file():
        return
    file.parent.mkdir(exist_ok=True)
    video = SyntheticVideo(plan, pictures, fps)
    part = file.with_suffix(".part.mp4")
    # One thread: the encoder's bytes then do not depend on the machine's number of cores.
    write_video(part, (paint(video.recipes([i])[0], pictures) for i in range(video.info.num_frames)), fps, threads=1)
    part.replace(file)


def _claim(out: Path, made: Made, pictures: Sequence[Picture]) -> None:
    """Note the settings; refuse a folder that was made with others."""
    settings = json.loads(json.dumps({**asdict(made), "pictures": [picture.id for picture in pictures]}))
    note = out / "synth.json"
    if note.is_file():
        there = read_json(note)
        wrong = [key for key in settings if there.get(key) != settings[key]]
        if wrong:
            raise AnnotationError(f"{out}: was made with other settings ({', '.join(wrong)}): give another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AnnotationError(f"{out}: is not empty, and nothing made here: give another folder")
    with atomic_write(note) as file:
        file.write(json.dumps(settings, ensure_ascii=False) + "\n")
