"""Every data set by name: what it is, which files it wants, and the one function that reads any of them."""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from hawkeye.datasets.reading import Reading
from hawkeye.datasets.videos import resolve_video
from hawkeye.errors import AnnotationError, ConfigError

__all__ = ["REGISTRY", "DatasetEntry", "Kind", "LoadedDataset", "find_dataset", "load_dataset", "resolve_video"]

Kind = Literal["grounding", "qa", "instruction"]


@dataclass(frozen=True)
class DatasetEntry:
    name: str
    kind: Kind
    reader: str  # module:function(reading, annotations, **options)
    wants: str  # the files, in words
    about: str
    many: bool = False  # the reader takes a list of files
    several: bool = False  # a query may have several true spans


@dataclass(frozen=True)
class LoadedDataset:
    """What a reading gave. ``dropped`` counts what was left out, ``noted`` what is odd but kept, by reason.

    ``sources``: path -> sha256 of every file that was read.
    """

    name: str
    kind: Kind
    examples: tuple[Any, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


def _entry(name: str, kind: Kind, module: str, wants: str, about: str, **flags: bool) -> DatasetEntry:
    return DatasetEntry(name, kind, f"hawkeye.datasets.{module}:read", wants, about, **flags)


REGISTRY: dict[str, DatasetEntry] = {
    entry.name: entry
    for entry in (
        _entry(
            "charades-sta",
            "grounding",
            "charades_sta",
            "charades_sta_test.txt, and video_lengths.json beside it",
            "Charades-STA: people at home, 30 s",
        ),
        _entry(
            "activitynet-captions",
            "grounding",
            "activitynet_captions",
            "val_1.json and/or val_2.json",
            "ActivityNet-Captions: activities, 2 minutes",
            many=True,
        ),
        _entry(
            "nextgqa",
            "grounding",
            "nextgqa",
            "test.csv, with gsub_test.json and map_vid_vidorID.json beside it",
            "NExT-GQA: questions and where their answers are seen",
            several=True,
        ),
        _entry(
            "qvhighlights",
            "grounding",
            "qvhighlights",
            "highlight_val_release.jsonl",
            "QVHighlights: vlogs and news, several true spans",
            several=True,
        ),
        _entry(
            "timelens",
            "grounding",
            "timelens",
            "charades-timelens.json, activitynet-timelens.json or qvhighlights-timelens.json",
            "TimeLens-Bench: re-annotated benchmarks",
        ),
        _entry(
            "internvid-g",
            "grounding",
            "internvid_g",
            "the JSON lines that `hawkeye internvid build` writes",
            "InternVid-G: captioned segments with their context",
        ),
        _entry("jsonl", "grounding", "generic", "a JSON-lines file of one's own queries", "one's own queries"),
        _entry(
            "mvbench",
            "qa",
            "mvbench",
            "the folder of 20 task files (action_antonym.json, ...)",
            "MVBench: 20 temporal tasks",
        ),
        _entry(
            "nextqa",
            "qa",
            "nextqa",
            "test.csv, and map_vid_vidorID.json beside it",
            "NExT-QA: causal and temporal questions",
        ),
        _entry("star", "qa", "star", "STAR_val.json or STAR_test.json", "STAR: situated reasoning"),
        _entry(
            "tvqa",
            "qa",
            "tvqa",
            "tvqa_val.jsonl or tvqa_test_public.jsonl",
            "TVQA: questions on TV clips (frame folders)",
        ),
        _entry("tvqa-plus", "qa", "tvqa", "tvqa_plus_val.json", "TVQA+: The Big Bang Theory"),
        _entry(
            "instruction",
            "instruction",
            "instruction",
            "a JSON file of VideoChat2-IT or HawkEye-IT",
            "instruction tuning data",
        ),
    )
}


def find_dataset(name: str) -> DatasetEntry:
    """Raises ConfigError with the nearest known name."""
    wanted = name.lower().replace("_", "-")
    if wanted in REGISTRY:
        return REGISTRY[wanted]
    near = difflib.get_close_matches(wanted, REGISTRY, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known data sets: {', '.join(REGISTRY)}"
    raise ConfigError(f"data set {name!r} is unknown: {hint}")


def load_dataset(
    name: str, annotations: str | Path | Sequence[str | Path] | None = None, **options: Any
) -> LoadedDataset:
    """Read the official annotation file(s) of ``name`` completely.

    ``annotations``: the file, a folder that holds the official file names, or (where a data set is spread) several
    files. Raises ConfigError for an unknown name or option, AnnotationError (file and line) for a broken file.
    """
    entry = find_dataset(name)
    module, function = entry.reader.split(":")
    read = getattr(import_module(module), function)
    known = list(inspect.signature(read).parameters)[2:]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ConfigError(f"data set {entry.name} has no option {unknown[0]!r}: it knows {', '.join(known) or 'none'}")
    reading = Reading()
    examples = read(reading, _annotations(entry, annotations), **options)
    if not examples:
        raise AnnotationError(
            f"{annotations}: no usable example of {entry.name} in it (dropped: {dict(reading.dropped)})"
        )
    repeated = [key for key, count in Counter(example.id for example in examples).items() if count > 1]
    if repeated:
        raise AnnotationError(f"{annotations}: id {repeated[0]!r} stands there more than once: ids must be unique")
    return LoadedDataset(
        entry.name, entry.kind, tuple(examples), dict(reading.dropped), dict(reading.noted), reading.sources
    )


def _annotations(entry: DatasetEntry, annotations: str | Path | Sequence[str | Path] | None) -> Path | list[Path]:
    if annotations is None or annotations == []:
        raise ConfigError(f"data set {entry.name} needs its annotations: give the path of {entry.wants}")
    paths = [Path(annotations)] if isinstance(annotations, str | Path) else [Path(path) for path in annotations]
    for path in paths:
        if not path.exists():
            raise AnnotationError(f"{path}: no such file or folder: {entry.name} wants {entry.wants}")
    if entry.many:
        return paths
    if len(paths) > 1:
        raise ConfigError(f"data set {entry.name} is read from one file or folder, got {len(paths)}")
    return paths[0]
