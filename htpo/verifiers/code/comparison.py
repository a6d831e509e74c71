"""Whether what a solution wrote is what a test expects: text that a program printed, data that a function returned.

It comes from untrusted processes, and is read as text and as JSON.
"""

import json
import math
from decimal import Decimal, InvalidOperation, Overflow
from typing import Any

LONGEST_WRITTEN_INTEGER = 4300  # digits, in decimal


def same_output(written: bytes, expected: str, tolerance: float | None = None) -> bool:
    """Whether two outputs agree line by line: as text without the space around it, or as numbers, token by token.

    As LiveCodeBench has it: white space around the whole and around each line is ignored; lines that differ as text
    must consist of numbers that are equal as decimals (1.0 and 1, not 0.3333 and 0.33333), or within the tolerance.
    """
    lines, wanted = (text.strip().split("\n") for text in (written.decode("utf-8", "replace"), expected))
    return len(lines) == len(wanted) and all(_same_line(*pair, tolerance) for pair in zip(lines, wanted))


def same_value(result: bytes, expected: Any, tolerance: float = 0.0) -> bool:
    """Whether the result of a call, as `plain_data.encode` wrote it, equals a value read from JSON; tuples are lists.

    Where one side is a number with a decimal point they may differ by `tolerance`. What was written is compared as it
    is: making objects of it (a set of numbers that all have one hash, say) could take this process hours.
    """
    try:
        return _same_data(json.loads(result, parse_int=_written_integer), expected, tolerance)
    except (ValueError, TypeError, LookupError, RecursionError):  # not what `encode` writes
        return False


def _written_integer(digits: str) -> int:
    if len(digits) > LONGEST_WRITTEN_INTEGER:
        raise ValueError("`encode` writes long integers in base 16")
    return int(digits)


def _same_data(data: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(data, dict) and len(data) == 1:
        ((kind, content),) = data.items()
        if kind == "int" and isinstance(content, str):
            return isinstance(expected, int | float) and int(content, 16) == expected
        if kind == "dict" and isinstance(content, list) and isinstance(expected, dict):
            made = dict(pair if isinstance(pair[0], str) else (None, None) for pair in content)
            same_keys = made.keys() == expected.keys() and len(content) == len(made)
            return same_keys and all(_same_data(item, expected[key], tolerance) for key, item in made.items())
        data = content if kind == "tuple" else data
    if isinstance(data, list) and isinstance(expected, list):
        return len(data) == len(expected) and all(_same_data(*pair, tolerance) for pair in zip(data, expected))
    if isinstance(data, float) or isinstance(expected, float):
        return data == expected or (_are_numbers(data, expected) and _close(data, expected, tolerance))
    return not isinstance(data, dict | list) and data == expected


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _close(value: Any, expected: Any, tolerance: Any) -> bool:
    """NaN is close to nothing, infinity to itself alone (which the caller has seen to)."""
    difference = abs(value - expected)
    return difference <= tolerance * max(1, abs(expected)) and difference != math.inf


def _same_line(line: str, wanted: str, tolerance: float | None) -> bool:
    line, wanted = line.strip(), wanted.strip()
    if line == wanted:
        return True
    tokens, wanted_tokens = line.split(), wanted.split()
    return len(tokens) == len(wanted_tokens) and all(
        _same_number(*pair, tolerance) for pair in zip(tokens, wanted_tokens)
    )


def _same_number(token: str, wanted: str, tolerance: float | None) -> bool:
    try:
        value, expected = Decimal(token), Decimal(wanted)
        return value == expected or (bool(tolerance) and _close(value, expected, Decimal(tolerance)))
    except (InvalidOperation, Overflow):
        return False
