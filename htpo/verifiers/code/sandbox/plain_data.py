"""How values cross from an untrusted process: as JSON of plain data, from which equal plain objects are made anew.

What is read back is built of Python's own types only, so no method of the sender (`__eq__`, say) comes along.
Subclasses cross as the type they extend; anything else crosses as a number under which the sender keeps it and whether
it is true, or not at all.
"""

import collections
import decimal
import fractions
import itertools
from collections.abc import Callable, Iterator
from typing import Any

LONGEST_MESSAGE = 8 * 2**20  # bytes of JSON
LONGEST_ITERATOR = 1_000_000  # items taken of an iterator, which may be endless
_SMALL = 2**63
_SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": collections.deque, "iterator": iter}


def encode(value: Any, keep: Callable[[Any], int] | None = None) -> Any:
    """The value as what `json.dumps` writes: lists and scalars as they are, the rest as `{type: content}`.

    Args:
        value: what to send.
        keep: puts aside an object that is no plain data and returns its number.

    Raises:
        TypeError: for an object that is no plain data when there is no `keep`.
        RecursionError: for a value that is nested too deeply, or in itself.
    """
    if value is None or isinstance(value, bool | float):
        return float(value) if isinstance(value, float) else value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        value = int(value)
        return value if -_SMALL < value < _SMALL else {"int": hex(value)}
    if isinstance(value, list):
        return [encode(item, keep) for item in value]
    if isinstance(value, dict):
        return {"dict": [[encode(key, keep), encode(item, keep)] for key, item in value.items()]}
    for name, kind in (("tuple", tuple), ("set", set), ("frozenset", frozenset), ("deque", collections.deque)):
        if isinstance(value, kind):
            return {name: [encode(item, keep) for item in value]}
    if isinstance(value, bytes | bytearray):
        return {type(value).__mro__[-2].__name__: value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, decimal.Decimal | fractions.Fraction):
        return {"decimal" if isinstance(value, decimal.Decimal) else "fraction": str(value)}
    if isinstance(value, type({}.keys()) | type({}.items())):
        return {"set": [encode(item, keep) for item in value]}
    if isinstance(value, Iterator | type({}.values())):
        taken = list(itertools.islice(value, LONGEST_ITERATOR + 1))
        if len(taken) > LONGEST_ITERATOR:
            raise TypeError("an iterator without end")
        return {"iterator": [encode(item, keep) for item in taken]}
    if keep is None:
        raise TypeError(f"{type(value).__name__} is no plain data")
    return {"kept": [keep(value), bool(value)]}


def decode(data: Any, kept: Callable[[int, bool], Any] | None = None) -> Any:
    """The value that `encode` was given; `kept` makes what stands for an object the sender kept.

    Raises:
        ValueError: for anything `encode` would not write.
    """
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return [decode(item, kept) for item in data]
    try:
        ((name, content),) = data.items()
        if name in _SEQUENCES:
            return _SEQUENCES[name]([decode(item, kept) for item in content])
        return _MAKERS[name](content, kept)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no plain data ({type(error).__name__})") from None


def _make_kept(content: Any, kept: Callable[[int, bool], Any] | None) -> Any:
    number, truth = content
    if kept is None or type(number) is not int or type(truth) is not bool:
        raise ValueError("an object that does not cross")
    return kept(number, truth)


_MAKERS = {
    "int": lambda content, kept: int(content, 16),
    "dict": lambda content, kept: {decode(key, kept): decode(item, kept) for key, item in content},
    "bytes": lambda content, kept: bytes.fromhex(content),
    "bytearray": lambda content, kept: bytearray.fromhex(content),
    "complex": lambda content, kept: complex(*content),
    "range": lambda content, kept: range(*content),
    "decimal": lambda content, kept: decimal.Decimal(content),
    "fraction": lambda content, kept: fractions.Fraction(content),
    "kept": _make_kept,
}
