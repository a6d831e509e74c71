"""Flags and YAML values as the options of dataclasses, types checked, with errors that teach."""

import difflib
import json
from typing import Any

import yaml

from htpo.errors import UserError


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


def parse(parser: Any, values: dict[str, Any], listing: str) -> Any:
    """The dataclasses of a dictionary of options.

    Args:
        parser: a `transformers.HfArgumentParser`.
        values: options by name, as from YAML.
        listing: the command that lists all options, for the error.

    Raises:
        UserError: an option is unknown or has a value of another type.
    """
    known = {action.dest: action for action in parser._actions}
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"`{listing}` lists all"
            raise UserError(f"unknown option {name!r}: {hint}")
    arguments = []
    for name, value in values.items():
        if value is None:
            continue
        if value is False and "no" in (known[name].choices or ()):
            value = "no"  # what YAML makes of `save_strategy: no`
        listed = value if isinstance(value, list) else [value]
        arguments += [
            f"--{name}",
            *(json.dumps(v) if isinstance(v, dict) else str(v) for v in listed),
        ]
    try:
        return parser.parse_args_into_dataclasses(args=arguments, look_for_args_file=False)
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OSError, ImportError, RuntimeError) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(f"{kind}{' '.join(str(error).split())}") from error


def refuse(message: str) -> None:
    """An argument parser's `error`, as a `UserError`."""
    raise UserError(message.replace("argument --", "option "))


def is_true(value: Any) -> bool:
    """Whether a flag's value says yes."""
    return value is True or str(value).lower() in ("true", "yes", "1")


def _scalar(text: str) -> Any:
    """A flag's value as YAML reads it, save that `no`, `on` and `{prompt}` are text and `1e-6` is a number."""
    try:
        value = yaml.safe_load(text) if text else text
    except yaml.YAMLError:
        return text
    if isinstance(value, bool):
        return value if text.lower() in ("true", "false") else text
    if isinstance(value, dict) and None in value.values():
        return text
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
