r"""Measuring whether what reads model output takes time in proportion to its length, on texts made to make it slow.

`too_slow` takes any functions of one text; `uses` makes such of a regular expression. A quadratic reader takes four
times as long for twice the text, a linear one twice; 2.5 tells them apart.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType

DOUBLING_COSTS_AT_MOST = 2.5
MEASURABLE = 3e-4  # seconds of CPU from which a ratio is no noise
LENGTHS = (16, 64, 256, 1024)  # characters; what is quadratic takes that long for one of them
ATTEMPTS = 8

# A text by its length. What repeats is what readers look for, so that each place looks like a beginning.
UNITS = {
    "spaces": " ", "tabs": "\t", "line ends": "\n", "carriage returns": "\r\n", "blank lines": " \n", "digits": "7",
    "zeros": "0", "letters": "a", "capitals": "A", "words": "ab ", "hyphens": "-", "stars": "*", "bold": "**a",
    "underscores": "_", "hashes": "#", "quotes": "> ", "dots": ".", "commas": ",", "thousands": ",000",
    "semicolons": "; ", "colons": ":", "equals": "=", "bars": "|", "pluses": "+", "slashes": "/",
    "backslashes": "\\", "dollars": "$", "opening braces": "{", "closing braces": "}", "braces": "{}",
    "escaped braces": "\\{", "round": "(", "square": "[", "pairs": "(1,2),", "boxes": "\\boxed{",
    "closed boxes": "\\boxed{1}", "spaced boxes": "\\boxed ", "texts": "\\text{", "closed texts": "\\text{a}",
    "fractions": "\\frac", "roots": "\\sqrt", "commands": "\\a", "answers": "answer", "answer lines": "Answer: 1\n",
    "answers in a line": "Answer: ", "final answers": "the final ", "thoughts": "<think>",
    "ended thoughts": "</think>", "tags": "<", "fences": "```", "fence lines": "```\n",
    "python fences": "```python\n", "open fences": "```py ", "tilde fences": "~~~\n", "subscripts": "a_1",
    "braced subscripts": "a_{", "primes": "'", "relations": "x<", "ands": " and ", "names": "x, ",
    "unions": "\\cup ", "matrices": "\\begin{pmatrix}", "cells": "1&", "rows": "1\\\\", "degrees": "1^{\\circ}",
    "numbers": "1 ", "decimals": "1.", "supers": "<sup>",
}  # fmt: skip
STARTS = ("", "Answer ", "\\boxed{", "```", "1")  # and then the unit again and again
ENDS = ("", "!`", "\n")  # where a reader that needs another end has to give up


def families() -> Iterator[tuple[str, Callable[[int], str]]]:
    """Every family of texts: its name, and a text of about the length asked for."""
    for name, unit in UNITS.items():
        for start in STARTS:
            for end in ENDS:
                yield f"{start!r} + {name} + {end!r}", _repeated(start, unit, end)


def _repeated(start: str, unit: str, end: str) -> Callable[[int], str]:
    return lambda length: start + unit * (1 + length // len(unit)) + end


def growth(read: Callable[[str], object], text_of: Callable[[int], str]) -> float:
    """How many times as long `read` takes for a text of twice the length; 0 when it is too fast to be measured.

    Compares the shortest of a few CPU times of each, and what looks slow again at four times the length: the load of
    the machine can only make a time longer.
    """
    for length in LENGTHS:
        if _seconds(read, text_of(length)) >= MEASURABLE:
            break
    else:
        return 0.0
    found = _ratio(read, text_of, length)
    return found if found <= DOUBLING_COSTS_AT_MOST else min(found, _ratio(read, text_of, 4 * length))


def _ratio(read: Callable[[str], object], text_of: Callable[[int], str], length: int) -> float:
    once, twice = float("inf"), float("inf")
    for _ in range(ATTEMPTS):
        once = min(once, _seconds(read, text_of(length)))
        twice = min(twice, _seconds(read, text_of(2 * length)))
        if twice <= DOUBLING_COSTS_AT_MOST * once:
            break
    return twice / once


def _seconds(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start


def uses(pattern: re.Pattern) -> dict[str, Callable[[str], object]]:
    """The ways in which a pattern meets a text: everywhere, and as a whole."""
    return {"finditer": lambda text: sum(1 for _ in pattern.finditer(text)), "fullmatch": pattern.fullmatch}


def too_slow(reads: Mapping[str, Callable[[str], object]]) -> list[str]:
    """Which readers are not linear on which texts, in words; empty when all are."""
    found = []
    for name, read in reads.items():
        for family, text_of in families():
            ratio = growth(read, text_of)
            if ratio > DOUBLING_COSTS_AT_MOST:
                found.append(f"{name} takes {ratio:.1f} times as long for twice the text of {family}")
                break
    return found


def patterns_of(modules: Iterable[ModuleType]) -> dict[str, re.Pattern]:
    """Every compiled pattern that the modules hold under a name, alone or inside lists, tuples and dicts."""
    found = {}
    for module in modules:
        for name, value in vars(module).items():
            for index, pattern in enumerate(_patterns_in(value)):
                found[f"{module.__name__}.{name}[{index}]"] = pattern
    return found


def _patterns_in(value: object) -> Iterator[re.Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _patterns_in(part)
    elif isinstance(value, dict):
        yield from _patterns_in([*value.keys(), *value.values()])
