r"""Intervals, inequalities, set-builder form and unions of them, read as one form: `as_ranges`."""

import re
from dataclasses import replace
from itertools import pairwise

from htpo.verifiers.math.forms import NAME, RELATION, SEPARATOR, VARIABLE, Interval, Quantity, Ranges, is_words
from htpo.verifiers.math.text import both_signs, enclosed, split_outside
from htpo.verifiers.math.units import measured

CONJUNCTION = re.compile(r" ?,? ?(?<![a-zA-Z\\])(?:and)(?![a-zA-Z]) ?| ?\\(?:land|wedge|cap)(?![a-zA-Z]) ?")
CONDITIONS = re.compile(rf"{CONJUNCTION.pattern}|{SEPARATOR.pattern}")
UNION = re.compile(r" ?\\cup(?![a-zA-Z]) ?")
SET_BUILDER = re.compile(rf"(?P<variable>{NAME}) ?(?:\\in ?\\mathbb\{{R\}} ?)?[|:] ?(?P<condition>.+)")
DIFFERENCE = re.compile(r" ?\\(?:setminus|backslash|smallsetminus)(?![a-zA-Z]) ?| ?[-/] ?(?=\\\{)")
ALL_REALS = re.compile(
    r"(?:x is )?(?:the set of )?(?:all|any|every) (?:reals|real numbers?)"
    r"(?:,? (?:except|other than|but|besides|excluding|not equal to)(?: for)?(?: x ?=)? (?P<without>.+))?"
)
# The letter in `|2x + 1|` or `|3 - x|`, what it is multiplied with and what is added.
ABSOLUTE = re.compile(r"\| ?([^|]+?) ?\|")
LINEAR = re.compile(rf"^(?P<factor>\d*) ?(?P<name>{NAME}) ?(?P<added>[+-].+)?")
LINEAR_TURNED = re.compile(rf"^(?P<added>[^+-]+)- ?(?P<factor>\d*) ?(?P<name>{NAME})")
EVERYTHING = Interval(None, None, False, False)
MEMBER = re.compile(rf"(?P<variable>{NAME}) ?\\in ?(?P<set>.+)")


def as_ranges(text: str) -> Ranges | None:
    r"""Intervals, inequalities in one variable, set-builder form and unions of these, as one thing.

    `[1, 5)`, `1 \leq x < 5`, `\{x | 1 \leq x < 5\}`, `x \in [1, 5)` are equal; `(1, 5)` and `5 > x > 1`; `x \neq 3` and
    `(-\infty, 3) \cup (3, \infty)`. Ends and their kinds (open, closed) must all agree.
    """
    if (found := MEMBER.fullmatch(text)) and (inner := as_ranges(found.group("set"))):
        return replace(inner, variable=found.group("variable"))
    if text == r"\mathbb{R}" or text == "R":
        return Ranges((EVERYTHING,))
    if found := ALL_REALS.fullmatch(text):
        pieces = split_outside(found.group("without"), SEPARATOR) if found.group("without") else []
        return Ranges((EVERYTHING,), without=tuple(_end(piece) for piece in pieces))
    pieces = split_outside(text, DIFFERENCE)
    if len(pieces) > 1:
        return _difference(pieces)
    brackets = enclosed(text)
    if brackets and brackets[0] == r"\{" and (found := SET_BUILDER.fullmatch(brackets[1])):
        condition = re.sub(
            rf", ?{re.escape(found.group('variable'))} ?\\in ?\\mathbb\{{R\}}$", "", found.group("condition")
        )
        inner = as_ranges(condition)
        return replace(inner, variable="") if inner and inner.variable in ("", found.group("variable")) else None
    if (found := SET_BUILDER.fullmatch(text)) and "|" in text and text.count("|") == 1:
        inner = as_ranges(found.group("condition"))
        return inner if inner and inner.variable == found.group("variable") else None
    pieces = split_outside(text, UNION)
    if len(pieces) > 1:
        return _union([_component(piece) for piece in pieces])
    if RELATION.search(text):
        if (found := _all_but(text)) is not None:
            return found
        alternatives = [piece for piece in split_outside(text, SEPARATOR) if piece]
        conjunctions = [piece for piece in split_outside(text, CONJUNCTION) if piece]
        if len(conjunctions) > 1 and len(conjunctions) == len(alternatives):
            return _intersection([_condition(piece) for piece in conjunctions])
        if len(alternatives) > 1 and (
            "<" in text or ">" in text or "\\leq" in text or "\\geq" in text or "\\neq" in text
        ):
            return _union([_condition(piece) for piece in alternatives])
        condition = _condition(text)
        return condition if condition and any(isinstance(part, Interval) for part in condition.parts) else None
    alternatives = split_outside(text, SEPARATOR)
    if len(alternatives) > 1 and "\\infty" in text:
        return _union([_component(piece) for piece in alternatives])
    component = _component(text)
    return component if component and isinstance(component.parts[0], Interval) else None


