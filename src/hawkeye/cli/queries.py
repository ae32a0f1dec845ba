"""Sentences from a file: .txt with one a line, or .jsonl with ``{"query": ..., "video": ...}``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hawkeye.errors import AnnotationError, ConfigError
from hawkeye.records import read_jsonl


@dataclass(frozen=True)
class Query:
    text: str
    video: str | None = None  # a file name: asked of this video only

    def concerns(self, file: Path) -> bool:
        return self.video is None or self.video in (str(file), file.name, file.stem)


def read_queries(path: Path) -> list[Query]:
    """Raises ConfigError for another kind of file, AnnotationError for a bad line."""
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise AnnotationError(f"{path}: can't be read as text ({error})") from None
        return [Query(line.strip()) for line in lines if line.strip()]
    if path.suffix != ".jsonl":
        raise ConfigError(f"--queries {path}: expected a .txt or .jsonl file")
    queries = []
    for number, row in enumerate(read_jsonl(path), 1):
        if not isinstance(row.get("query"), str):
            raise AnnotationError(f"{path}, row {number}: expected a text under 'query', got {row.get('query')!r}")
        queries.append(Query(row["query"], row.get("video")))
    return queries
