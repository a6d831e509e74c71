"""The forms in which a final answer may be meant, and the few patterns that their readers share."""

import re
from dataclasses import dataclass

from htpo.verifiers.math.units import Measured, measured

NAME = r"(?:\\[a-zA-Z]+|[a-zA-Z])(?:_ ?(?:\{[^{}]*\}|\w)|')*"
VARIABLE = re.compile(rf"{NAME}|\| ?{NAME} ?\|")
WORD = re.compile(r"(?<![\\a-zA-Z])[^\W\d_]{3,}|(?<![\\\w])(?:is|no|of|to|on|at|it)(?!\w)", re.IGNORECASE)
OPERATORS = re.compile(r"[=<>^_+*/]|\\[a-zA-Z]")
RELATION = re.compile(r"\\leq|\\geq|\\neq|<|>|=|\\approx|\\equiv|\\sim")
ORDER = {"<", ">", r"\leq", r"\geq"}
SEPARATOR = re.compile(
    r" ?(?:[,;] ?)?(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]) ?[:,]? ?| ?\\(?:lor|vee)(?![a-zA-Z]) ?| ?[,;] ?"
)
COUNT = re.compile(r"^-?\d[\d.,]*+(?: [a-zA-Z]{2,}){1,6}$")
SAYS_MORE = re.compile(
    r" (?:not|no|never|n?or|and|if|unless|except|without|but|is|are|was|were|than|equals?|least|most)(?![a-z])"
)


@dataclass(frozen=True)
class Quantity:
    """One value: its text without the unit, the unit, and the letters that are bound (`x` of `f(x) = 2x`)."""

    text: str
    unit: str = ""
    bound: frozenset[str] = frozenset()
    label: str = ""


@dataclass(frozen=True)
class Several:
    """More than one value: a "tuple" (ordered; "row" and "column" are tuples too), a "set" (not), a "list" (either), a
    "chain" a < b < c."""

    parts: tuple
    kind: str
    label: str = ""


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; None is infinity."""

    low: Quantity | None
    high: Quantity | None
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True)
class Ranges:
    """A union of intervals and points, but for the intervals and points in `without`; `variable` when it was written as
    a condition on one."""

    parts: tuple
    variable: str = ""
    without: tuple = ()


@dataclass(frozen=True)
class Equation:
    """`sides[0] = sides[1] = ...` whose left side is no mere name."""

    text: str
    sides: tuple[str, ...]


@dataclass(frozen=True)
class Inequality:
    """`sides[0] signs[0] sides[1] ...` of which no side is a mere variable."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """Plain language."""

    text: str


@dataclass(frozen=True)
class Choice:
    """The letter of a multiple choice and what stands beside it, or the sign (`<`) that fills a gap."""

    letter: str
    content: tuple = ()


Form = Quantity | Several | Ranges | Equation | Inequality | Words | Choice


def is_words(text: str) -> bool:
    """Whether this is language, not mathematics: a word or more, no operator, and no number with a unit."""
    text = re.sub(r"\\text ?\{([^{}]*)\}", r"\1", text)
    found = measured(text)
    if found == Measured(found.value) and found.value != text:  # `the 21st day`
        return False
    if found.unit and COUNT.match(text) and not SAYS_MORE.search(text):  # `12 of the red balls`
        return False
    if found.unit or OPERATORS.search(re.sub(r"(?<=[a-zA-Z])/(?=[a-zA-Z])|\\'|\\&", " ", text)):
        words = WORD.findall(text)
        return len(words) >= 3 and sum(map(len, words)) > len(text) / 2
    return bool(WORD.search(text)) and not re.match(r" ?[-\d(]*\d[\d.,]* ?$", text)
