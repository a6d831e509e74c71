"""What stands beside a number, and whether two units contradict."""

from fractions import Fraction

import pytest

from htpo.verifiers.math.units import Measured, conversion, measured


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        (r"\$12.50", "12.50", "$"),
        ("50%", "50", "%"),
        (r"35^{\circ}30'", "71/2", "degree"),
        ("3rd", "3", ""),
        (r"24 \text{ cm}^2", "24", "cm^2"),
        ("12 square feet", "12", "feet^2"),
        ("60 miles per hour", "60", "mile / hour"),
        ("1011_2", "1011", "base 2"),
        ("5 m", "5 m", ""),
        ("3x", "3x", ""),
        (r"\sin 18^{\circ}", r"\sin 18^{\circ}", ""),
    ],
)
def test_units_are_taken_off_but_letters_are_not(text, value, unit):
    assert measured(text) == Measured(value, unit)


def test_units_convert_within_a_dimension_and_contradict_across():
    assert conversion("m", "km") == 1000
    assert conversion("km / hour", "m / s") == Fraction(18, 5)
    assert conversion("cm", "m^2") is None
    assert conversion("$", "£") is None
    assert conversion("base 5", "base 3") is None
    assert conversion("apple", "pear") == 1
    assert conversion("", "cm") == 1
