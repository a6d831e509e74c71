"""Intervals against simulation and closed forms; the paired test against its exact distribution."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from htpo.evaluate.intervals import mean_interval, mean_intervals, paired_difference


@pytest.mark.parametrize("solved", [0, 3, 30])
def test_problems_that_count_zero_or_one_have_the_exact_binomial_interval(solved):
    found = mean_interval([1.0] * solved + [0.0] * (30 - solved))
    assert found.mean == solved / 30
    assert found.low == pytest.approx(stats.beta.ppf(0.025, solved, 31 - solved) if solved else 0)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, solved + 1, 30 - solved) if solved < 30 else 1)


@pytest.mark.parametrize(("a", "b", "problems"), [(0.5, 0.5, 40), (1.0, 1.0, 30), (0.3, 1.0, 272)])
def test_the_bootstrap_holds_the_truth_about_nineteen_times_of_twenty(a, b, problems):
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = mean_interval(draw.binomial(32, draw.beta(a, b, problems)) / 32)
        held += found.low <= a / (a + b) <= found.high
    assert 88 <= held <= 100


def test_many_columns_are_the_same_as_one_at_a_time():
    values = np.random.default_rng(0).random((12, 300))
    values[:, 7] = 0.25
    means, low, high = mean_intervals(values)
    for column in (0, 1, 255, 256, 299):
        one = mean_interval(values[:, column])
        assert (one.mean, one.low, one.high) == pytest.approx((means[column], low[column], high[column]), abs=1e-12)
    assert np.isnan(low[7])
    assert mean_interval(values[:, 7]).low is None


def test_a_paired_difference_has_the_p_value_of_all_sign_flips():
    first, second = np.array([0.9, 0.5, 0.75, 0.3, 1.0, 0.6]), np.array([0.5, 0.5, 0.25, 0.35, 0.4, 0.1])
    found = paired_difference(first, second)
    differences = first - second
    flips = [abs(np.mean(differences * signs)) for signs in product((1, -1), repeat=6)]
    assert found.p_value == pytest.approx(np.mean(np.array(flips) >= abs(differences.mean()) - 1e-12))
    assert found.mean == pytest.approx(differences.mean())
    assert found.low < found.mean < found.high


def test_the_p_value_is_uniform_where_nothing_differs():
    draw = np.random.default_rng(1)
    p_values = [paired_difference(draw.random(12), draw.random(12)).p_value for _ in range(40)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_equal_evaluations_have_p_one_and_a_constant_difference_no_interval():
    same = paired_difference([0.25, 0.5], [0.25, 0.5])
    assert (same.mean, same.low, same.p_value) == (0, None, 1)
    assert paired_difference([1.0] * 12, [0.0] * 12).low is None
    assert paired_difference([1.0] * 12, [0.0] * 12).p_value < 0.001


def test_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1.0], [1.0, 0.0])


def test_a_single_problem_that_changed_has_a_difference_and_no_more():
    found = paired_difference([0.5], [1.0])
    assert (found.mean, found.low, found.high, found.p_value) == (-0.5, None, None, 1.0)