def _difference(pieces: list[str]) -> Ranges | None:
    r"""`A \setminus B`, of intervals, sets of points and what stands for such."""
    sets = [as_ranges(piece) or _component(piece) for piece in pieces]
    if None in sets or any(each.without or each.variable for each in sets[1:]):
        return None
    without = tuple(part for each in sets[1:] for part in each.parts)
    return replace(sets[0], without=sets[0].without + without)


def _all_but(text: str) -> Ranges | None:
    r"""`x < 5, x \neq 2` and `x \neq 1, x \neq 2`: a condition without points; None for any other list."""
    pieces: list[str] = []
    for piece in filter(None, split_outside(text, CONDITIONS)):
        if pieces and r"\neq" in pieces[-1] and not RELATION.search(piece) and not MEMBER.fullmatch(piece):
            piece = f"{split_outside(pieces[-1], RELATION)[0]} \\neq {piece}"  # x \neq 1, 2
        pieces.append(piece)
    excluded = [piece for piece in pieces if r"\neq" in piece]
    others = [_condition(piece) for piece in pieces if r"\neq" not in piece]
    sides = [split_outside(piece, RELATION) for piece in excluded]
    if len(pieces) < 2 or not excluded or any(len(each) != 2 or not all(each) for each in sides) or None in others:
        return None
    names = {each[0] for each in sides} | {each.variable for each in others}
    if len(names) != 1 or not _is_variable(sides[0][0]):
        return None
    base = others[0] if others else Ranges((EVERYTHING,))
    if len(others) > 1:
        return None
    without = tuple(_end(value) for each in sides for value in both_signs(each[1]))
    return replace(base, variable=sides[0][0], without=base.without + without)


def _union(parts: list[Ranges | None]) -> Ranges | None:
    if any(part is None or part.without for part in parts) or len({part.variable for part in parts}) > 1:
        return None
    return Ranges(tuple(piece for part in parts for piece in part.parts), parts[0].variable)


def _intersection(parts: list[Ranges | None]) -> Ranges | None:
    r"""`x > 0 and x < 5`: two half-lines that meet; `x > 0 and x \neq 2` is not read."""
    if len(parts) != 2 or any(part is None or len(part.parts) != 1 for part in parts):
        return None
    first, second = parts[0].parts[0], parts[1].parts[0]
    if parts[0].variable != parts[1].variable or not isinstance(first, Interval) or not isinstance(second, Interval):
        return None
    if first.low is None and second.high is None:
        first, second = second, first
    if first.high is not None or second.low is not None or first.low is None or second.high is None:
        return None
    return Ranges((Interval(first.low, second.high, first.low_closed, second.high_closed),), parts[0].variable)


def _component(text: str) -> Ranges | None:
    r"""One interval `(a, b]`, or points `\{1, 2\}`."""
    brackets = enclosed(text)
    if brackets is None:
        return None
    opening, content, closing = brackets
    pieces = split_outside(content, re.compile(r" ?[,;] ?"))
    if opening == r"\{" and closing == r"\}" and all(pieces) and "|" not in content:
        return Ranges(tuple(Quantity(piece) for piece in pieces))
    if opening not in "([" or closing not in ")]" or len(pieces) != 2 or not all(pieces):
        return None
    if any(re.search(r"[=<>]|\\pm(?![a-zA-Z])", piece) or is_words(piece) for piece in pieces):
        return None
    low = None if re.fullmatch(r"- ?\\infty ?", pieces[0]) else _end(pieces[0])
    high = None if re.fullmatch(r"\+? ?\\infty ?", pieces[1]) else _end(pieces[1])
    return Ranges((Interval(low, high, opening == "[" and low is not None, closing == "]" and high is not None),))


def _end(text: str) -> Quantity:
    value = measured(text)
    return Quantity(value.value, value.unit)


