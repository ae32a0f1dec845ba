"""Captioned pictures from a folder: what there is to see, and what it may be called.

Four layouts are read: ``captions.jsonl`` (image, caption or captions), ``labels.jsonl`` (image, class_index of ImageNet),
one ``NAME.txt`` beside ``NAME.jpg`` (a caption a line), and one folder a class (named by ImageNet index or by any name).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hawkeye.errors import AnnotationError
from hawkeye.records import read_jsonl
from hawkeye.synth.names import ClassText, class_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Picture:
    """One picture. A captioned one has ``captions``; one of a class has ``text`` instead."""

    id: str  # its path below the folder, with forward slashes
    path: Path
    captions: tuple[str, ...] = ()
    text: ClassText | None = None

    @property
    def subject(self) -> str:
        """Pictures with the same subject count as the same thing on screen."""
        return self.text.name if self.text else self.id


def read_pictures(folder: str | Path) -> list[Picture]:
    """Every captioned picture, in the order of ids. Raises AnnotationError: no pictures, no captions, or a missing file."""
    folder = Path(folder)
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such folder: give a folder of captioned pictures")
    if (folder / "captions.jsonl").is_file():
        found = list(_from_captions(folder, folder / "captions.jsonl"))
    elif (folder / "labels.jsonl").is_file():
        found = list(_from_labels(folder, folder / "labels.jsonl"))
    else:
        found = [*_from_text_files(folder), *_from_class_folders(folder)]
    if not found:
        raise AnnotationError(
            f"{folder}: no captioned pictures: expected captions.jsonl, labels.jsonl, a .txt beside each picture, "
            "or one folder of pictures a class"
        )
    return sorted(found, key=lambda picture: picture.id)


def split_classes(pictures: Sequence[Picture], held_out: int) -> tuple[list[Picture], list[Picture]]:
    """Pictures to train on, and pictures of ``held_out`` subjects that training never sees.

    The subjects are those whose names have the smallest hashes: the same on every machine, whatever else is there.
    Raises AnnotationError if nothing would be left.
    """
    subjects = sorted({p.subject for p in pictures}, key=lambda name: hashlib.sha256(name.encode()).digest())
    if held_out and len(subjects) <= held_out + 1:
        raise AnnotationError(f"{len(subjects)} subjects: too few to hold out {held_out}")
    kept_back = set(subjects[:held_out])
    train = [p for p in pictures if p.subject not in kept_back]
    return train, [p for p in pictures if p.subject in kept_back]


def _picture(folder: Path, name: str, where: str, **about: Any) -> Picture:
    path = folder / name
    if not path.is_file():
        raise AnnotationError(f"{where}: {name} is not in {folder}")
    return Picture(Path(name).as_posix(), path, **about)


def _from_captions(folder: Path, file: Path) -> Iterator[Picture]:
    for number, row in enumerate(read_jsonl(file), 1):
        where = f"{file}, record {number}"
        captions = row.get("captions", [row["caption"]] if "caption" in row else None)
        if not isinstance(row.get("image"), str) or not isinstance(captions, list):
            raise AnnotationError(
                f"{where}: expected image and caption (or captions), got {', '.join(row) or 'nothing'}"
            )
        texts = tuple(" ".join(c.split()) for c in captions if isinstance(c, str) and c.strip())
        if texts:
            yield _picture(folder, row["image"], where, captions=texts)


def _from_labels(folder: Path, file: Path) -> Iterator[Picture]:
    for number, row in enumerate(read_jsonl(file), 1):
        where = f"{file}, record {number}"
        index = row.get("class_index")
        if not isinstance(row.get("image"), str) or not isinstance(index, int) or not 0 <= index < 1000:
            raise AnnotationError(f"{where}: expected image and class_index (0 to 999), got {row}")
        yield _picture(folder, row["image"], where, text=class_text(index))


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _from_text_files(folder: Path) -> Iterator[Picture]:
    for path in _pictures_in(folder):
        beside = path.with_suffix(".txt")
        if beside.is_file():
            lines = beside.read_text(encoding="utf-8").splitlines()
            texts = tuple(" ".join(line.split()) for line in lines if line.strip())
            if texts:
                yield _picture(folder, path.name, str(beside), captions=texts)


def _from_class_folders(folder: Path) -> Iterator[Picture]:
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        name = inner.name
        known = name.isdigit() and int(name) < 1000
        text = class_text(int(name)) if known else ClassText(name.replace("_", " ").lower())
        for path in _pictures_in(inner):
            yield _picture(folder, f"{name}/{path.name}", str(inner), text=text)
