"""Rows of a dataset as they were read, and everything that is wrong with them, by row number."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from htpo.errors import UserError
from htpo.tasks.prompts import Prompt
from htpo.verifiers.row import Row, cell

ROWS_NAMED = 5
LONGEST_PROMPT = 1_000_000  # characters


@dataclass
class RawRows:
    """Rows as they were read, with their numbers (1-based), and what is wrong with those that cannot be used."""

    label: str  # of the source, as the user gave it
    unit: str  # what the numbers count: "line" of a .jsonl file, "row" of anything else
    columns: list[str]  # all there are
    rows: list[tuple[int, dict[str, Any]]]
    defects: dict[int, str] = field(default_factory=dict)

    def reject(self, number: int, defect: str) -> None:
        """Note why a row cannot be used."""
        self.defects[number] = defect

    def raise_defects(self) -> None:
        """Raise a `UserError` that names rows that cannot be used, if there are any."""
        if self.defects:
            remedy = f"fix or remove {'it' if len(self.defects) == 1 else 'them'}, or --skip_bad_rows"
            raise UserError(f"{self.label}: {in_words(self.defects, self.unit)}; {remedy}")


def in_words(defects: Mapping[int, str], unit: str) -> str:
    """Defects by row number in one line: the first few, and how many there are."""
    first = sorted(defects)[:ROWS_NAMED]
    listed = "; ".join(f"{unit} {number}: {defects[number]}" for number in first)
    if len(defects) == 1:
        return listed
    more = f"; and {len(defects) - len(first)} more" * (len(defects) > len(first))
    return f"{len(defects)} {unit}s cannot be used ({listed}{more})"


@dataclass(frozen=True)
class Example:
    """One usable row: a prompt (text or chat messages), what the verifier reads, and its number in the source."""

    row: int
    prompt: Prompt
    fields: dict[str, str]


def choose_column(raw: RawRows, option: str, candidates: Sequence[str]) -> str:
    """The first of the candidates that the rows have; the first of all where it has no rows to tell.

    Raises:
        UserError: they have none of them.
    """
    if not raw.rows:
        return candidates[0]
    for column in candidates:
        if column in raw.columns or column.split(".")[0] in raw.columns:
            return column
    found = ", ".join(map(repr, raw.columns))
    raise UserError(f"{raw.label}: no column {candidates[0]!r} (found: {found}); set --{option}")


def examples(
    raw: RawRows,
    prompt_column: str,
    read_fields: Callable[[Row, Prompt], dict[str, str]],
    put: Callable[[Row, str], str] = lambda row, prompt: prompt,
) -> list[Example]:
    """The usable rows; the others get their defects noted.

    Args:
        read_fields: what the verifier reads of a row with this prompt; `ValueError` says why it cannot.
        put: the problem as it is put to the model, from a row and its prompt, where that is text.
    """
    usable = []
    for number, row in raw.rows:
        prompt = cell(row, prompt_column)
        defect = _prompt_defect(prompt, prompt_column)
        if defect is None:
            try:
                text = put(row, prompt) if isinstance(prompt, str) else _plain(prompt)
                usable.append(Example(number, text, read_fields(row, prompt)))
            except ValueError as error:
                defect = str(error)
        if defect is not None:
            raw.reject(number, defect)
    first_of = {type(example.prompt): example.row for example in reversed(usable)}
    if len(first_of) > 1:
        other = f"{raw.unit} {first_of[str]}"
        raw.reject(first_of[list], f"the prompt is chat messages, where {other} has text; use one of the two")
    return usable


def _prompt_defect(prompt: Any, column: str) -> str | None:
    name = f"the prompt (column {column!r})"
    if isinstance(prompt, str):
        return _text_defect(prompt, name)
    if not isinstance(prompt, list):
        return f"{name} is {type_in_words(prompt)}; it must be text or a list of chat messages"
    for message in prompt:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            return f"a chat message of {name} must have a 'role' and a 'content', both text"
    if prompt and prompt[-1]["role"] == "assistant":
        return f"{name} ends with the assistant's message; it must end before the response"
    return _text_defect("".join(message["content"] for message in prompt), name)


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
        defect = _text_defect(answer, name)
    elif isinstance(answer, bool) or not isinstance(answer, int | float | Decimal):
        defect = f"{name} is {type_in_words(answer)}; it must be text or a number"
    else:
        finite = isinstance(answer, int) or math.isfinite(answer)  # an integer can be too large for a float
        defect = None if finite else f"{name} is {answer}; it must be finite"
    if defect:
        raise ValueError(defect)
    # Written out, because 1e+20 reads as e + 20 in mathematics.
    return answer if isinstance(answer, str) else format(Decimal(str(answer)), "f")


def _text_defect(text: str, name: str) -> str | None:
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


def type_in_words(value: Any) -> str:
    """What a value is, in words."""
    names = {type(None): "missing", bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def first_line(error: object) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
