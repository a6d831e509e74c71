"""One spelling for the many in which mathematics is written."""

import pytest

from htpo.verifiers.math.text import clean, squashed


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        ("\x0crac{1}{2}", r"\frac{1}{2}"),
        ("60^\text{\\circ}", r"60^{\circ}"),
        (r"\left( 1 , 2 \right].", "( 1 , 2 ]"),
        ("$8$,$4$", "8 , 4"),
        (r"x \leqslant 3", r"x \leq 3"),
        (r"5 \text{ and } 6", "5 and 6"),
        (r"5 \mathrm{~cm}", r"5 \text{ cm}"),
        ("①③", "1, 3"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ],
)
def test_spellings_are_folded_into_one(text, cleaned):
    assert clean(text) == cleaned


def test_squashing_keeps_what_matters():
    assert squashed("x^{2} + y ^2") == squashed("x^2+y^{2}")
    assert squashed("x^{23}") != squashed("x^23")
    assert squashed(r"\sin x") != squashed(r"\sinx")
