r"""Reading the text of a final answer into the forms in which it may be meant: pure functions, no algebra.

`read` gives the few ways in which a text can be meant: `(1, 2)` is a pair and an open interval, `1,000` a number and
two. Each rule says what it takes for what.
"""

import re
from dataclasses import replace
from functools import partial
from itertools import product

from htpo.verifiers.math.forms import (
    NAME,
    ORDER,
    RELATION,
    SEPARATOR,
    VARIABLE,
    WORD,
    Choice,
    Equation,
    Form,
    Inequality,
    Interval,
    Quantity,
    Ranges,
    Several,
    Words,
    is_words,
)
from htpo.verifiers.math.ranges import MEMBER, absolute_solutions, as_ranges
from htpo.verifiers.math.text import SIGN, both_signs, clean, enclosed, split_outside
from htpo.verifiers.math.units import measured

NO_SOLUTION = re.compile(
    r"\\emptyset|\\\{ ?\\\}|(?:there (?:is|are) )?no (?:real |such )?(?:solutions?|roots?)(?: exists?)?"
    r"|(?:the )?empty set",
    re.IGNORECASE,
)
LONGEST_LIST = 64  # members; longer lists are compared as they are written
FUNCTION = re.compile(rf"(?P<name>{NAME}(?:\^\{{?-1\}}?)?) ?\((?P<arguments>{NAME}(?: ?, ?{NAME})*)\)")
VALUE_AT = re.compile(rf"{NAME} ?\( ?-?(?:[\d.]+|\\frac\{{\d+\}}\{{\d+\}}) ?\)")
NUMERIC_COMMAND = re.compile(r"\\(?:frac|binom|sqrt|times|cdot|pi|circ|sin|cos|tan|log|ln|div|pm)(?![a-zA-Z])")
LETTER = re.compile(r"[a-zA-Z]")
TRIGONOMETRIC = re.compile(
    r"\\?(?:sin|cos|tan|cot|log|ln|angle|triangle|overline|vec|measuredangle|operatorname)\b[^=+]*"
)
RATIO = re.compile(rf"{NAME}(?: ?: ?{NAME})+")
POINTS = re.compile(r"^m? ?[A-Z]{2,4}|\| ?[A-Z]{2} ?\||[SVPA]_\{[^{}]*\}")
EQUALS = re.compile(r" ?(?<![<>!\\])= ?| ?\\approx ?")
GROUPED = re.compile(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])")
SPACED_SEPARATOR = re.compile(SEPARATOR.pattern.removesuffix(r" ?[,;] ?") + r" ?; ?| ?,(?!\d{3}(?!\d)) ?")
THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
CHOICE = re.compile(
    r"\( ?([A-Ha-h]) ?\)$|\( ?([A-H]) ?\)(?= [^\s,;+*/^=<>-]|[\w\\$])(?! ?(?:and|or)\b)"
    r"|([A-H]) ?[.:)] ?(?=$|[-\w\\(\[{$])|(?:[Oo]ption|[Cc]hoice) \(?([A-H])\)?$"
)
SINGLE_COLUMN = re.compile(r"^\\begin\{[pbvB]?matrix\}(?P<rows>[^&]*)\\end\{[pbvB]?matrix\}")
TRANSPOSED = re.compile(r"^[\[(](?P<cells>[^()\[\]]*)[\])] ?\^ ?\{?(?:T|\\top|\\text\{T\}) ?\}?")
SINGLE_ROW = re.compile(r"^\\begin\{[pbvB]?matrix\}(?P<cells>(?:(?!\\\\).)*)\\end\{[pbvB]?matrix\}")
CASES = re.compile(r"\\begin\{cases\}(?P<rows>.*)\\end\{cases\}")
MOST_SIGNS = 4  # in one tuple: sixteen tuples
TUPLE_BUILDER = re.compile(rf"^(?P<tuple>\(.*\)) ?[|:] ?(?P<name>{NAME}) ?\\in\b.*")
TUPLE_MEMBER = re.compile(rf"^\({NAME}(?:, ?{NAME})+\) ?\\in ?(?P<set>.+)")
# A closing remark over which set a letter runs: it says nothing that the question has not said.
LETTERS = r"[a-zA-Z](?:_\w|_\{\w+\})?(?: ?, ?[a-zA-Z](?:_\w|_\{\w+\})?){0,7}"
NUMBER_SET = r"\\in ?\\mathbb\{[A-Z]\}(?: ?[\^_] ?(?:\{[^{}]*\}|[\w+*]))*"
ADJECTIVES = r"(?:(?:all|any|every|each|some|the|an?|arbitrary|positive|negative|non-?negative|whole|values? of) )*"
NUMBERS = r"(?:real|integers?|natural|rational|whole)(?: (?:numbers?|constants?|values?))?"
DOMAIN = rf"(?:{NUMBER_SET}|(?:is|are|be) {ADJECTIVES}{NUMBERS})"
QUANTIFIER = re.compile(
    rf",? ?\(? ?(?:where|with|for|\\forall) {ADJECTIVES}(?:{NUMBERS} )?(?P<bound>{LETTERS})(?: ?{DOMAIN})? ?\)?"
    rf"(?= ?(?:$|[,;]|and\b|or\b))"
    rf"| ?(?:[,;] ?\(?|\() ?(?P<also>{LETTERS}) ?{NUMBER_SET.replace('A-Z', 'ZNRQ')} ?\)? ?$"
)


