"""Rows of a dataset as they are read, and everything that is wrong with them, by row number."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from htpo.errors import UserError
from htpo.tasks.prompts import Prompt

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
ROWS_NAMED = 5
Row = dict[str, Any]
LONGEST_PROMPT = 1_000_000  # characters


@dataclass
class Table:
    """Rows with their numbers (1-based), and what is wrong with those that cannot be used."""

    label: str  # the path or Hugging Face id, as the user gave it
    unit: str  # what the numbers count: "line" of a .jsonl file, "row" of anything else
    columns: list[str]  # all there are
    rows: list[tuple[int, dict[str, Any]]]
    problems: dict[int, str] = field(default_factory=dict)

    def reject(self, number: int, problem: str) -> None:
        """Note why a row cannot be used."""
        self.problems[number] = problem

    def raise_problems(self) -> None:
        """Raise a `UserError` that names rows that cannot be used, if there are any."""
        if self.problems:
            remedy = f"fix or remove {'it' if len(self.problems) == 1 else 'them'}, or --skip_bad_rows"
            raise UserError(f"{self.label}: {in_words(self.problems, self.unit)}; {remedy}")


def in_words(problems: Mapping[int, str], unit: str) -> str:
    """Problems by row number in one line: the first few, and how many there are."""
    first = sorted(problems)[:ROWS_NAMED]
    listed = "; ".join(f"{unit} {number}: {problems[number]}" for number in first)
    if len(problems) == 1:
        return listed
    more = f"; and {len(problems) - len(first)} more" * (len(problems) > len(first))
    return f"{len(problems)} {unit}s cannot be used ({listed}{more})"


@dataclass(frozen=True)
class Example:
    """One usable row: a prompt (text or chat messages), what the verifier reads, and its number in the source."""

    row: int
    prompt: Prompt
    fields: dict[str, str]


def read_table(
    dataset: str, split: str | None = None, config_name: str | None = None, data_files: Sequence[str] = ()
) -> Table:
    """Read a .jsonl, .json or .parquet file, or a split of a dataset on the Hugging Face Hub.

    Args:
        dataset: path or Hugging Face id.
        split, config_name: of the latter.
        data_files: JSON Lines files of the hub's repository, read instead of its splits.

    Raises:
        UserError: when nothing can be read; single lines that are not JSON objects become problems of the table.
    """
    path = Path(dataset).expanduser()
    reader = READERS.get(path.suffix.lower())
    if reader is None and path.is_file():
        raise UserError(f"{dataset}: unknown file type {path.suffix!r}; use {', '.join(READERS)}")
    if not path.is_file() and (reader is not None or not (path.is_dir() or HUB_ID.fullmatch(dataset))):
        raise UserError(f"{dataset}: no such file (looked from {Path.cwd()}); check the path")
    try:
        table = reader(path, dataset) if reader else _read_hub(dataset, split, config_name, data_files)
    except OSError as error:
        raise UserError(f"{dataset}: cannot be read ({_first_line(error.strerror or error)})") from None
    if not table.rows and not table.problems:
        raise UserError(f"{dataset}: the dataset is empty; give one with rows")
    return table


def _read_hub(dataset: str, split: str | None, config_name: str | None, data_files: Sequence[str]) -> Table:
    from datasets import load_dataset

    try:
        if data_files:
            urls = [f"hf://datasets/{dataset}/{name}" for name in data_files]
            loaded = load_dataset("json", data_files=urls, split="train")
        else:
            loaded = load_dataset(dataset, config_name, split=split)
    except Exception as error:  # the hub client raises dozens of unrelated types
        raise UserError(
            f"cannot load split {split!r} of the Hugging Face dataset {dataset!r}: {_first_line(error).rstrip('.')}. "
            "Check the id, the split, the configuration and the network, or download the data and give the path of "
            "a .jsonl or .parquet file"
        ) from None
    return Table(dataset, "row", loaded.column_names, list(enumerate(loaded.to_list(), start=1)))


def _read_parquet(path: Path, label: str) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            rows = file.read().to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: not a readable Parquet file ({_first_line(error)}); write it again") from None
    return Table(label, "row", names, list(enumerate(rows, start=1)))


def _read_json(path: Path, label: str) -> Table:
    content = _parsed(path.read_bytes())
    if isinstance(content, _Unreadable):
        hint = "; one object a line belongs in a .jsonl file" if "Extra data" in content.reason else ""
        raise UserError(f"{label}: {content.reason}{hint or '; write the file again'}")
    if not isinstance(content, list):
        raise UserError(f"{label}: holds {_kind(content)}; it must be a list of objects")
    return _table_of_objects(label, "row", enumerate(content, start=1))


def _read_json_lines(path: Path, label: str) -> Table:
    def lines() -> Iterator[tuple[int, Any]]:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parsed(line)

    return _table_of_objects(label, "line", lines())


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


def _table_of_objects(label: str, unit: str, objects: Iterable[tuple[int, Any]]) -> Table:
    table = Table(label, unit, [], [])
    columns: dict[str, None] = {}
    for number, content in objects:
        if isinstance(content, dict):
            columns.update(dict.fromkeys(content))
            table.rows.append((number, content))
        else:
            reason = content.reason if isinstance(content, _Unreadable) else f"{_kind(content)}, not an object"
            table.reject(number, reason)
    table.columns = list(columns)
    return table


def choose_column(table: Table, option: str, candidates: Sequence[str]) -> str:
    """The first of the candidates that the table has; the first of all where it has no rows to tell.

    Raises:
        UserError: it has none of them.
    """
    if not table.rows:
        return candidates[0]
    for column in candidates:
        if column in table.columns or column.split(".")[0] in table.columns:
            return column
    found = ", ".join(map(repr, table.columns))
    raise UserError(f"{table.label}: no column {candidates[0]!r} (found: {found}); set --{option}")


def examples(
    table: Table,
    prompt_column: str,
    read_fields: Callable[[Row, Prompt], dict[str, str]],
    put: Callable[[Row, str], str] = lambda row, prompt: prompt,
) -> list[Example]:
    """The usable rows of a table; the others become its problems.

    Args:
        read_fields: what the verifier reads of a row with this prompt; `ValueError` says why it cannot.
        put: the problem as it is put to the model, from a row and its prompt, where that is text.
    """
    usable = []
    for number, row in table.rows:
        prompt = cell(row, prompt_column)
        problem = _prompt_problem(prompt, prompt_column)
        if problem is None:
            try:
                text = put(row, prompt) if isinstance(prompt, str) else _plain(prompt)
                usable.append(Example(number, text, read_fields(row, prompt)))
            except ValueError as error:
                problem = str(error)
        if problem is not None:
            table.reject(number, problem)
    first_of = {type(example.prompt): example.row for example in reversed(usable)}
    if len(first_of) > 1:
        other = f"{table.unit} {first_of[str]}"
        table.reject(first_of[list], f"the prompt is chat messages, where {other} has text; use one of the two")
    return usable


def cell(row: dict[str, Any], column: str) -> Any:
    """A row's value in a column; dots reach into objects. None where there is none."""
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


