"""Options by name, as from YAML, as dataclasses: types checked, with errors that teach."""

import difflib
import json
import re
from typing import Any

from htpo.errors import UserError

LIKE_AN_OPTION = re.compile(r"-(?!\d+$|\d*\.\d+$)")  # as argparse tells it from a negative number


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
        arguments += _as_arguments(name, [json.dumps(v) if isinstance(v, dict) else str(v) for v in listed])
    try:
        return parser.parse_args_into_dataclasses(args=arguments, look_for_args_file=False)
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OSError, ImportError, RuntimeError) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(f"{kind}{' '.join(str(error).split())}") from error


def _as_arguments(name: str, words: list[str]) -> list[str]:
    """An option as on a command line, where no value is taken for another option."""
    if len(words) == 1:
        return [f"--{name}={words[0]}"]
    for word in words:
        if LIKE_AN_OPTION.match(word):
            raise UserError(f"option {name}: {word!r} among several values begins with '-', which only a number may")
    return [f"--{name}", *words]


def refuse(message: str) -> None:
    """An argument parser's `error`, as a `UserError`."""
    raise UserError(re.sub(r"argument --([^/:]+)(/--[^:]+)?", r"option \1", message))