def _condition(text: str) -> Ranges | None:
    """An inequality in one variable, with it alone on one side or in the middle."""
    if (found := MEMBER.fullmatch(text)) and (inner := as_ranges(found.group("set"))):
        return replace(inner, variable=found.group("variable"))
    signs = RELATION.findall(text)
    sides = split_outside(text, RELATION)
    if len(signs) not in (1, 2) or len(sides) != len(signs) + 1 or not all(sides):
        return None
    flipped = {"<": ">", ">": "<", r"\leq": r"\geq", r"\geq": r"\leq"}
    if signs[0] in (">", r"\geq") and len(signs) == 2:
        sides, signs = sides[::-1], [flipped.get(sign, sign) for sign in signs[::-1]]
    if len(signs) == 2:
        low, variable, high = sides
        if not _is_variable(variable) or not set(signs) <= {"<", r"\leq"}:
            return None
        low_end = None if re.fullmatch(r"- ?\\infty ?", low) else _end(low)
        high_end = None if re.fullmatch(r"\+? ?\\infty ?", high) else _end(high)
        interval = Interval(low_end, high_end, signs[0] == r"\leq", signs[1] == r"\leq")
        return _of_absolute(variable, interval)
    (left, right), sign = sides, signs[0]
    if not _is_variable(left):
        left, right, sign = right, left, flipped.get(sign, sign)
    if not _is_variable(left) or _is_variable(right):
        return None
    if sign == "=":
        return Ranges((_end(right),), left)
    if sign == r"\neq":
        return _except(left, right)
    if sign not in flipped:
        return None
    closed = sign in (r"\leq", r"\geq")
    if sign in ("<", r"\leq"):
        return _of_absolute(left, Interval(None, _end(right), False, closed))
    return _of_absolute(left, Interval(_end(right), None, closed, False))


def _is_variable(text: str) -> bool:
    """A letter, or something linear in one between bars."""
    if found := ABSOLUTE.fullmatch(text):
        return _linear(found.group(1)) is not None
    return bool(VARIABLE.fullmatch(text)) and text not in (r"\pi", r"\infty", "e")


def _except(variable: str, value: str) -> Ranges | None:
    r"""All numbers but one, or but `\pm c`."""
    ends = [None, *map(_end, reversed(both_signs(value))), None]
    return Ranges(tuple(Interval(low, high, False, False) for low, high in pairwise(ends)), variable)


def _linear(text: str) -> tuple[str, str, str] | None:
    """Name, factor and what is added, of `2x + 1`; of `3 - x`, which has the same absolute value, as of `x - 3`."""
    if found := LINEAR.fullmatch(text):
        name, factor, added = found.group("name"), found.group("factor"), found.group("added") or "0"
    elif found := LINEAR_TURNED.fullmatch(text):
        name, factor, added = found.group("name"), found.group("factor"), f"-({found.group('added')})"
    else:
        return None
    return (name, factor or "1", added) if name not in added and factor != "0" else None


def absolute_solutions(side: str, value: str) -> tuple[str, tuple[Quantity, Quantity]] | None:
    """The letter in `|x - 2|` and its two values where this is the value; None for any other side of an equation."""
    found = ABSOLUTE.fullmatch(side)
    linear = _linear(found.group(1)) if found else None
    return linear and (linear[0], (_solved(linear, _end(value), ""), _solved(linear, _end(value), "-")))


def _solved(linear: tuple[str, str, str], end: Quantity, sign: str) -> Quantity:
    """The value of the letter where what is linear in it is this end, or its opposite."""
    _, factor, added = linear
    text = f"{sign}({end.text})" if sign else end.text
    return replace(end, text=text if (factor, added) == ("1", "0") else f"\\frac{{{text}-({added})}}{{{factor}}}")


def _of_absolute(variable: str, interval: Interval) -> Ranges | None:
    """`|x| < c` is `-c < x < c`, `|x| > c` the two half-lines outside, `1 < |x| < 2` two intervals; so `|2x + 1|`."""
    found = ABSOLUTE.fullmatch(variable)
    if found is None:
        return Ranges((interval,), variable)
    linear = _linear(found.group(1))
    name = linear[0]

    def at(end: Quantity | None, sign: str) -> Quantity | None:
        return end and _solved(linear, end, sign)

    low, high, low_closed, high_closed = interval.low, interval.high, interval.low_closed, interval.high_closed
    if low is None:
        return Ranges((Interval(at(high, "-"), at(high, ""), high_closed, high_closed),), name)
    left = Interval(at(high, "-"), at(low, "-"), high_closed, low_closed)
    return Ranges((left, Interval(at(low, ""), at(high, ""), low_closed, high_closed)), name)
