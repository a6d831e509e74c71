r"""A thousand expressions made to hang, exhaust or break a judge of mathematics; the same ones in every run."""

import random
from collections.abc import Iterator
from itertools import cycle

CALCULUS = (
    r"\int_0^{{10^{{{n}}}}} \frac{{\sin(x^x)}}{{e^{{x^x}}}} dx",
    r"\sum_{{k=1}}^{{10^{{{n}}}}} \frac{{1}}{{k^{{k}}}}",
    r"\prod_{{k=1}}^{{10^{{{n}}}}} (1 + \frac{{1}}{{k!}})",
    r"\lim_{{x \to 0}} \sin(1/x)^{{{n}/x}}",
    r"\frac{{d^{{{n}}}}}{{dx^{{{n}}}}} e^{{x^x}}",
    r"\int \int \int x^{{y^z}} dx dy dz^{{{n}}}",
)
BRACKETS = ("()", "{}", ("\\sqrt{", "}"), ("\\frac{1}{1+", "}"), ("\\{", "\\}"), "||", ("-(", ")"), ("\\text{", "}"),
            ("x_{", "}"), ("\\sin(", ")"), "[)")  # fmt: skip
FRAGMENTS = ["\\frac", "{", "}", "\\left", "(", "\\sqrt", "^", "_", "1", "x", "\\text", "$", "\\\\"]
SYMBOLS = "\x00\u202e\ud800\ufeff\u0301½∞π∑√٣𝟕７é{}[]()\\$^_&%#~|<>=,;:.!'\"-+*/0x"


def towers(rng: random.Random) -> Iterator[str]:
    while True:
        height, base = rng.randint(2, 9), rng.choice(["2", "9", "10", "99", "x", "-1", "0.5", r"\pi", "i"])
        yield "^{".join([base] * height) + "}" * (height - 1)
        yield rf"\sqrt[{rng.randint(2, 10**9)}]{{{10 ** rng.randint(1, 9)}^{{{10 ** rng.randint(1, 9)}}}}}"
        yield rf"10^{{10^{{{rng.randint(5, 12)}}}}} + {rng.randint(1, 9)} - 10^{{10^{{{rng.randint(5, 12)}}}}}"
        yield f"{rng.randint(1, 9)}.{rng.randint(1, 9)}e{10 ** rng.randint(2, 12)}"


def factorials(rng: random.Random) -> Iterator[str]:
    while True:
        number = 10 ** rng.randint(3, 15)
        yield f"{number}!"
        yield f"({number}!)!"
        yield rf"\binom{{{number}}}{{{number // 2}}}"
        yield "7" + "!" * rng.randint(3, 60)
        yield rf"\frac{{{number}!}}{{{number - 1}!}}"


def nested(rng: random.Random) -> Iterator[str]:
    while True:
        depth = rng.randint(50, 450)
        for opening, closing in BRACKETS:
            yield opening * depth + "1" + closing * depth
            yield opening * depth + "1" + closing * (depth - rng.randint(1, depth))


def long_texts(rng: random.Random) -> Iterator[str]:
    while True:
        length = rng.randint(300, 1900)
        yield str(rng.randint(1, 9)) * length
        yield "0." + "3" * length
        yield "1" + ",000" * (length // 4)
        yield ",".join(str(rng.randint(0, 99)) for _ in range(length // 3))
        yield r"\{" + ", ".join(f"x_{index}" for index in range(length // 6)) + r"\}"
        yield " + ".join(f"x^{{{index}}}" for index in range(length // 9))
        yield "(x+1)" * (length // 5)
        yield " < ".join("abc"[index % 3] for index in range(length // 4))
        yield " = ".join(["x"] * (length // 4))
        yield r" \cup ".join(f"({index}, {index + 1})" for index in range(length // 16))
        yield " or ".join(f"x > {index}" for index in range(length // 10))
        yield r"\pm ".join(["1"] * (length // 6))
        yield "a" * length
        yield "and " * (length // 4)


def matrices(rng: random.Random) -> Iterator[str]:
    while True:
        rows, columns = rng.randint(1, 40), rng.randint(1, 12)
        row = " & ".join(rng.choice(["1", "x", r"\frac{1}{x}", "10^{99}"]) for _ in range(columns))
        body = r" \\ ".join([row] * rows)
        yield rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
        yield rf"\begin{{vmatrix}} {body} \end{{vmatrix}}^{{{10 ** rng.randint(1, 12)}}}"
        yield r"\begin{cases} x & x > 0 \\" * rng.randint(1, 60)


def calculus(rng: random.Random) -> Iterator[str]:
    while True:
        for text in CALCULUS:
            yield text.format(n=rng.randint(2, 30))


def algebra(rng: random.Random) -> Iterator[str]:
    while True:
        power = rng.randint(50, 5000)
        yield f"(x+y+z)^{{{power}}}"
        yield f"x^{{{power}}} + {power} x = {power}"
        yield rf"\sin({power} x) \cos^{{{power}}} x = \tan x^{{{power}}}"
        yield rf"\{{x | x^{{{power}}} > {power}\}}"
        yield rf"\lfloor 10^{{{power}}} \pi \rfloor"
        yield f"{power}:0"
        yield rf"\frac{{{power}}}{{0}}, \frac{{0}}{{0}}, \infty - \infty"
        yield rf"{power} \pmod{{0}}"


def noise(rng: random.Random) -> Iterator[str]:
    while True:
        yield "".join(rng.choice(SYMBOLS) for _ in range(rng.randint(1, 300)))
        yield rng.choice(SYMBOLS) * rng.randint(1, 600)
        yield "".join(rng.choice(FRAGMENTS) for _ in range(rng.randint(2, 200)))
        yield "__import__('os').system('touch /tmp/htpo-was-here')" + "x" * rng.randint(0, 9)
        yield rf"\def\a{{\a\a}}\a{rng.randint(0, 99)}"


def hostile_expressions(count: int = 1000) -> list[str]:
    """The first `count` distinct of them, every kind in turn."""
    kinds = (towers, factorials, nested, long_texts, matrices, calculus, algebra, noise)
    makers = [kind(random.Random(index)) for index, kind in enumerate(kinds)]
    distinct: dict[str, None] = {}
    for maker in cycle(makers):
        if len(distinct) == count:
            return list(distinct)
        distinct[next(maker)] = None
    raise AssertionError("a cycle does not end")