def answer_text(row: dict[str, Any], column: str) -> str:
    """A row's gold answer as text; the texts of a list are joined by commas.

    Raises:
        ValueError: it is missing, empty, or neither text nor a number.
    """
    answer = cell(row, column)
    name = f"the gold answer (column {column!r})"
    if isinstance(answer, list) and answer and all(isinstance(part, str) for part in answer):
        answer = ", ".join(answer)
    if isinstance(answer, str):
        problem = _text_problem(answer, name)
    elif isinstance(answer, bool) or not isinstance(answer, int | float | Decimal):
        problem = f"{name} is {_kind(answer)}; it must be text or a number"
    else:
        finite = isinstance(answer, int) or math.isfinite(answer)  # an integer can be too large for a float
        problem = None if finite else f"{name} is {answer}; it must be finite"
    if problem:
        raise ValueError(problem)
    # Written out, because 1e+20 reads as e + 20 in mathematics.
    return answer if isinstance(answer, str) else format(Decimal(str(answer)), "f")


def _text_problem(text: str, name: str) -> str | None:
    if not text.strip():
        return f"{name} is empty"
    if len(text) > LONGEST_PROMPT:
        return f"{name} has {len(text):,} characters, more than {LONGEST_PROMPT:,}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"{name} holds half a Unicode character at position {error.start + 1}"
    return None


def _plain(prompt: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in prompt]


def _kind(value: Any) -> str:
    names = {type(None): "missing", bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
