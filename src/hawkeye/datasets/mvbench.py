"""MVBench: 20 files of multiple-choice questions, one a task, on videos, GIFs and frame folders of eleven sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hawkeye.datasets.reading import Reading, Row, pick_files
from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.records import QAExample

CHARADES, CLEVRER, PERCEPTION = "star/Charades_v1_480", "clevrer/video_validation", "perception/videos"
# task (and file name) -> the official folder of its videos
FOLDERS: dict[str, str] = {
    "action_antonym": "ssv2_video",
    "action_count": PERCEPTION,
    "action_localization": "sta/sta_video",
    "action_prediction": CHARADES,
    "action_sequence": CHARADES,
    "character_order": PERCEPTION,
    "counterfactual_inference": CLEVRER,
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/frames_fps3_hq",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "fine_grained_pose": "nturgbd",
    "moving_attribute": CLEVRER,
    "moving_count": CLEVRER,
    "moving_direction": CLEVRER,
    "object_existence": CLEVRER,
    "object_interaction": CHARADES,
    "object_shuffle": PERCEPTION,
    "scene_transition": "scene_qa/video",
    "state_change": PERCEPTION,
    "unexpected_action": "FunQA_test/test",
}


def read(reading: Reading, annotations: Path, tasks: str | Sequence[str] | None = None) -> list[QAExample]:
    """``annotations``: the folder of task files, or one of them. ``tasks``: names, or one text with commas; None is all.

    A task with ``start`` and ``end`` asks about that stretch only (``window``).
    """
    wanted = list(FOLDERS) if tasks is None else tasks.split(",") if isinstance(tasks, str) else list(tasks)
    unknown = [task for task in wanted if task not in FOLDERS]
    if unknown:
        raise ConfigError(f"MVBench has no task {unknown[0]!r}: expected some of {', '.join(FOLDERS)}")
    paths = pick_files(annotations, [f"{task}.json" for task in wanted], "MVBench task file")
    if len(paths) < len(wanted) and annotations.is_dir():
        missing = sorted(set(wanted) - {path.stem for path in paths})
        if tasks is not None:
            raise AnnotationError(f"{annotations}: task files are missing: {', '.join(missing)}")
        reading.noted["task file missing"] += len(missing)
    return [
        _example(reading, row, path.stem, number) for path in paths for number, row in enumerate(reading.records(path))
    ]


def _example(reading: Reading, row: Row, task: str, number: int) -> QAExample:
    if task not in FOLDERS:
        raise row.error(f"the file name is no MVBench task: expected one of {', '.join(FOLDERS)}")
    options = row.texts("candidates")
    if len(options) < 2:
        reading.noted["only one option"] += 1
    exact = "accurate_start" in row.values
    span = reading.window(row.number("accurate_start"), row.number("accurate_end")) if exact else None
    return QAExample(
        id=f"{task}#{number}",
        # Names repeat between sources (video_10.mp4): only with their folder do they name one video.
        video=f"{FOLDERS[task]}/{row.name('video')}",
        question=row.text("question"),
        options=options,
        answer=row.index_of("answer", options),
        window=reading.window(row.number("start"), row.number("end")) if "start" in row.values else None,
        spans=(span,) if span else (),
        task=task,
        extra={"fps": row.number("fps")} if "fps" in row.values else {},
    )
