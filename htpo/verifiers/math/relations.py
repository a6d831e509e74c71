"""Whether two equations, or two inequalities, say the same.

Runs in the worker processes only: nothing here is bounded in time.
"""

from collections.abc import Sequence
from functools import lru_cache

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from htpo.verifiers.math.forms import Equation, Form, Inequality, Interval, Quantity, Ranges
from htpo.verifiers.math.text import clean
from htpo.verifiers.math.values import same_everywhere, value_of

WHOLE_CONFIG = [LatexExtractionConfig(boxed_match_priority=0)]


@lru_cache(maxsize=4096)
def whole_expressions(text: str) -> list:
    r"""What math-verify itself reads in a text taken as one whole answer; empty when it reads none.

    Only its LaTeX reader is used: its fallbacks search for any number inside, and would take the set `\{x | x > 3\}`
    for the number 3.
    """
    found = parse(f"\\boxed{{{clean(text)}}}", WHOLE_CONFIG, extraction_mode="first_match", parsing_timeout=None)
    return [expression for expression in found if not isinstance(expression, str)]


def equations_equal(gold: Form, answer: Form) -> bool:
    """Whether two equations, or an equation and a value with its label, are multiples of each other or have the same
    solutions."""
    texts = [_equation_text(side) for side in (gold, answer)]
    if None in texts:
        return False
    differences = [_difference(text) for text in texts]
    if None not in differences:
        mine, other = differences
        if mine.free_symbols != other.free_symbols:
            return False
        if _constant_ratio(mine, other) is not None:
            return True
    return bool(verify(whole_expressions(texts[0]), whole_expressions(texts[1]), timeout_seconds=None))


def solves(gold: Equation, answer: Quantity) -> bool:
    """Whether the answer is the one solution of the gold's equation for the one letter that the answer lacks."""
    difference, value = _difference(gold.text), value_of(answer.text)
    if difference is None or value is None or not isinstance(value.as_expression(), sympy.Expr):
        return False
    expression = value.as_expression()
    unknown = difference.free_symbols - expression.free_symbols
    if len(unknown) != 1 or not expression.free_symbols or expression.free_symbols - difference.free_symbols:
        return False
    solutions = sympy.solve(difference, unknown.pop())
    return len(solutions) == 1 and bool(same_everywhere(solutions[0], expression))


def is_relation(equation: Equation) -> bool:
    """Whether a left side is a number or a polynomial, and the right side has letters, as in `5 = 2a + b`, `3y = 2x`:
    then the right side is not what the equation gives a name to."""
    left, right = value_of(equation.sides[0]), value_of(equation.sides[-1])
    if left is None or right is None or not isinstance(right.as_expression(), sympy.Expr):
        return False
    expression = left.as_expression()
    if not right.as_expression().free_symbols or not isinstance(expression, sympy.Expr):
        return False
    return not expression.free_symbols or bool(expression.is_polynomial())


def inequalities_equal(gold: Inequality | Ranges, answer: Inequality | Ranges) -> bool:
    r"""Whether all that is said to be positive on one side is a positive multiple of what is on the other: `x < 2`,
    `-x > -2`, `2x + 1 < 5`. Ranges without a variable take the letter of the other side."""
    letters = {letter for side in (gold, answer) for letter in _letters(side)}
    mine, other = (_positives(side, letters) for side in (gold, answer))
    if not mine or not other or len(mine) != len(other):
        return False
    return all(
        any(strict == also_strict and _is_positive_multiple(one, two) for two, also_strict in other)
        for one, strict in mine
    )


def _letters(side: Inequality | Ranges) -> Sequence[str]:
    if isinstance(side, Ranges):
        return [side.variable] if side.variable else []
    values = [value_of(text) for text in side.sides]
    expressions = [value.as_expression() for value in values if value is not None]
    return [letter.name for expression in expressions for letter in expression.free_symbols]


def _positives(side: Inequality | Ranges, letters: set[str]) -> list[tuple[sympy.Expr, bool]] | None:
    """What is positive (True: and not 0) where the condition holds; None where that is not known."""
    if isinstance(side, Ranges):
        names = [side.variable] if side.variable else sorted(letters)
        if side.without or len(side.parts) != 1 or not isinstance(side.parts[0], Interval) or len(names) != 1:
            return None
        part = side.parts[0]
        chain = [(part.low, names[0], not part.low_closed), (names[0], part.high, not part.high_closed)]
        ordered = [
            (low if isinstance(low, str) else low.text, high if isinstance(high, str) else high.text, strict)
            for low, high, strict in chain
            if low is not None and high is not None
        ]
    else:
        ordered = []
        for (left, right), sign in zip(zip(side.sides, side.sides[1:]), side.signs):
            low, high = (left, right) if sign in ("<", r"\leq") else (right, left)
            ordered.append((low, high, sign in "<>"))
    positives = []
    for low, high, strict in ordered:
        values = value_of(low), value_of(high)
        if None in values or not all(isinstance(value.as_expression(), sympy.Expr) for value in values):
            return None
        positives.append((values[1].as_expression() - values[0].as_expression(), strict))
    return positives


def _is_positive_multiple(one: sympy.Expr, other: sympy.Expr) -> bool:
    ratio = _constant_ratio(one, other) if one.free_symbols == other.free_symbols else None
    return ratio is not None and ratio.is_positive is True


def _constant_ratio(one: sympy.Expr, other: sympy.Expr) -> sympy.Expr | None:
    """The number by which `other` is multiplied to be `one`; None where there is none."""
    ratio = sympy.cancel(one / other) if one.free_symbols and other != 0 else None
    return None if ratio is None or ratio.free_symbols or ratio in (0, sympy.nan, sympy.zoo) else ratio


def _equation_text(form: Form) -> str | None:
    if isinstance(form, Equation):
        return form.text
    return f"{form.label} = {form.text}" if isinstance(form, Quantity) and form.label else None


def _difference(text: str) -> sympy.Expr | None:
    sides = [value_of(side.strip()) for side in text.split("=")]
    if len(sides) != 2 or None in sides:
        return None
    left, right = (side.as_expression() for side in sides)
    return left - right if isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr) else None