def read(text: str) -> list[Form]:
    """The forms in which an answer may be meant, most literal first; empty for an empty one."""
    text = clean(text)
    found = CHOICE.match(text)
    if found is None:
        return read_cleaned(text)
    content = read_cleaned(text[found.end() :].strip(" .:"))
    return [Choice(next(filter(None, found.groups())).upper(), tuple(content)), *content]


def read_cleaned(text: str) -> list[Form]:
    """`read` for a text that `clean` has been through."""
    if not text:
        return []
    if RELATION.fullmatch(text):
        return [Choice(text)]
    if NO_SOLUTION.fullmatch(text):
        return [Words("no solution")]
    text, bound = without_quantifiers(_without_cases(text))
    whole = measured(text)
    if whole.unit and whole.value.isdigit() and not text.startswith(whole.value):  # 2 hours and 5 minutes
        return [Quantity(whole.value, whole.unit)]
    if THOUSANDS.fullmatch(whole.value):
        number = Quantity(whole.value.replace(",", ""), whole.unit)
        return [number, _listed(split_outside(text, SEPARATOR), bound)]
    ranges = as_ranges(text)
    if ranges is not None:
        return [ranges, *_as_pair(text, bound), *_as_points(ranges)]
    if found := MEMBER.fullmatch(text) or TUPLE_MEMBER.fullmatch(text):
        return read_cleaned(found.group("set"))
    pieces = split_outside(text, SEPARATOR)
    if len(pieces) < 2 or not all(pieces):
        return _single(text, bound)
    listed = _listed(pieces, bound)
    forms = [*_grouped(listed), listed]
    if GROUPED.search(text):  # `1,234 and 5,678` are two numbers, or four
        grouped = split_outside(text, SPACED_SEPARATOR)
        forms.append(
            _listed([GROUPED.sub(lambda found: found.group().replace(",", ""), piece) for piece in grouped], bound)
        )
    return forms


def _without_cases(text: str) -> str:
    r"""A system of equations, `\begin{cases} x = 1 \\ y = 2 \end{cases}`, as a list of them."""
    found = CASES.fullmatch(text)
    if found is None:
        return text
    rows = [row.replace("&", " ").strip(" ,;") for row in found.group("rows").split(r"\\")]
    rows = [row for row in rows if row]
    return ", ".join(rows) if len(rows) > 1 and all("=" in row for row in rows) else text


