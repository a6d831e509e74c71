"""Intervals over seeds and paired comparisons of seeds, against scipy and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from htpo.statistics import compare_seeds, holm, mean_over_seeds, means_over_seeds


def test_the_interval_is_t_over_seeds_on_the_logit_scale():
    found = mean_over_seeds([0.3, 0.4, 0.8])
    reach = stats.t.ppf(0.975, 2) * stats.sem([0.3, 0.4, 0.8]) / (0.5 * 0.5)  # of the logit of 0.5, which is 0
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((1 / (1 + math.exp(reach)), 1 / (1 + math.exp(-reach))))


def test_columns_are_the_same_as_one_at_a_time():
    rates = np.random.default_rng(0).random((4, 5))
    rates[:, 2] = 1.0
    for column, found in zip(rates.T, np.transpose(means_over_seeds(rates))):
        one = mean_over_seeds(column)
        np.testing.assert_allclose(found, [one.value] + [np.nan if e is None else e for e in (one.low, one.high)])


def test_one_seed_has_no_interval_and_says_why():
    found, difference = mean_over_seeds([0.75]), compare_seeds([0.5], [0.0])
    assert (found.value, found.low, found.high) == (0.75, None, None)
    assert (difference.value, difference.low, difference.p_value, difference.effect_size) == (0.5, None, None, None)
    assert found.why == difference.why == "one seed does not tell how others would differ"


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_seeds_that_are_all_alike_have_no_interval(rate):
    found, same = mean_over_seeds([rate] * 3), compare_seeds([rate] * 3, [rate] * 3)
    assert (found.value, found.low, found.why) == (pytest.approx(rate), None, "all seeds are alike")
    assert (same.value, same.low, same.p_value, same.effect_size) == (0.0, None, 1.0, None)


def test_a_difference_without_any_spread_cannot_be_tested():
    found = compare_seeds([0.3] * 3, [0.1] * 3)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.p_value, found.effect_size) == (None, None, None)


@pytest.mark.parametrize("rate", [1e-6, 1 - 1e-6])
def test_an_interval_next_to_0_or_1_stays_inside(rate):
    found = mean_over_seeds([0.5, rate, rate])
    assert 0 <= found.low < found.value < found.high <= 1


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        mean_over_seeds([])
    with pytest.raises(ValueError, match="argument 2 is longer"):
        compare_seeds([1.0], [1.0, 0.0])


def test_a_comparison_is_the_paired_t_test():
    first, second = [0.30, 0.42, 0.55, 0.61], [0.20, 0.41, 0.35, 0.60]
    found, test = compare_seeds(first, second), stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    differences = np.subtract(first, second)
    assert found.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_swapping_methods_mirrors_a_comparison_and_p_agrees_with_the_interval(number, seeds):
    first, second = np.random.default_rng(number).random((2, seeds))
    found, mirrored = compare_seeds(first, second), compare_seeds(second, first)
    assert mirrored.value == pytest.approx(-found.value)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert mirrored.p_value == pytest.approx(found.p_value)
    assert mirrored.effect_size == pytest.approx(-found.effect_size)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested():
    assert holm([None, 0.02, None, 0.8]) == [None, pytest.approx(0.04), None, pytest.approx(0.8)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == holm([None])[1:] == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= min(1, p * len(p_values)) or a == pytest.approx(p) for p, a in zip(p_values, adjusted))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)
