"""Which data set an annotation file is of, told by its name and its first bytes, so that --dataset is seldom needed."""

from __future__ import annotations

from pathlib import Path

from hawkeye.errors import AnnotationError, ConfigError

HEAD = 4096


def guess_dataset(annotations: Path) -> str:
    """The name for `load_dataset`. Raises AnnotationError if the path isn't there, ConfigError if nothing fits."""
    if not annotations.exists():
        raise AnnotationError(f"{annotations}: no such file or folder: check --annotations")
    names = [p.name for p in sorted(annotations.iterdir())] if annotations.is_dir() else [annotations.name]
    head = "" if annotations.is_dir() else _head(annotations)
    for dataset, fits in (
        ("timelens", lambda n: "timelens" in n),
        ("charades-sta", lambda n: n.startswith("charades_sta") or "##" in head),
        ("activitynet-captions", lambda n: n in ("val_1.json", "val_2.json") or '"timestamps"' in head),
        ("nextgqa", lambda n: n.startswith("gsub_") or head.startswith("video_id,")),
        ("nextqa", lambda n: n == "map_vid_vidorID.json" or head.startswith("video,frame_count")),
        ("qvhighlights", lambda n: n.startswith("highlight_") or '"relevant_windows"' in head),
        ("mvbench", lambda n: n in ("action_antonym.json", "moving_direction.json") or '"candidates"' in head),
        ("tvqa-plus", lambda n: n.startswith("tvqa_plus")),
        ("tvqa", lambda n: n.startswith("tvqa_")),
        ("star", lambda n: n.lower().startswith("star") or '"choice_id"' in head),
        ("jsonl", lambda n: n.endswith(".jsonl")),
    ):
        if any(fits(name) for name in names):
            return dataset
    raise ConfigError(f"{annotations}: can't tell which data set this is: give --dataset (see `hawkeye prepare list`)")


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(HEAD).decode("utf-8", errors="replace")
