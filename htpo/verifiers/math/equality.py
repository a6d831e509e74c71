r"""Whether two final answers are the same: structure here, values in `values`.

Runs in the worker processes only: nothing here is bounded in time.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import sympy

from htpo.verifiers.math.forms import Choice, Equation, Form, Inequality, Interval, Quantity, Ranges, Several, Words
from htpo.verifiers.math.reading import VALUE_AT, read
from htpo.verifiers.math.relations import equations_equal, inequalities_equal, is_relation, solves, whole_expressions
from htpo.verifiers.math.sets import simplest
from htpo.verifiers.math.text import clean, squashed
from htpo.verifiers.math.units import DEGREE, PERCENT, conversion
from htpo.verifiers.math.values import Value, value_of, values_equal

READABLE_WORDS = 6  # a longer sentence can be said in too many ways to be judged
FUNCTION_LABEL = re.compile(r"^\\?[a-zA-Z]+(?:_\w|'|\^-1)*\(.*\)")
ORDERED = {"tuple", "row", "column"}
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
            ends = [
                end
                for part in (*form.parts, *form.without)
                if isinstance(part, Interval)
                for end in (part.low, part.high)
                if end
            ]
            return all(map(_is_understood, [*ends, *(part for part in form.parts if isinstance(part, Quantity))]))
        case Equation():
            return bool(whole_expressions(form.text))
        case Inequality():
            return all(value_of(side) is not None for side in form.sides)
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
            return labels_agree(gold.label, answer.label) and (
                severals_equal(gold, answer) or severals_equal(gold, with_parameter_of(gold, answer))
            )
        case Ranges(), Ranges():
            return (not gold.variable or not answer.variable or gold.variable == answer.variable) and (
                unions_equal(gold, answer)
            )
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
            return equation_and_value(gold, answer)
        case (Inequality() | Ranges(), Inequality() | Ranges()):
            return inequalities_equal(gold, answer)
        case (Ranges(), Several()) | (Several(), Ranges()):
            ranges, several = (gold, answer) if isinstance(gold, Ranges) else (answer, gold)
            return several.kind == "set" and points_equal(ranges, several)
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
    if kinds == {"row", "column"}:
        return False
    nouns, counted = _nouns(golds), _nouns(answers)
    if nouns and counted and set(nouns) == set(counted):
        by_noun = dict(zip(counted, answers))
        return all(equal(part, by_noun[noun]) for noun, part in zip(nouns, golds))
    names, others = _labels(golds), _labels(answers)
    if nouns or counted:
        return in_order(golds, answers)
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
    if kinds & ORDERED:
        return "set" not in kinds and in_order(golds, answers)
    return matched(golds, answers, equal)


def with_parameter_of(gold: Several, answer: Several) -> Several:
    """The answer with its one letter called as the gold's one letter, where these are tuples or values with different
    labels: `(1 + 2t, 3 - t)` is a curve, whatever its parameter is called. The letters of a plain list are not."""
    letters = [letters_of(side) for side in (gold, answer)]
    is_curve = all(side.kind in ORDERED or _labels(side.parts) for side in (gold, answer))
    if not is_curve or any(len(each) != 1 for each in letters) or letters[0] == letters[1]:
        return answer
    (target,), (source,) = letters
    pattern = rf"(?<![a-zA-Z\\]){re.escape(source)}" if len(source) == 1 else rf"\\{re.escape(source)}"
    target = target if len(target) == 1 else f"\\{target} "
    return _renamed(answer, re.compile(rf"{pattern}(?![a-zA-Z])"), target)


def letters_of(form: Form) -> set[str]:
    """The names of the letters in the values of a form."""
    if isinstance(form, Several):
        return {letter for part in form.parts for letter in letters_of(part)}
    value = value_of(form.text) if isinstance(form, Quantity) else None
    return set() if value is None or value.exact is not None else {s.name for s in value.expression.free_symbols}


def _renamed(form: Form, source: re.Pattern, target: str) -> Form:
    if isinstance(form, Several):
        return replace(form, parts=tuple(_renamed(part, source, target) for part in form.parts))
    return replace(form, text=source.sub(lambda _: target, form.text)) if isinstance(form, Quantity) else form


def in_order(golds: Sequence[Form], answers: Sequence[Form]) -> bool:
    """Whether each equals its counterpart."""
    return all(equal(gold, answer) for gold, answer in zip(golds, answers, strict=True))


def _labels(parts: Sequence[Form]) -> list[str] | None:
    """The labels of values that are told apart by them, None when they are not."""
    labels = [getattr(part, "label", "") for part in parts]
    bases = {label.partition("_")[0] for label in labels}
    return labels if all(labels) and len(set(labels)) == len(labels) and len(bases) > 1 else None


def _nouns(parts: Sequence[Form]) -> list[str] | None:
    """What is counted or measured in each of several values that are told apart by it, `3 apples and 5 pears`."""
    units = [getattr(part, "unit", "") for part in parts]
    return units if all(units) and len(set(units)) == len(units) > 1 else None


def unions_equal(gold: Ranges, answer: Ranges) -> bool:
    r"""The same pieces in any order, or the same numbers: `(1, 3) \cup [2, 5)` is `(1, 5)`."""
    if matched(gold.parts, answer.parts, ranges_equal) and matched(gold.without, answer.without, ranges_equal):
        return True
    mine, other = simplest(gold), simplest(answer)
    return mine is not None and other is not None and len(mine) == len(other) and all(map(ranges_equal, mine, other))


def points_equal(ranges: Ranges, several: Several) -> bool:
    """Whether a set of numbers has these members and no others."""
    points = simplest(ranges)
    return (
        points is not None
        and bool(points)
        and (all(isinstance(point, Quantity) for point in points) and matched(points, several.parts, equal))
    )


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
    numbers = all(term and isinstance(term.as_expression(), sympy.Expr) for term in terms)
    return terms if len(terms) > 1 and numbers else None


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


def equation_and_value(gold: Form, answer: Form) -> bool:
    """`xy = 6` and the `6/x` it says y is; the last side of a computation; an answer's last right side against a gold
    that is no equation, unless that side is a mere 0 or the left side no name."""
    if isinstance(gold, Equation) and isinstance(answer, Quantity) and not answer.label:
        if len(gold.sides) > 2:  # a computation, whose result stands last
            return any(equal(form, answer) for form in read(gold.sides[-1]) if not isinstance(form, Equation))
        return solves(gold, answer)
    if isinstance(answer, Equation) and isinstance(gold, Quantity) and not gold.label:
        last = value_of(answer.sides[-1])
        first = value_of(answer.sides[0])
        if last is None or (last.exact == 0 and (first is None or first.exact is None)):
            return False
        if len(answer.sides) == 2 and is_relation(answer):
            return False
        return any(equal(gold, form) for form in read(answer.sides[-1]) if not isinstance(form, Equation))
    return equations_equal(gold, answer)


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
