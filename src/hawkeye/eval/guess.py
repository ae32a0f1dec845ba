"""Which data set an annotation file is of, told by its name and its first bytes, so that --dataset is seldom needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hawkeye.errors import AnnotationError, ConfigError

HEAD = 4096


Fits = Callable[[str, str], bool]  # a file's name and its first characters
SIGNS: tuple[tuple[str, Fits], ...] = (
    ("timelens", lambda name, head: "timelens" in name),
    ("charades-sta", lambda name, head: name.startswith("charades_sta") or "##" in head),
    ("activitynet-captions", lambda name, head: name in ("val_1.json", "val_2.json") or '"timestamps"' in head),
    ("nextgqa", lambda name, head: name.startswith("gsub_") or head.startswith("video_id,")),
    ("nextqa", lambda name, head: head.startswith("video,frame_count")),
    ("qvhighlights", lambda name, head: name.startswith("highlight_") or '"relevant_windows"' in head),
    ("mvbench", lambda name, head: '"candidates"' in head),
    ("tvqa-plus", lambda name, head: name.startswith("tvqa_plus")),
    ("tvqa", lambda name, head: name.startswith("tvqa_")),
    ("star", lambda name, head: name.lower().startswith("star") or '"choice_id"' in head),
    ("jsonl", lambda name, head: name.endswith(".jsonl")),
)


def guess_dataset(annotations: Path) -> str:
    """The name for `load_dataset`. Raises AnnotationError if the path isn't there, ConfigError if nothing fits."""
    if not annotations.exists():
        raise AnnotationError(f"{annotations}: no such file or folder: check --annotations")
    paths = sorted(annotations.iterdir()) if annotations.is_dir() else [annotations]
    files = [(path.name, _head(path)) for path in paths if path.is_file()]
    for dataset, fits in SIGNS:
        if any(fits(name, head) for name, head in files):
            return dataset
    raise ConfigError(f"{annotations}: can't tell which data set this is: give --dataset (see `hawkeye prepare list`)")


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(HEAD).decode("utf-8", errors="replace")
