r"""What stands beside a number: currency, percent, degrees, ordinal endings, units. Pure functions of cleaned text."""

import re
from dataclasses import dataclass
from fractions import Fraction

PERCENT, DEGREE = "%", "degree"
# Name -> (dimension, how many of the dimension's base unit). One line a dimension.
UNITS: dict[str, tuple[str, Fraction]] = {}
for dimension, names in {
    "length": "m meter metre=1 mm millimeter=1/1000 cm centimeter centimetre=1/100 dm decimeter=1/10 km kilometer "
    "kilometre=1000 in inch inche=127/5000 ft foot feet=381/1250 yd yard=1143/1250 mi mile=201168/125",
    "mass": "g gram gm=1 mg milligram=1/1000 kg kilogram=1000 t ton tonne=1000000",
    "time": "s sec second=1 min minute=60 h hr hour=3600 day=86400 week=604800",
    "volume": "l liter litre=1 ml milliliter=1/1000",
    "dollar": "dollar $ usd=1 cent=1/100",
    "pound": "£ pound=1",
    "euro": "€ euro=1",
    "yuan": "¥ yuan rmb=1",
    "rupee": "₹ rupee rs=1",
    "angle": "degree=1",
    "temperature in celsius": "celsius c=1",
    "temperature in fahrenheit": "fahrenheit f=1",
    "temperature": "kelvin k=1",
    "percent": "% percent=1",
}.items():
    waiting: list[str] = []
    for entry in names.split():
        name, _, factor = entry.partition("=")
        waiting.append(name)
        if factor:
            UNITS |= {name: (dimension, Fraction(factor)) for name in waiting}
            waiting = []

CURRENCY = re.compile(r"^(-?) ?(\\\$|[£€¥₹]|Rs\.?|US\\\$|USD) ?(?=[\d.\\])(.*)$")
TRAILING_CURRENCY = re.compile(r"^(.*[\d}]) ?(\\\$|[£€¥₹])$")
ORDINAL = re.compile(
    r"^(?:(?:[Oo]n )?[Tt]he )?(\d+) ?(?:\^?\{? ?(?:\\text ?\{ ?)?(?:st|nd|rd|th) ?\}? ?\}?)"
    r"(?: [a-zA-Z]{3,}| \\text ?\{[^{}]*\})?$"
)
NUMBERED = re.compile(
    r"^(?:day|week|month|year|number|no\.|page|room|step|round|row|column|position|level|term) (\d+)$", re.I
)
NUMERAL_BASE = re.compile(r"^([0-9A-F]+)_\{? ?(?:\\text ?\{)? ?(\d+) ?\}?\}?$")
PERCENTAGE = re.compile(r"^(.*[\d}\)]) ?(?:%|percent|(?:\\text ?\{ ?percent(?:age)? ?\}))$")
SCALES = {"c": "celsius", "f": "fahrenheit", "k": "kelvin"}
SCALE = r"(?:\\text ?\{ ?)?([CFK]|[Cc]elsius|[Ff]ahrenheit|[Kk]elvin) ?\}?"
DEGREES = re.compile(
    rf"^(.*[\d}}\)a-z]) ?(?:\^\{{\\circ\}}|(?:\\text ?\{{)? ?(?:degrees?|degs?)\.? ?\}}?) ?(?:{SCALE})?$"
)
SCALE_ALONE = re.compile(rf"^(-?[\d.,]*\d)(?: |(?=\\)){SCALE}$")
TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")
MINUTES = re.compile(r"^(-?\d+) ?\^\{\\circ\} ?(\d+) ?' ?(?:(\d+) ?(?:''|\"))?$")
# A unit: `\text{...}` after a value, or words after a number; a bare letter after a number is a factor, not a unit.
TEXT_UNIT = re.compile(r"^(.+?) ?((?:\\text ?\{[^{}]*\} ?(?:\^ ?\{?-?\d\}?)? ?/? ?){1,4})\.?$")
WORD_UNIT = re.compile(
    r"^(-?[\d.,]*\d|.*[\d}\)]) ?((?:sq(?:uare|\.)?|cubic)? ?[a-zA-Z][a-zA-Z. ]*(?:/ ?[a-z]+)?)(\^ ?\{?\d\}?)?$"
)
COUNTED = re.compile(r"^-?[\d.,]*\d (?=[a-z]*[aeiou])[a-z]{3,}(?: [a-z]+)*$")  # `3 red apples`, never `3abc`
COMPOUND = re.compile(r"^(\d+) ?(?:\\text ?\{)? ?([a-z]+) ?\}? ?,? ?(?:and\b)? ?(\d+) ?(?:\\text ?\{)? ?([a-z]+) ?\}?$")
LARGE = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
LARGE_NUMBER = re.compile(rf"^(-?\d[\d,]*+(?:\.\d++)?) ?({'|'.join(LARGE)})(?: (?!and )([a-zA-Z ]++))?$")
PARTS = {"half": 2, "halve": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9}
PARTS |= {"tenth": 10, "hundredth": 100, "thousandth": 1000}
PART = re.compile(rf"^(-?\d++) ({'|'.join(PARTS)})s?(?: of an? [a-z]++)?$")
# Words after a number that say more than what is counted: `5 squared`, `3 times four`.
NO_UNIT = re.compile(
    r"(?:^| )(?:squared|cubed|factorial|half|halves|thirds?|plus|minus|over|divided|multiplied|raised|mod|choose|point"
    r"|cannot)(?: |$)| (?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)$"
)
TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
POWER = re.compile(r"\^ ?\{?(-?\d)\}?")


