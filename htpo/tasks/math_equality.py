r"""Whether two final answers are the same: structure here, values in `math_values`.

Runs in the worker processes only: nothing here is bounded in time.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from htpo.tasks.math_forms import Choice, Equation, Form, Interval, Quantity, Ranges, Several, Words
from htpo.tasks.math_reading import VALUE_AT, read
from htpo.tasks.math_text import clean, squashed
from htpo.tasks.math_units import DEGREE, PERCENT, conversion
from htpo.tasks.math_values import Value, same_everywhere, value_of, values_equal

READABLE_WORDS = 6  # a longer sentence can be said in too many ways to be judged
FUNCTION_LABEL = re.compile(r"\\?[a-zA-Z]+(?:_\w|'|\^-1)*\(.*\)")
WHOLE_CONFIG = [LatexExtractionConfig(boxed_match_priority=0)]
ARTICLES = {"a", "an", "the"}
NEGATIONS = {"not", "no", "cannot", "never", "neither", "nor", "if", "unless", "except", "without", "but"}


def same_answer(gold: str, answer: str) -> bool:
    """Whether some form of the answer equals some form of the gold."""
    if squashed(clean(gold)) == squashed(clean(answer)):
        return True
    golds, answers = read(gold), read(answer)
    if golds and answers and isinstance(golds[0], Choice) and isinstance(answers[0], Choice):
        return equal(golds[0], answers[0])
    return any(equal(one, other) for one, other in product(golds, answers))


@lru_cache(maxsize=4096)
def whole_expressions(text: str) -> list:
    r"""What math-verify itself reads in a text taken as one whole answer; empty when it reads none.

    Only its LaTeX reader is used: its fallbacks search for any number inside, and would take the set `\{x | x > 3\}`
    for the number 3.
    """
    found = parse(f"\\boxed{{{clean(text)}}}", WHOLE_CONFIG, extraction_mode="first_match", parsing_timeout=None)
    return [expression for expression in found if not isinstance(expression, str)]


def is_readable(text: str) -> bool:
    """Whether the text can be compared as a value or as a few words, not only letter by letter."""
    return any(map(_is_understood, read(text)))


def _is_understood(form: Form) -> bool:
    match form:
        case Quantity():
            return value_of(form.text) is not None or _ratio(form.text) is not None
        case Several():
            words = sum(len(_words(part.text)) for part in form.parts if isinstance(part, Words))
            return words <= READABLE_WORDS and all(map(_is_understood, form.parts))
        case Ranges():
            ends = [end for part in form.parts if isinstance(part, Interval) for end in (part.low, part.high) if end]
            return all(map(_is_understood, [*ends, *(part for part in form.parts if isinstance(part, Quantity))]))
        case Equation():
            return bool(whole_expressions(form.text))
        case Words():
            words = _words(form.text)
            return words == ["no", "solution"] or (len(words) <= READABLE_WORDS and not NEGATIONS & set(words))
    return True


def equal(gold: Form, answer: Form) -> bool:
    """Whether two forms are the same answer."""
    match gold, answer:
        case Quantity(), Quantity():
            return labels_agree(gold.label, answer.label) and quantities_equal(gold, answer)
        case Several(), Several():
            return labels_agree(gold.label, answer.label) and severals_equal(gold, answer)
        case Ranges(), Ranges():
            agree = not gold.variable or not answer.variable or gold.variable == answer.variable
            return agree and matched(gold.parts, answer.parts, ranges_equal)
        case Words(), Words():
            return words_equal(gold.text, answer.text)
        case Choice(), Choice():
            contents = list(product(gold.content, answer.content))
            return gold.letter == answer.letter and (not contents or any(equal(*pair) for pair in contents))
        case (Choice(), Quantity() | Words()) | (Quantity() | Words(), Choice()):
            choice, other = (gold, answer) if isinstance(gold, Choice) else (answer, gold)
            return other.text.strip().upper() == choice.letter
        case (Words(), Quantity()) | (Quantity(), Words()):
            return squashed(gold.text).casefold() == squashed(answer.text).casefold()
        case (Equation(), _) | (_, Equation()):
            return equations_equal(gold, answer)
    return False


def matched(golds: Sequence, answers: Sequence, same: Callable) -> bool:
    """Whether there is a partner for each, in any order."""
    if len(golds) != len(answers):
        return False
    left = list(answers)
    for gold in golds:
        partner = next((index for index, answer in enumerate(left) if same(gold, answer)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def labels_agree(gold: str, answer: str) -> bool:
    """Whether what two values are called is no contradiction: `x = 1` is not `y = 1`, but `f(x) = 2x` is `y = 2x` and
    `g(t) = 2t`, `m_{max}` is m, and words are not compared."""
    if not gold or not answer or squashed(gold) == squashed(answer):
        return True
    if _is_wordy(gold) or _is_wordy(answer):
        return True
    if VALUE_AT.fullmatch(gold) and VALUE_AT.fullmatch(answer):
        return False
    functions = [FUNCTION_LABEL.fullmatch(label) is not None for label in (gold, answer)]
    if all(functions) or (any(functions) and "y" in (gold, answer)):
        return True
    bases = [label.partition("_")[0].partition("(")[0] for label in (gold, answer)]
    return bases[0] == bases[1] and ("_" in gold) != ("_" in answer)


def _is_wordy(label: str) -> bool:
    return label in (r"\max", r"\min") or (bool(re.fullmatch(r"[A-Za-z .']{3,}", label)) and not label.isupper())


def severals_equal(gold: Several, answer: Several) -> bool:
    """Lists, tuples and sets: as many on both sides; in order unless both are unordered; by label where both have them.

    Labels on one side only are taken in the order written or the alphabet's: `a = 2, h = -1` is `(2, -1)`, never
    `(-1, 2)`. Names of people or things, and one letter for all (`x_1`, `x_2`), give no order.
    """
    golds, answers = gold.parts, answer.parts
    if len(golds) != len(answers):
        return False
    kinds = {gold.kind, answer.kind}
    if "chain" in kinds:
        return kinds != {"chain", "set"} and in_order(golds, answers)
    names, others = _labels(golds), _labels(answers)
    if names and others and set(names) == set(others):
        by_label = dict(zip(others, answers))
        return all(equal(part, by_label[name]) for name, part in zip(names, golds))
    if names and others:
        return all(map(_is_wordy, names + others)) and in_order(golds, answers)
    if (names or others) and not all(map(_is_wordy, names or others)):
        labelled, bare = (golds, answers) if names else (answers, golds)
        alphabetical = sorted(labelled, key=lambda part: part.label)
        same = equal if names else lambda bare_part, labelled_part: equal(labelled_part, bare_part)
        return any(all(same(part, other) for part, other in zip(order, bare)) for order in (labelled, alphabetical))
    if "tuple" in kinds:
        return "set" not in kinds and in_order(golds, answers)
    return matched(golds, answers, equal)


def in_order(golds: Sequence[Form], answers: Sequence[Form]) -> bool:
    """Whether each equals its counterpart."""
    return all(equal(gold, answer) for gold, answer in zip(golds, answers, strict=True))


def _labels(parts: Sequence[Form]) -> list[str] | None:
    """The labels of values that are told apart by them, None when they are not."""
    labels = [getattr(part, "label", "") for part in parts]
    bases = {label.partition("_")[0] for label in labels}
    return labels if all(labels) and len(set(labels)) == len(labels) and len(bases) > 1 else None


def ranges_equal(gold: Interval | Quantity, answer: Interval | Quantity) -> bool:
    """Intervals with the same ends and the same kinds of ends; points by value."""
    if isinstance(gold, Quantity) or isinstance(answer, Quantity):
        return isinstance(gold, Quantity) and isinstance(answer, Quantity) and quantities_equal(gold, answer)
    if (gold.low_closed, gold.high_closed) != (answer.low_closed, answer.high_closed):
        return False
    for mine, other in ((gold.low, answer.low), (gold.high, answer.high)):
        if (mine is None) != (other is None) or (mine is not None and not quantities_equal(mine, other)):
            return False
    return True


def quantities_equal(gold: Quantity, answer: Quantity) -> bool:
    """Equal values in units that do not contradict; see `_scales` for percent and degrees."""
    factor = conversion(gold.unit, answer.unit)
    if factor is None and PERCENT not in (gold.unit, answer.unit):
        return False
    ratios = _ratio(gold.text), _ratio(answer.text)
    if all(ratios):
        return len(ratios[0]) == len(ratios[1]) and _proportional(*ratios)
    if any(ratios):
        gold, answer = (_as_fraction(side, ratio) for side, ratio in zip((gold, answer), ratios))
        return gold is not None and answer is not None and quantities_equal(gold, answer)
    mine, other = value_of(gold.text), value_of(answer.text)
    if mine is None or other is None:
        return squashed(gold.text) == squashed(answer.text)
    bound = (gold.bound, answer.bound)
    return any(values_equal(mine, other, scale, bound) for scale in _scales(gold, answer, mine, other, factor))


def _scales(gold: Quantity, answer: Quantity, mine: Value, other: Value, factor: Fraction | None) -> list:
    r"""What the answer may be multiplied with: `50%` is 0.5 and, where percent are asked for, 50; 0.4 is never `0.4%`;
    `60^{\circ}` is `\pi/3` and 60."""
    if (gold.unit == PERCENT) != (answer.unit == PERCENT):
        if gold.unit == PERCENT:
            return [Fraction(1), Fraction(100)]
        large = mine.exact is not None and abs(mine.exact) >= 1
        return [Fraction(1, 100), *([Fraction(1)] if large else [])]
    if gold.unit == DEGREE and not answer.unit and other.exact is None and other.expression.has(sympy.pi):
        return [180 / sympy.pi]
    if answer.unit == DEGREE and not gold.unit and mine.exact is None and mine.expression.has(sympy.pi):
        return [sympy.pi / 180]
    return [factor]


def _ratio(text: str) -> list[Value] | None:
    """The terms of `3 : 4` or `1:2:3`."""
    if ":" not in text:
        return None
    terms = [value_of(term.strip()) for term in text.split(":")]
    return terms if len(terms) > 1 and None not in terms else None


def _proportional(gold: list[Value], answer: list[Value]) -> bool:
    if any(term.exact == 0 for term in gold + answer):  # 11:00 is a time
        return all(values_equal(*terms) for terms in zip(gold, answer))
    first, second = gold[0].as_expression(), answer[0].as_expression()
    return all(
        values_equal(Value(expression=mine.as_expression() * second), Value(expression=other.as_expression() * first))
        for mine, other in zip(gold[1:], answer[1:])
    )


def _as_fraction(side: Quantity, ratio: list[Value] | None) -> Quantity | None:
    if ratio is None:
        return side
    first, second = side.text.split(":", 1)
    return Quantity(f"\\frac{{{first}}}{{{second}}}", side.unit) if len(ratio) == 2 else None


def equations_equal(gold: Form, answer: Form) -> bool:
    """Equations that are multiples of each other or have the same solutions; `xy = 6` and the `6/x` it says y is; an
    answer's last right side against a gold that is no equation, unless that side is a mere 0."""
    if isinstance(gold, Equation) and isinstance(answer, Quantity) and not answer.label:
        if len(gold.sides) > 2:  # a computation, whose result stands last
            return any(equal(form, answer) for form in read(gold.sides[-1]) if not isinstance(form, Equation))
        return _solves(gold, answer)
    if isinstance(answer, Equation) and isinstance(gold, Quantity) and not gold.label:
        last = value_of(answer.sides[-1])
        first = value_of(answer.sides[0])
        if last is None or (last.exact == 0 and (first is None or first.exact is None)):
            return False
        return any(equal(gold, form) for form in read(answer.sides[-1]) if not isinstance(form, Equation))
    texts = [_equation_text(side) for side in (gold, answer)]
    if None in texts:
        return False
    differences = [_difference(text) for text in texts]
    if None not in differences:
        mine, other = differences
        if mine.free_symbols != other.free_symbols:
            return False
        letters = sorted(mine.free_symbols, key=lambda symbol: symbol.name)
        ratio = sympy.cancel(mine / other) if letters and other != 0 else None
        if ratio is not None and not ratio.free_symbols and ratio not in (0, sympy.nan, sympy.zoo):
            return True
    return bool(verify(whole_expressions(texts[0]), whole_expressions(texts[1]), timeout_seconds=None))


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


def _solves(gold: Equation, answer: Quantity) -> bool:
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


def words_equal(gold: str, answer: str) -> bool:
    """The same words but for case, articles and punctuation; or an answer that names the subject with which a gold
    sentence begins (`Petya` for `Petya wins the game`), when nothing in that sentence denies or restricts."""
    mine, other = _words(gold), _words(answer)
    if mine == other:
        return bool(mine)
    if not other or len(other) > 2 or len(mine) < len(other) + 2 or NEGATIONS & set(mine):
        return False
    return mine[: len(other)] == other


def _words(text: str) -> list[str]:
    text = re.sub(r"\\text(?![a-zA-Z])|[.,;:!?()\[\]{}\"$~]", " ", text.casefold())
    words = [word for word in text.split() if word not in ARTICLES]
    return words[2:] if words[:2] in (["it", "is"], ["answer", "is"]) else words