def _grouped(listed: Form) -> list[Form]:
    """`x = 1, y = 2, x = 3, y = 4` as two tuples of named values."""
    labels = [getattr(part, "label", "") for part in listed.parts] if isinstance(listed, Several) else []
    names = list(dict.fromkeys(labels))
    size = len(names)
    if size < 2 or "" in names or len(labels) == size or len(labels) % size:
        return []
    groups = [dict(zip(labels[at : at + size], listed.parts[at : at + size])) for at in range(0, len(labels), size)]
    if any(len(group) < size for group in groups):
        return []
    return [Several(tuple(Several(tuple(group[name] for name in names), "tuple") for group in groups), "list")]


def without_quantifiers(text: str) -> tuple[str, frozenset[str]]:
    r"""Take off `for all x \in \mathbb{R}`, `where k is an integer`, `, k \in \mathbb{Z}`; say which letters they bind.

    Conditions that say more (`where a > 0 and ...`) stay: the answer is then only equal to the same words.
    """
    bound: set[str] = set()

    def take(found: re.Match) -> str:
        bound.update(letter.strip() for letter in (found.group("bound") or found.group("also") or "").split(","))
        return ""

    shorter = QUANTIFIER.sub(take, text).strip(" ,;")
    return (shorter, frozenset(bound)) if shorter else (text, frozenset())


def _listed(pieces: list[str], bound: frozenset[str]) -> Form:
    r"""A list of values, with its labels; `\pm` is two of them, and `(x, y) = (1, 2) or (3, 4)` two pairs."""
    if len(pieces) > LONGEST_LIST:
        return Quantity(", ".join(pieces))
    parts: list[Form] = []
    for piece in pieces:
        form = _first(piece, bound)
        if isinstance(form, Several) and form.kind == "list":
            parts.extend(replace(part, label=part.label or form.label) for part in form.parts)
        else:
            parts.append(form)
    return Several(tuple(parts), "list")


def _first(text: str, bound: frozenset[str] = frozenset()) -> Form:
    """The most literal form of a part; a bracketed pair within a list is a pair."""
    shorter, more = without_quantifiers(text)
    text, bound = shorter or text, bound | more
    pair = _as_pair(text, bound)
    if pair and not re.search(r"\\infty", text) and text[0] == "(" and text[-1] == ")":
        return pair[0]
    ranges = as_ranges(text)
    if ranges is not None:
        return ranges
    forms = _single(text, bound)
    return forms[0] if forms else Words(text)


def _as_pair(text: str, bound: frozenset[str]) -> list[Form]:
    """A tuple in round brackets, or in square ones when it is no interval."""
    brackets = enclosed(text)
    if brackets is None or brackets[0] not in "([" or brackets[2] not in ")]" or "\\infty" in text:
        return []
    pieces = split_outside(brackets[1], re.compile(r" ?[,;] ?"))
    alike = (brackets[0] == "(" and brackets[2] == ")") or (len(pieces) > 2 and brackets[0] + brackets[2] == "[]")
    if len(pieces) < 2 or not all(pieces) or not alike or len(pieces) > LONGEST_LIST:
        return []
    if SIGN.search(text):
        return _signed_pairs(pieces, bound)
    return [Several(tuple(_first(piece, bound) for piece in pieces), "tuple")]


def _signed_pairs(pieces: list[str], bound: frozenset[str]) -> list[Form]:
    r"""`(\pm 1, 2)` is two tuples; `(\pm 1, \pm 2)` four, or two whose signs go together."""
    choices = [both_signs(piece) for piece in pieces]
    signed = sum(len(choice) > 1 for choice in choices)
    if signed > MOST_SIGNS:
        return []
    together = [[choice[min(sign, len(choice) - 1)] for choice in choices] for sign in (0, 1)]
    readings = [list(product(*choices)), *([together] if signed > 1 else [])]
    return [
        Several(tuple(Several(tuple(_first(piece, bound) for piece in each), "tuple") for each in reading), "list")
        for reading in readings
    ]


