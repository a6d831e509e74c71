"""Flags as they are written, read as YAML."""

from typing import Any

from htpo.errors import UserError
from htpo.yaml_file import parse_yaml


def read_flags(arguments: list[str]) -> dict[str, Any]:
    """`--name value ...`, `--name=value` and bare `--name` (true) as a dictionary; values are read as YAML."""
    flags: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise UserError(f"unexpected argument {flag!r}: options are written --name value")
        name, equals, value = flag[2:].partition("=")
        given = [value] if equals else []
        while not equals and rest and not rest[0].startswith("--"):
            given.append(rest.pop(0))
        read = [_scalar(text) for text in given] or [True]
        flags[name.replace("-", "_")] = read if len(read) > 1 else read[0]
    return flags


def is_true(value: Any) -> bool:
    """Whether a flag's value says yes."""
    return value is True or str(value).lower() in ("true", "yes", "1")


def _scalar(text: str) -> Any:
    """A flag's value as YAML reads it, save that `no`, `on` and `{prompt}` are text and `1e-6` is a number."""
    try:
        value = parse_yaml(text) if text else text
    except ValueError:
        return text
    if isinstance(value, bool):
        return value if text.lower() in ("true", "false") else text
    if isinstance(value, dict) and None in value.values():
        return text
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