@dataclass(frozen=True)
class Measured:
    """A value's text and the unit beside it, by its usual name; "" for none."""

    value: str
    unit: str = ""


def measured(text: str) -> Measured:
    r"""Take the unit off a value: `\$5`, `50%`, `45^{\circ}`, `35^{\circ} 30'`, `3rd`, `7 \text{ cm}^2`,
    `2 hours 5 minutes`, `1011_2` (whose base is its unit).

    Sound because a question has one unit: an answer may leave it out, and a different one is never equal (see
    `conversion`). A single letter is a unit only inside `\text`: `5 m` may be five times m.
    """
    if found := MINUTES.match(text):
        degrees, minutes, seconds = (int(part or 0) for part in found.groups())
        exact = abs(degrees) + Fraction(minutes, 60) + Fraction(seconds, 3600)
        sign = "-" if text.startswith("-") else ""
        return Measured(f"{sign}{exact}", DEGREE)
    if found := COMPOUND.match(text):
        large, small = unit_name(found.group(2)), unit_name(found.group(4))
        factor = conversion(small, large) if large in UNITS and small in UNITS else None
        if factor is not None and factor > 1:
            return Measured(str(int(found.group(1)) * factor + int(found.group(3))), small)
    if found := LARGE_NUMBER.match(" ".join(TEXT.sub(r" \1", text).split())):
        number = Fraction(found.group(1).replace(",", "")) * LARGE[found.group(2)]
        return measured(f"{number} {found.group(3)}") if found.group(3) else Measured(str(number))
    if found := PART.match(text):
        return Measured(str(Fraction(int(found.group(1)), PARTS[found.group(2)])))
    if found := CURRENCY.match(text):
        inner = measured(found.group(1) + found.group(3))
        return Measured(inner.value, unit_name(found.group(2)))
    if found := TRAILING_CURRENCY.match(text):
        return Measured(found.group(1), unit_name(found.group(2)))
    if found := NUMERAL_BASE.match(text):
        return Measured(found.group(1), f"base {found.group(2)}")
    if found := ORDINAL.match(text) or NUMBERED.match(text):
        return Measured(found.group(1))
    if found := PERCENTAGE.match(text):
        return Measured(found.group(1), PERCENT)
    if (found := DEGREES.match(text)) and not TRIGONOMETRIC.search(text):
        return Measured(found.group(1), SCALES[found.group(2)[0].lower()] if found.group(2) else DEGREE)
    if found := SCALE_ALONE.match(text):  # without a degree sign: `90 F` is no angle of 90 degrees
        return Measured(found.group(1), found.group(2).lower())
    if (found := TEXT_UNIT.match(text)) and not NO_UNIT.search(TEXT.sub(r"\1", found.group(2)).strip()):
        return Measured(found.group(1), unit_name(found.group(2)))
    if found := WORD_UNIT.match(text):
        value, words, power = found.groups()
        first = words.split()[0].strip(".") if words.split() else ""
        if NO_UNIT.search(words):
            return Measured(text)
        known = len(first) > 1 and (
            unit_name(first) in UNITS or len(first) > 3 or first in ("sq", "cubic", "mph", "kmh")
        )
        known = known or ("/" in words and f"{value} " in text and _dimension(unit_name(words)) is not None)  # 3 m/s
        if known or COUNTED.match(text):
            return Measured(value, unit_name(words + (power or "")))
    return Measured(text)


def unit_name(text: str) -> str:
    """One name for a unit's spellings: singular, lower case, powers as `cm^2`, `per` as `/`."""
    text = TEXT.sub(r"\1", text).strip().strip(".").replace("\\$", "$")
    power = POWER.search(text)
    text = POWER.sub("", text).strip()
    exponent = power.group(1) if power else ""
    if found := re.match(r"(?:sq(?:uare)?|(cu(?:bic)?))\b\.? ?", text):
        exponent, text = "3" if found.group(1) else "2", text[found.end() :]
    text = " ".join(re.sub(r"\bper\b", "/", text.lower()).replace("/", " / ").split()).strip(".")
    name = " ".join(word if word in UNITS else _singular(word) for word in text.split())
    return f"{name}^{exponent}" if exponent and exponent != "1" else name


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > 2 else word


def conversion(gold: str, answer: str) -> Fraction | None:
    """What an answer's value is multiplied with to be in the gold's unit; None when the units contradict.

    Two units that both are known must be of one dimension; what is not known (`apples`) contradicts nothing.
    """
    if gold != answer and gold.startswith("base ") and answer.startswith("base "):
        return None
    if DEGREE in (gold, answer) and {gold, answer} & set(SCALES.values()):  # 20 degrees may well be degrees Celsius
        return Fraction(1)
    known_gold, known_answer = _dimension(gold), _dimension(answer)
    if gold == answer or known_gold is None or known_answer is None:
        return Fraction(1)
    if known_gold[0] != known_answer[0]:
        return None
    return known_answer[1] / known_gold[1]


def _dimension(unit: str) -> tuple[tuple, Fraction] | None:
    """Dimension and size of a unit such as `cm^2` or `km / hour`; None when a part of it is not known."""
    unit = {"mph": "mile / hour", "kmh": "km / hour", "kph": "km / hour"}.get(unit, unit)
    dimensions, size = [], Fraction(1)
    for index, part in enumerate(unit.split(" / ")):
        name, _, power = part.strip().partition("^")
        if name not in UNITS or not re.fullmatch(r"-?\d?", power):
            return None
        exponent = int(power or 1) * (-1 if index else 1)
        dimensions.append((UNITS[name][0], exponent))
        size *= UNITS[name][1] ** exponent
    return tuple(dimensions), size
