"""Local files of rows: JSON Lines, JSON and Parquet."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from htpo.errors import UserError
from htpo.tasks.rows import RawRows, first_line, type_in_words
from htpo.tasks.sources.source import ReadSource


def _read_parquet(path: Path, label: str) -> RawRows:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            rows = file.read().to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: not a readable Parquet file ({first_line(error)}); write it again") from None
    return RawRows(label, "row", names, list(enumerate(rows, start=1)))


def _read_json(path: Path, label: str) -> RawRows:
    content = _parsed(path.read_bytes())
    if isinstance(content, _Unreadable):
        hint = "; one object a line belongs in a .jsonl file" if "Extra data" in content.reason else ""
        raise UserError(f"{label}: {content.reason}{hint or '; write the file again'}")
    if not isinstance(content, list):
        raise UserError(f"{label}: holds {type_in_words(content)}; it must be a list of objects")
    return _of_objects(label, "row", enumerate(content, start=1))


def _read_json_lines(path: Path, label: str) -> RawRows:
    def lines() -> Iterator[tuple[int, Any]]:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parsed(line)

    return _of_objects(label, "line", lines())


READERS = {".jsonl": _read_json_lines, ".json": _read_json, ".parquet": _read_parquet}
"""By the end of a file's name."""


@dataclass(frozen=True)
class File(ReadSource):
    """A file of rows; `location` is its path."""

    words = "a .jsonl, .json or .parquet file (verl's layout too)"
    title = "files"

    @classmethod
    def find(cls, label: str) -> Self | None:
        return cls(label, Path(label).stem, label) if is_readable(label) else None

    def _read(self, path: Path) -> RawRows:
        if not path.is_file():
            raise self._no_such_file()
        return READERS[path.suffix.lower()](path, self.label)


def is_readable(path: str) -> bool:
    """Whether a path ends as those of files that can be read."""
    return Path(path).suffix.lower() in READERS


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a value that could not be read."""

    reason: str


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _Unreadable(f"not UTF-8 text (byte {error.start + 1})")
    except (ValueError, RecursionError) as error:  # also integers of thousands of digits
        return _Unreadable(f"not JSON ({first_line(error)})")


def _of_objects(label: str, unit: str, objects: Iterable[tuple[int, Any]]) -> RawRows:
    raw = RawRows(label, unit, [], [])
    columns: dict[str, None] = {}
    for number, content in objects:
        if isinstance(content, dict):
            columns.update(dict.fromkeys(content))
            raw.rows.append((number, content))
        else:
            reason = content.reason if isinstance(content, _Unreadable) else f"{type_in_words(content)}, not an object"
            raw.reject(number, reason)
    raw.columns = list(columns)
    return raw
