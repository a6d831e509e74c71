"""Rows of a dataset as they are read, and everything that is wrong with them, by row number."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from htpo.errors import UserError

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
ROWS_NAMED = 5


@dataclass
class Table:
    """Rows with their numbers (1-based), and what is wrong with those that cannot be used."""

    label: str  # the path or Hugging Face id, as the user gave it
    unit: str  # what the numbers count: "line" of a .jsonl file, "row" of anything else
    columns: list[str]  # all there are, also those that were not read
    rows: list[tuple[int, dict[str, Any]]]
    problems: dict[int, str] = field(default_factory=dict)

    def reject(self, number: int, problem: str) -> None:
        """Note why a row cannot be used."""
        self.problems[number] = problem

    def raise_problems(self) -> None:
        """Raise a `UserError` that names the first row that cannot be used and counts the others, if there are any."""
        if not self.problems:
            return
        first, *rest = sorted(self.problems)
        others = ""
        if rest:
            listed = ", ".join(map(str, rest[:ROWS_NAMED])) + ", ..." * (len(rest) > ROWS_NAMED)
            others = f" (and {len(rest)} more {self.unit}s cannot be used: {listed})"
        remedy = f"fix or remove {'them' if rest else 'it'}"
        raise UserError(f"{self.label}: {self.unit} {first}: {self.problems[first]}{others}; {remedy}")


@dataclass(frozen=True)
class Example:
    """One usable row: a prompt (text or chat messages), its gold answer as text, and its number in the source."""

    row: int
    prompt: str | list[dict[str, str]]
    answer: str


def read_table(dataset: str, columns: Iterable[str], split: str, config_name: str | None) -> Table:
    """Read the named columns of a .jsonl, .json or .parquet file, or of a split of a dataset on the Hugging Face Hub.

    A column name with dots (`reward_model.ground_truth`) reads the outermost column; `examples` looks inside.

    Raises:
        UserError: when nothing can be read; single lines that are not JSON objects become problems of the table.
    """
    path = Path(dataset).expanduser()
    wanted = {name for column in columns for name in (column, column.split(".")[0])}
    reader = READERS.get(path.suffix.lower())
    if reader is None and path.is_file():
        raise UserError(f"{dataset}: unknown file type {path.suffix!r}; use {', '.join(READERS)}")
    if not path.is_file() and (reader is not None or not (path.is_dir() or HUB_ID.fullmatch(dataset))):
        raise UserError(f"{dataset}: no such file (looked from {Path.cwd()}); check the path")
    try:
        table = reader(path, dataset, wanted) if reader else _read_hub(dataset, wanted, split, config_name)
    except OSError as error:
        raise UserError(f"{dataset}: cannot be read ({_first_line(error.strerror or error)})") from None
    if not table.rows and not table.problems:
        raise UserError(f"{dataset}: the dataset is empty; give one with rows")
    return table


def _read_hub(dataset: str, wanted: set[str], split: str, config_name: str | None) -> Table:
    from datasets import load_dataset

    try:
        loaded = load_dataset(dataset, config_name, split=split)
    except Exception as error:  # the hub client raises dozens of unrelated types
        raise UserError(
            f"cannot load split {split!r} of the Hugging Face dataset {dataset!r}: {_first_line(error).rstrip('.')}. "
            "Check the id, the split, the configuration and the network, or download the data and give the path of "
            "a .jsonl or .parquet file"
        ) from None
    rows = loaded.select_columns([name for name in loaded.column_names if name in wanted]).to_list()
    return Table(dataset, "row", loaded.column_names, list(enumerate(rows, start=1)))


def _read_parquet(path: Path, label: str, wanted: set[str]) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            rows = file.read(columns=[name for name in names if name in wanted]).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: not a readable Parquet file ({_first_line(error)}); write it again") from None
    return Table(label, "row", names, list(enumerate(rows, start=1)))


def _read_json(path: Path, label: str, wanted: set[str]) -> Table:
    content = _parsed(path.read_bytes())
    if isinstance(content, _Unreadable):
        hint = "; one object a line belongs in a .jsonl file" if "Extra data" in content.reason else ""
        raise UserError(f"{label}: {content.reason}{hint or '; write the file again'}")
    if not isinstance(content, list):
        raise UserError(f"{label}: holds {_kind(content)}; it must be a list of objects")
    return _table_of_objects(label, "row", enumerate(content, start=1), wanted)


def _read_json_lines(path: Path, label: str, wanted: set[str]) -> Table:
    def lines() -> Iterator[tuple[int, Any]]:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parsed(line)

    return _table_of_objects(label, "line", lines(), wanted)


READERS = {".jsonl": _read_json_lines, ".json": _read_json, ".parquet": _read_parquet}


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
        return _Unreadable(f"not JSON ({_first_line(error)})")


def _table_of_objects(label: str, unit: str, objects: Iterable[tuple[int, Any]], wanted: set[str]) -> Table:
    table = Table(label, unit, [], [])
    columns: dict[str, None] = {}
    for number, content in objects:
        if isinstance(content, dict):
            columns.update(dict.fromkeys(content))
            table.rows.append((number, {name: content[name] for name in wanted if name in content}))
        else:
            reason = content.reason if isinstance(content, _Unreadable) else f"{_kind(content)}, not an object"
            table.reject(number, reason)
    table.columns = list(columns)
    return table


def examples(table: Table, prompt_column: str, answer_column: str) -> list[Example]:
    """The usable rows of a table; the others become its problems.

    Raises:
        UserError: when a column is in no row at all.
    """
    for option, column in (("prompt_column", prompt_column), ("answer_column", answer_column)):
        if table.rows and column not in table.columns and column.split(".")[0] not in table.columns:
            found = ", ".join(map(repr, table.columns))
            raise UserError(f"{table.label}: no column {column!r} (found: {found}); set --{option}")
    usable = []
    for number, row in table.rows:
        prompt, answer = _cell(row, prompt_column), _cell(row, answer_column)
        problem = _prompt_problem(prompt, prompt_column) or _answer_problem(answer, answer_column)
        if problem:
            table.reject(number, problem)
        else:
            usable.append(Example(number, _plain(prompt), _as_text(answer)))
    first_of = {type(example.prompt): example.row for example in reversed(usable)}
    if len(first_of) > 1:
        other = f"{table.unit} {first_of[str]}"
        table.reject(first_of[list], f"the prompt is chat messages, where {other} has text; use one of the two")
    return usable


def _cell(row: dict[str, Any], column: str) -> Any:
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _prompt_problem(prompt: Any, column: str) -> str | None:
    name = f"the prompt (column {column!r})"
    if isinstance(prompt, str):
        return _text_problem(prompt, name)
    if not isinstance(prompt, list):
        return f"{name} is {_kind(prompt)}; it must be text or a list of chat messages"
    for message in prompt:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            return f"a chat message of {name} must have a 'role' and a 'content', both text"
    if prompt and prompt[-1]["role"] == "assistant":
        return f"{name} ends with the assistant's message; it must end before the response"
    return _text_problem("".join(message["content"] for message in prompt), name)


def _answer_problem(answer: Any, column: str) -> str | None:
    name = f"the gold answer (column {column!r})"
    if isinstance(answer, str):
        return _text_problem(answer, name)
    if isinstance(answer, bool) or not isinstance(answer, int | float | Decimal):
        return f"{name} is {_kind(answer)}; it must be text or a number"
    return None if math.isfinite(answer) else f"{name} is {answer}; it must be finite"


def _text_problem(text: str, name: str) -> str | None:
    if not text.strip():
        return f"{name} is empty"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"{name} holds half a Unicode character at position {error.start + 1}"
    return None


def _plain(prompt: str | list[dict[str, Any]]) -> str | list[dict[str, str]]:
    if isinstance(prompt, str):
        return prompt
    return [{"role": message["role"], "content": message["content"]} for message in prompt]


def _as_text(answer: str | float | Decimal) -> str:
    # Written out, because 1e+20 reads as e + 20 in mathematics.
    return answer if isinstance(answer, str) else format(Decimal(str(answer)), "f")


def _kind(value: Any) -> str:
    names = {type(None): "missing", bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
