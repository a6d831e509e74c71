"""verl's options, in the syntax of Hydra's command line."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from htpo.errors import UserError

_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+")


@dataclass(frozen=True)
class Override:
    """An option of verl's, by its name in a command, with `+` where verl's own configuration has none such."""

    name: str
    value: Any
    said_by: str | None = None  # our option that says it; None: a default that may be replaced

    def __str__(self) -> str:
        return f"{self.name}={in_hydra(self.value)}"


def in_hydra(value: Any) -> str:
    """A value as Hydra reads it: null, true, numbers, texts quoted where they need it, lists and mappings."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{in_hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(in_hydra, value)) + "]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in ("null", "true", "false") and not _is_number(text):
        return text
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"


def with_given(ours: Sequence[Override], given: Iterable[str]) -> list[str]:
    """Our overrides and the user's, as arguments of a command; the user's replace defaults.

    Raises:
        UserError: one of the user's is none, or belongs to an option of ours.
    """
    theirs: dict[str, str] = {}
    said = {_bare(each.name): each.said_by for each in ours}
    for text in given:
        name, equals, _ = text.partition("=")
        if not equals and not name.startswith("~"):
            raise UserError(f"verl_options: {text!r} is no option of verl's, which are written name=value")
        option = next((by for known, by in said.items() if by is not None and _overlap(known, _bare(name))), None)
        if option is not None:
            raise UserError(f"verl_options: {name} is said by --{option}: give that")
        theirs[_bare(name)] = text
    return [str(each) for each in ours if _bare(each.name) not in theirs] + list(theirs.values())


def in_shell(command: Sequence[str], environment: dict[str, str]) -> str:
    """A command to be copied, an option on each line."""
    head = " ".join([*(f"{name}={_quoted(value)}" for name, value in environment.items()), *command[:3]])
    return " \\\n    ".join([head, *map(_quoted, command[3:])])


def _quoted(text: str) -> str:
    """For a shell, in double quotes where the text has single ones."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def _bare(name: str) -> str:
    return name.lstrip("+~")


def _overlap(one: str, other: str) -> bool:
    """Whether two names are the same option, or one a block that holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
