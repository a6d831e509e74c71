"""A number, its interval, or the reason why there is none."""

import math

import pytest

from htpo.statistics import Estimate, estimate_text, number_text, p_text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(0.5, 0.25, 0.75), "+0.5 (+0.2 to +0.8)"),
        (Estimate(0.5, why="fewer than 10 prompts"), "+0.5 (no interval: fewer than 10 prompts)"),
        (Estimate.absent("no correct response"), "not computed: no correct response"),
    ],
)
def test_it_is_said_with_what_is_absent(found, text):
    assert estimate_text(found.to_json(), "+.1f") == text


@pytest.mark.parametrize("numbers", [(None,), (0.5,), (0.5, 0.4)])
def test_nothing_is_absent_without_a_reason(numbers):
    with pytest.raises(ValueError, match="say why"):
        Estimate(*numbers)


def test_a_number_that_is_not_finite_is_no_estimate():
    with pytest.raises(ValueError, match="not finite"):
        Estimate(math.nan, 0.0, 1.0)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_plain_number_may_be_absent_too(value):
    assert number_text(value, ".2f", "no update") == "not computed: no update"
    assert number_text(value, ".2f") == "not computed"
    assert number_text(0.5, ".0%") == number_text(0.5, "{:.0%}".format) == "50%"


def test_a_p_value_is_never_written_as_0():
    assert [p_text(p) for p in (0.04, 0.0004, 0.0, None)] == ["0.040", "< 0.001", "< 0.001", "not computed"]
