r"""Values and whether they are equal: plain numbers as fractions, all else through math-verify's reader and SymPy.

Runs in the worker processes only: nothing here is bounded in time.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef

from htpo.verifiers.math.text import squashed

SIGNIFICANT = 3  # digits a rounded decimal must have to stand for an exact value
PRECISION = 30  # decimal digits of numeric comparisons
DECIMAL = re.compile(r"([+-]?)(\d*)\.(\d+)|([+-]?\d+)\.?")
SCIENTIFIC = re.compile(r"^([+-]?(?:\d++\.?\d*+|\.\d++))(?:[eE]|(?:\\times|\\cdot|\*|x)10\^)\(?\{?([+-]?\d{1,3})\}?\)?")
POWER_OF_TEN = re.compile(r"10\^\{?([+-]?\d{1,3})\}?")
FRACTION = re.compile(r"^([+-]?)(?:\\frac\{([+-]?\d+)\}\{([+-]?\d+)\}|\\frac(\d)(\d)|(\d+)/(\d+))")
MIXED = re.compile(r"^(?:([+-]?)(\d+)(?:\\frac\{(\d+)\}\{(\d+)\}|\\frac(\d)(\d))|([+-]?)(\d+) (\d+)/(\d+))")
BARE_ARGUMENT = re.compile(r"(\\(?:sin|cos|tan|cot|sec|csc|ln|log)) *(\\[a-z]+|[a-z])(?= *\\(?:cdot|times)(?![a-z]))")
MIXED_WITHIN = re.compile(r"(?<![\w.^_}\\/])(\d++) (\d++)/(\d++)(?![\w/.])")
# Two numbers side by side are no product (`3 4`), unless the first belongs to a command, an index or a power.
SIDE_BY_SIDE = re.compile(r"(?<![\w.^_}\\])(?<!\\[a-z]{3} )(?<!\\[a-z]{2} )\d[\d.]*+ \d")
# A decimal whose period is marked (`0.1\overline{6}`, `0.1\dot{6}`, `0.(6)`), or written out before dots.
REPEATING = re.compile(
    r"(?<![\d.])(?P<whole>\d*)\.(?:(?P<before>\d{0,40})(?:"
    r"\\(?:overline|bar)\s?\{?(?P<lined>\d+)\}?|\((?P<bracketed>\d+)\)"
    r"|\\dot\s?\{?(?P<first>\d)\}?(?:(?P<middle>\d*)\\dot\s?\{?(?P<last>\d)\}?)?)|(?P<written>\d{2,40}) ?\\ldots)"
)
CONJUGATE = re.compile(r"\\(?:overline|bar)\s?\{([-+\d. ]*i[-+\d. ]*)\}")
VECTOR_LINE = re.compile(r"\([^()]*,[^()]*\) ?[+-]")  # (1, 2) + t(3, 4)
TUPLE = re.compile(r"\(([^()]*,[^()]*)\)")
PERIOD = re.compile(r"^(\d{0,40}?)(?:(\d)\2+|(\d{2,12}?)\3+)")
IMAGINARY = sympy.Symbol("i", real=True)
PARAMETERS = frozenset("klmn")
CONSTANTS = frozenset("CKck")  # of integration, where one is called C or K
PI_IN_SCHOOL = (sympy.Rational(157, 50), sympy.Rational(22, 7), sympy.Rational(3927, 1250))
INDEXED_E = re.compile(r"(?<![\\a-zA-Z])E(?= ?_)")
NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
SAMPLES = [sympy.Rational(numerator, 1000003) for numerator in (
    313717, -721931, 1834101, -2463077, 87119, 3710023, 611953, -157243, 2718281, 5430007, 949213)]  # fmt: skip
# Of letters in exponents: a power of one large fraction by another takes SymPy minutes.
EXPONENT_SAMPLES = [sympy.Rational(numerator, 2) for numerator in (3, -4, 7, 1, 6, -1, 10, -3, 5, 9, -7)]
WHOLE_SAMPLES = [sympy.Integer(number) for number in (2, 3, 5, 7, 4)]


@dataclass(frozen=True)
class Value:
    """A number or expression: `exact` where the text is a plain number, `expression` otherwise; `places` and `digits`
    (after the point, and significant ones) of a decimal fraction, which may be rounded; None of anything exact."""

    exact: Fraction | None = None
    expression: sympy.Basic | None = None
    places: int | None = None
    digits: int = 0

    def as_expression(self) -> sympy.Basic:
        """The value for SymPy."""
        return self.expression if self.exact is None else sympy.Rational(self.exact.numerator, self.exact.denominator)


@lru_cache(maxsize=4096)
def value_of(text: str) -> Value | None:
    """What a cleaned text is the value of, None when nobody can read it."""
    text = REPEATING.sub(_repeating_as_fraction, text)
    text = CONJUGATE.sub(lambda found: f"({found[1].replace('i', '(-i)')})", text)
    plain = squashed(text)
    while plain.startswith("(") and plain.endswith(")") and "(" not in plain[1:] and ")" not in plain[:-1]:
        plain = plain[1:-1]
    number = _plain_number(plain, text)
    if number is not None:
        return number
    if VECTOR_LINE.match(text):
        text = TUPLE.sub(lambda found: f"\\begin{{pmatrix}}{found[1].replace(',', chr(92) * 2)}\\end{{pmatrix}}", text)
    text = MIXED_WITHIN.sub(_mixed_as_sum, text)
    # The reader joins digits across a space, and takes dots for nothing: 1 \cdot \ldots \cdot n would be n.
    if not plain or SIDE_BY_SIDE.search(text) or "\\ldots" in text:
        return None
    text = BARE_ARGUMENT.sub(r"\1(\2)", text)  # \cos t \cdot 2 would be read as the cosine of 2t
    text = INDEXED_E.sub(r"\\Upsilon", text)  # E_1 is not read at all
    try:
        expression = latex2sympy(
            normalize_latex(text, NORMALIZATION),
            is_real=True,
            convert_degrees=r"\circ" in text,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
    except MemoryError:
        raise
    except Exception:  # the reader raises whatever comes up
        return None
    if isinstance(expression, sympy.MatrixExpr):
        expression = expression.doit()
    if isinstance(expression, sympy.MatrixBase):
        return Value(expression=expression.applyfunc(_on_the_usual_branch))
    return Value(expression=_on_the_usual_branch(expression)) if isinstance(expression, sympy.Basic) else None


def _on_the_usual_branch(expression: sympy.Basic) -> sympy.Basic:
    """With the letter i as the imaginary unit, but where it counts, and odd roots of negative numbers as real ones."""
    if not expression.has(sympy.Sum, sympy.Product):
        expression = expression.xreplace({IMAGINARY: sympy.I})
    return _with_real_roots(expression)


def _with_real_roots(expression: sympy.Basic) -> sympy.Basic:
    r"""`\sqrt[3]{-8}` is -2, as in school; to SymPy it is a complex number."""
    return expression.replace(
        lambda part: _is_odd_root(part) and part.base.is_negative is True,
        lambda root: (-1) ** root.exp.p * sympy.Pow(-root.base, root.exp),
    )


def _is_odd_root(expression: sympy.Basic) -> bool:
    return expression.is_Pow and expression.exp.is_Rational and expression.exp.q > 1 and expression.exp.q % 2 == 1


def _repeating_as_fraction(found: re.Match) -> str:
    """A decimal with a period, exactly; as it is where dots follow digits that do not repeat."""
    before = found["before"] or ""
    period = found["lined"] or found["bracketed"] or "".join(found[name] or "" for name in ("first", "middle", "last"))
    if found["written"]:
        repeats = PERIOD.fullmatch(found["written"])
        if repeats is None:
            return found.group()
        before, period = repeats[1], repeats[2] or repeats[3]
    shift = 10 ** len(before)
    tail = Fraction(int(period), (10 ** len(period) - 1) * shift)
    value = int(found["whole"] or 0) + Fraction(int(before or 0), shift) + tail
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _mixed_as_sum(found: re.Match) -> str:
    whole, above, below = map(int, found.groups())
    return f"({whole}+\\frac{{{above}}}{{{below}}})" if above < below else found.group()


def _plain_number(plain: str, text: str) -> Value | None:
    """Integers, decimals, powers of ten, fractions and mixed numbers, without a parser."""
    if found := DECIMAL.fullmatch(plain):
        if found.group(4) is not None:
            return Value(Fraction(int(found.group(4))))
        whole, decimals = found.group(2), found.group(3)
        digits = len((whole + decimals).lstrip("0"))
        return Value(Fraction(f"{found.group(1)}{whole or 0}.{decimals}"), places=len(decimals), digits=digits)
    if found := SCIENTIFIC.fullmatch(plain):
        mantissa, exponent = _plain_number(found.group(1), found.group(1)), int(found.group(2))
        digits = len(found.group(1).lstrip("+-0").replace(".", "").lstrip("0"))
        return Value(mantissa.exact * Fraction(10) ** exponent, places=(mantissa.places or 0) - exponent, digits=digits)
    if found := POWER_OF_TEN.fullmatch(plain):
        return Value(Fraction(10) ** int(found.group(1)))
    if found := FRACTION.fullmatch(plain):
        sign, numbers = found.group(1), [int(part) for part in found.groups()[1:] if part]
        return Value((-1 if sign == "-" else 1) * Fraction(*numbers)) if numbers[1] else None
    if found := MIXED.fullmatch(plain) or MIXED.fullmatch(text.strip()):
        sign = found.group(1) or found.group(7)
        whole, above, below = (int(part) for part in found.groups() if part and part.isdigit())
        if below and above < below:
            return Value((-1 if sign == "-" else 1) * (whole + Fraction(above, below)))
    return None


def values_equal(gold: Value, answer: Value, scale=Fraction(1), bound: tuple = (frozenset(), frozenset())) -> bool:
    """Whether gold = scale * answer, exactly, by rounding, or by algebra."""
    if gold.exact is not None and answer.exact is not None and isinstance(scale, Fraction):
        scaled = answer.exact * scale
        return gold.exact == scaled or is_rounding(gold, answer, gold.exact, scaled, scale)
    factor = scale if isinstance(scale, sympy.Basic) else sympy.Rational(scale.numerator, scale.denominator)
    mine, other = gold.as_expression(), answer.as_expression()
    if getattr(mine, "shape", None) != getattr(other, "shape", None):  # a row is no column
        return False
    try:
        other = other * factor if factor != 1 else other
        other = renamed(mine, other, bound)
        verdict = _same_entries(mine, other) if hasattr(mine, "shape") else same_everywhere(mine, other)
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        verdict = None
    if verdict:
        return True
    if (gold.places, answer.places) != (None, None):
        numbers = [_number(expression) for expression in (mine, other)]
        if None not in numbers and is_rounding(
            gold, answer, *numbers, abs(scale) if factor.is_Rational else Fraction(1)
        ):
            return True
    if gold.exact is not None and _equals_with_school_pi(gold.exact, other):
        return True
    if verdict is not None or getattr(mine, "free_symbols", None) != getattr(other, "free_symbols", None):
        return False
    return bool(verify([mine], [other], timeout_seconds=None))


def _same_entries(gold: sympy.MatrixBase, answer: sympy.MatrixBase) -> bool | None:
    """`same_everywhere` for each entry of two matrices of one shape."""
    verdicts = {same_everywhere(*entries) for entries in zip(gold, answer)}
    return False if False in verdicts else None if None in verdicts else True


def is_rounding(gold: Value, answer: Value, mine, other, scale) -> bool:
    """Whether the one with fewer places is the other, rounded to these places, and has three significant digits.

    An integer is exact: 3.0001 is not 3, nor 3 the rounding of 3.0001. A rounded gold may also have been cut off.
    """
    unit_gold = Fraction(10) ** -gold.places if gold.places is not None else None
    unit_answer = Fraction(10) ** -answer.places * Fraction(scale) if answer.places is not None else None
    coarse_gold = unit_gold is not None and (unit_answer is None or unit_gold >= unit_answer)
    if coarse_gold and gold.digits >= SIGNIFICANT:
        return abs(mine - other) < unit_gold if unit_answer is None else abs(mine - other) * 2 <= unit_gold
    if unit_answer is not None and not coarse_gold and answer.digits >= SIGNIFICANT and not _is_whole(gold):
        return abs(mine - other) * 2 <= unit_answer
    return False


def _is_whole(value: Value) -> bool:
    return value.exact is not None and value.places is None and value.exact.denominator == 1


def _number(expression: sympy.Basic) -> Fraction | None:
    """A real expression without letters as a fraction, right to thirty digits; None for any other."""
    if not isinstance(expression, sympy.Expr) or isinstance(expression, sympy.MatrixExpr) or expression.free_symbols:
        return None
    value = expression.evalf(PRECISION)
    if not value.is_Float and not value.is_Rational:
        return None
    exact = sympy.Rational(value)
    return Fraction(int(exact.p), int(exact.q))


def number_of(text: str) -> Fraction | None:
    """The real number a cleaned text is, right to thirty digits; None for any other."""
    value = value_of(text)
    if value is None or value.exact is not None:
        return value and value.exact
    return _number(value.expression)


def _equals_with_school_pi(gold: Fraction, answer: sympy.Basic) -> bool:
    """Whether the gold is exactly what the answer gives with 3.14, 22/7 or 3.1416 for pi; no chance hit is exact."""
    if not isinstance(answer, sympy.Expr) or answer.free_symbols or not answer.has(sympy.pi):
        return False
    exact = sympy.Rational(gold.numerator, gold.denominator)
    return any(answer.xreplace({sympy.pi: approximation}).doit() == exact for approximation in PI_IN_SCHOOL)


def renamed(gold: sympy.Basic, answer: sympy.Basic, bound: tuple) -> sympy.Basic:
    r"""The answer with its letters called as the gold's: R is r when only one of them occurs at all, and so is a bound
    letter, the x of `f(x)` or the k of `\frac{\pi}{4} + k\pi`, when it is the only one that differs.

    A letter that the question gave is never renamed, or `2^k` would be `2^n`.
    """
    if not all(isinstance(side, sympy.Basic | sympy.MatrixBase) for side in (gold, answer)):
        return answer
    mine, other = gold.free_symbols - answer.free_symbols, answer.free_symbols - gold.free_symbols
    if not mine or not other:
        return answer
    cases = {symbol.name.lower(): symbol for symbol in mine}
    if len({symbol.name.lower() for symbol in gold.free_symbols | other}) == len(gold.free_symbols):
        return answer.xreplace({symbol: cases[symbol.name.lower()] for symbol in other})
    if len(mine) != 1 or len(other) != 1:
        return answer
    (target,), (source,) = mine, other
    constants = {target.name, source.name}
    if constants <= CONSTANTS and constants & {"C", "K"}:
        return answer.xreplace({source: target})
    if hasattr(gold, "shape") and len(gold.free_symbols) == 1 == len(answer.free_symbols):  # a line in space
        return answer.xreplace({source: target})
    periodic = gold.has(sympy.pi) and answer.has(sympy.pi) and {target.name, source.name} <= PARAMETERS
    if periodic or (target.name in bound[0] and source.name in bound[1]):
        return answer.xreplace({source: target})
    return answer


def same_everywhere(gold: sympy.Basic, answer: sympy.Basic) -> bool | None:
    """Whether two expressions agree to many digits wherever the gold is real, of sixteen places (positive, negative,
    whole); None when that cannot be said."""
    if not isinstance(gold, sympy.Expr) or not isinstance(answer, sympy.Expr):
        return None
    if gold.has(AppliedUndef) or answer.has(AppliedUndef):
        return None
    if gold.has(ExprWithLimits) and gold.as_dummy() == answer.as_dummy():  # summed over i, or over k
        return True
    letters = sorted(gold.free_symbols | answer.free_symbols, key=lambda symbol: symbol.name)
    if not letters:
        return _are_one_number(gold, answer)
    agreeing = 0
    powers = {power for side in (gold, answer) for power in side.atoms(sympy.Pow)}
    roots = any(map(_is_odd_root, powers))
    exponents = {letter for power in powers for letter in power.exp.free_symbols}
    for samples, for_exponents in ((SAMPLES, EXPONENT_SAMPLES), (WHOLE_SAMPLES, WHOLE_SAMPLES)):
        for start in range(len(samples)):
            place = {
                letter: (for_exponents if letter in exponents else samples)[(start + 3 * index) % len(samples)]
                for index, letter in enumerate(letters)
            }
            mine, other = gold.xreplace(place), answer.xreplace(place)
            if roots:
                mine, other = _with_real_roots(mine), _with_real_roots(other)
            agree = _agree(mine, other)
            if agree is False and mine.evalf().is_real:  # off the real axis roots and logarithms have branches
                return False
            agreeing += agree is True
    return True if agreeing >= 4 else None


def _agree(gold: sympy.Expr, answer: sympy.Expr, precision: int = PRECISION) -> bool | None:
    """Whether two numbers are one as far as most of their `precision` digits go; None when one cannot be computed."""
    mine, other = gold.evalf(precision), answer.evalf(precision)
    parts = [part for value in (mine, other) for part in value.as_real_imag()]
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    # A sum that cancels comes out as a Float of no precision; a number that is merely small has all its digits.
    parts = [sympy.S.Zero if part.is_Float and part._prec == 1 else part for part in parts]
    loose = gold.has(sympy.Float) or answer.has(sympy.Float)
    tolerance = sympy.Float(10) ** (-10 if loose else -2 * precision // 3)
    size = max(abs(part) for part in parts)
    return bool(max(abs(parts[0] - parts[2]), abs(parts[1] - parts[3])) <= tolerance * size)


def _are_one_number(gold: sympy.Expr, answer: sympy.Expr) -> bool | None:
    """Whether two expressions without letters are one number: to forty digits, and exactly where both are rational
    (`2^{1009} + 1` is not `2^{1009}`)."""
    agree = _agree(gold, answer, 2 * PRECISION)
    if not agree or gold.has(sympy.Float) or answer.has(sympy.Float):
        return agree
    mine, other = gold.doit(), answer.doit()
    return bool(mine == other) if mine.is_Rational and other.is_Rational else True