def _as_points(ranges: Ranges) -> list[Form]:
    """A union of points only is a set of numbers."""
    if any(isinstance(part, Interval) for part in ranges.parts):
        return []
    return [Several(ranges.parts, "set")]


def _single(text: str, bound: frozenset[str]) -> list[Form]:
    """Forms of a text that is no list."""
    if is_words(text):
        return [*_labelled_words(text), Words(text)]
    if brackets := enclosed(text):
        opening, content, closing = brackets
        if opening in (r"\{",) and closing == r"\}":
            pieces = split_outside(content, SEPARATOR)
            if found := TUPLE_BUILDER.fullmatch(content):
                return [*_as_pair(found.group("tuple"), bound | {found.group("name")}), Quantity(text)]
            if len(pieces) == 1 and "|" in content:
                return [Quantity(text)]
            listed = _listed(pieces, bound)
            parts = listed.parts if isinstance(listed, Several) else (listed,)
            return [Several(parts, "set")]
        if pair := _as_pair(text, bound):
            return pair
        if opening in ("(", "{") and closing in (")", "}") and content:
            return read_cleaned(content)
    labelled = _labelled(text, bound)
    if labelled:
        return labelled
    if orders := [order for order in (_as_chain(text), _as_inequality(text)) if order]:
        return orders
    if column := _as_vector(text, bound):
        return [Quantity(text), column]
    return _valued(text, bound)


def _labelled(text: str, bound: frozenset[str]) -> list[Form]:
    r"""`x = 5`, `f(x) = 2x`, `(x, y) = (1, 2)`, `Maximum: 3`, `AB = 7`: a value and what it is the value of."""
    if found := re.match(r"([A-Za-z][A-Za-z .]+|[a-z](?=: -?\d)|\\text\{[^{}]*\}) ?: ?(?=\S)", text):
        return [_with_label(form, found.group(1).strip().lower()) for form in read_cleaned(text[found.end() :])]
    sides = split_outside(text, EQUALS)
    if len(sides) < 2 or not all(sides) or RELATION.search(re.sub(r"=|\\approx", "", text)):
        return []
    name, value = sides[0], sides[-1]
    if not _has_letters(name):  # a computation, 5 + 1 = 6, or a relation
        if len(sides) == 2 and VARIABLE.fullmatch(value) and _has_letters(value):  # 3 = x
            name, value = value, name
        elif _has_letters(value):
            return [Equation(text, tuple(sides))]
        else:
            return read_cleaned(value)
    if VALUE_AT.fullmatch(name):
        return [_with_label(form, name) for form in read_cleaned_value(value, bound)]
    if found := FUNCTION.fullmatch(name):
        arguments = frozenset(argument.strip() for argument in found.group("arguments").split(","))
        return [_with_label(form, name) for form in read_cleaned_value(value, bound | arguments)]
    if (
        len(sides) > 2 and all(map(VARIABLE.fullmatch, sides[:-1])) and len({*sides[:-1]}) == len(sides) - 1
    ):  # x = y = 1
        forms = read_cleaned_value(value, bound)
        every = Several(tuple(_with_label(form, side) for side in sides[:-1] for form in forms[:1]), "list")
        return [*(_with_label(form, name) for form in forms), every]
    if len(sides) == 2 and (solved := absolute_solutions(name, value)):  # |x - 2| = 3
        return [
            *(_with_label(form, name) for form in read_cleaned_value(value, bound)),
            Several(solved[1], "list", solved[0]),
        ]
    if any(names.fullmatch(name) for names in (VARIABLE, TRIGONOMETRIC, POINTS, RATIO)) or _is_wordy(name):
        return [_with_label(form, name) for form in read_cleaned_value(value, bound)]
    names = enclosed(name)
    values = enclosed(value)
    if names and values and names[0] == values[0] == "(" and names[2] == values[2] == ")":
        labels = split_outside(names[1], re.compile(r" ?, ?"))
        if pairs := [pair for pair in map(partial(_with_labels, labels), _as_pair(value, bound)) if pair]:
            return pairs
    return [Equation(text, tuple(sides))]


def read_cleaned_value(text: str, bound: frozenset[str]) -> list[Form]:
    """Forms of what stands after a label."""
    if pair := _as_pair(text, bound):
        return pair
    return _single(text, bound)


def _is_wordy(name: str) -> bool:
    return bool(WORD.search(name)) and not re.search(r"[+\-*/^<>]", name)


def _labelled_words(text: str) -> list[Form]:
    found = re.match(r"([A-Za-z][A-Za-z .']*): ?(\S.*)", text)
    return [_with_label(form, found.group(1).lower()) for form in read_cleaned(found.group(2))] if found else []


def _with_label(form: Form, label: str) -> Form:
    if isinstance(form, Quantity | Several) and not form.label:
        return replace(form, label=re.sub(r"[\s{}]", "", label))
    return form


def _with_labels(labels: list[str], form: Several) -> Several | None:
    """A tuple whose members are called so, or a list of such tuples; None where their numbers differ."""
    if form.kind == "list":
        tuples = [_with_labels(labels, part) for part in form.parts]
        return None if None in tuples else replace(form, parts=tuple(tuples))
    if len(labels) != len(form.parts):
        return None
    return replace(form, parts=tuple(_with_label(part, label) for part, label in zip(form.parts, labels)))


def _has_letters(text: str) -> bool:
    """Whether a side of an equation has names in it, not only numbers and their functions."""
    return bool(LETTER.search(NUMERIC_COMMAND.sub("", text)))


def _as_chain(text: str) -> Several | None:
    """`b < a < c` of more than two values: an order, which `c > a > b` and the list `b, a, c` also say."""
    signs = set(RELATION.findall(text))
    if signs not in ({"<"}, {">"}):
        return None
    pieces = split_outside(text, RELATION)
    if len(pieces) < 3 or not all(pieces):
        return None
    parts = tuple(Quantity(piece) for piece in (pieces if signs == {"<"} else reversed(pieces)))
    return Several(parts, "chain")


def _as_inequality(text: str) -> Inequality | None:
    """A relation of one or two signs that `as_ranges` could not resolve."""
    signs = RELATION.findall(text)
    sides = split_outside(text, RELATION)
    if not 0 < len(signs) < 3 or not ORDER.issuperset(signs) or len(sides) != len(signs) + 1 or not all(sides):
        return None
    return Inequality(tuple(sides), tuple(signs))


def _as_vector(text: str, bound: frozenset[str]) -> Several | None:
    """A matrix of one column or one row, as a tuple."""
    if found := TRANSPOSED.fullmatch(text):
        kind, cells = "column", [cell.strip() for cell in found.group("cells").split(",")]
    elif found := SINGLE_COLUMN.fullmatch(text):
        kind, cells = "column", [cell.strip() for cell in found.group("rows").split(r"\\")]
    elif found := SINGLE_ROW.fullmatch(text):
        kind, cells = "row", [cell.strip() for cell in found.group("cells").split("&")]
    else:
        return None
    cells = [cell for cell in cells if cell]
    return Several(tuple(Quantity(cell, bound=bound) for cell in cells), kind) if len(cells) > 1 else None


def _valued(text: str, bound: frozenset[str]) -> list[Form]:
    r"""One value with its unit, or two of them for `\pm`; the signs of one value go together."""
    value = measured(text)
    if SIGN.search(value.value):
        return [Several(tuple(Quantity(part, value.unit, bound) for part in both_signs(value.value)), "list")]
    return [Quantity(value.value, value.unit, bound)]
