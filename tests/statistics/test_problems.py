"""Intervals over problems against closed forms, and what must not depend on how they are asked for."""

import numpy as np
import pytest
from scipy import stats

from htpo.statistics import mean_interval, paired_difference, rate_interval, rate_intervals


@pytest.mark.parametrize("solved", [0, 1, 15, 30])
def test_problems_that_count_zero_or_one_have_the_binomial_interval_of_half_an_observation(solved):
    """Between Jeffreys' (half a success and half a failure) and Clopper and Pearson's (a whole one at the far end)."""
    found = rate_interval([1.0] * solved + [0.0] * (30 - solved))
    assert found.value == solved / 30
    assert found.low == pytest.approx(stats.beta.ppf(0.025, solved, 30.5 - solved) if solved else 0)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, solved + 0.5, 30 - solved) if solved < 30 else 1)
    exact = stats.binomtest(solved, 30).proportion_ci(0.95, "exact")
    assert exact.low <= found.low <= found.value <= found.high <= exact.high


def test_many_problems_have_the_interval_of_the_normal_distribution():
    values = np.random.default_rng(0).beta(2, 3, 20_000)
    found, reach = rate_interval(values), 1.96 * stats.sem(values)
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=reach / 50)


def test_problems_that_are_all_alike_have_an_interval_that_narrows_with_their_number():
    widths = [rate_interval([0.25] * problems) for problems in (2, 10, 100)]
    assert all(0 < found.low < 0.25 < found.high < 1 for found in widths)
    assert widths[0].high > 0.6
    assert widths[2].high - widths[2].low < 0.05
    everything, nothing = rate_interval([1.0] * 10), rate_interval([0.0] * 10)
    assert (everything.high, nothing.low) == (1, 0)
    assert everything.low == pytest.approx(1 - nothing.high)
    assert everything.low == pytest.approx(stats.beta.ppf(0.025, 10, 0.5))


def test_wrong_answers_counted_instead_of_right_ones_mirror_the_interval():
    values = np.random.default_rng(3).beta(0.4, 1.6, 20)
    found, mirrored = rate_interval(values), rate_interval(1 - values)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_many_columns_are_the_same_as_one_at_a_time():
    values = np.random.default_rng(0).random((12, 30))
    values[:, 7], values[:, 8] = 0, 1
    means, low, high = rate_intervals(values)
    for column in range(30):
        one = rate_interval(values[:, column])
        assert (one.value, one.low, one.high) == pytest.approx((means[column], low[column], high[column]), abs=1e-12)


def test_a_single_problem_has_a_value_and_the_reason_why_no_more():
    assert rate_interval([0.5]).to_json() == mean_interval([0.5]).to_json()
    assert rate_interval([0.5]).low is None
    assert "single problem" in rate_interval([0.5]).why
    assert "single problem" in paired_difference([1.0], [0.0]).why
    assert paired_difference([1.0], [0.0]).p_value is None


@pytest.mark.parametrize("values", [[], [0.5, 1.2], [-0.1, 0.5], [0.5, float("nan")]])
def test_what_is_no_rate_is_refused(values):
    with pytest.raises(ValueError, match="at least one|between 0 and 1"):
        rate_interval(values)


def test_a_mean_without_bounds_is_students():
    values = [3.0, 8.0, 4.0, 11.0]
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert mean_interval([7.0, 7.0]).why == "the problems are all alike"


def test_a_paired_difference_is_students_with_one_more_difference_of_the_typical_size():
    first, second = np.array([0.9, 0.5, 0.75, 0.3, 1.0, 0.6]), np.array([0.5, 0.5, 0.25, 0.35, 0.4, 0.1])
    found, d = paired_difference(first, second), first - second
    squares = ((d - d.mean()) ** 2).sum() + ((d**2).sum() / np.abs(d).sum()) ** 2
    error = np.sqrt(squares / 6 / 5)
    assert found.value == pytest.approx(d.mean())
    assert found.low == pytest.approx(d.mean() - stats.t.ppf(0.975, 5) * error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(d.mean() / error, 5))


def test_with_many_problems_it_is_the_paired_t_test():
    first, second = np.random.default_rng(4).random((2, 2000))
    test = stats.ttest_rel(first, second)
    assert paired_difference(first, second).p_value == pytest.approx(test.pvalue, rel=0.02)


def test_equal_evaluations_say_how_large_a_difference_could_have_been_missed():
    same = paired_difference([0.25, 0.5] * 20, [0.25, 0.5] * 20)
    assert (same.value, same.p_value) == (0, 1)
    assert 0.03 < same.high == -same.low < 0.075  # a share of 3 / 40 would have been seen in 95 of 100 cases
    every = paired_difference([1.0] * 12, [0.0] * 12)
    assert 0.7 < every.low < every.high == 1
    assert every.p_value < 0.001


@pytest.mark.parametrize("seed", range(30))
def test_the_p_value_agrees_with_the_interval(seed):
    draw = np.random.default_rng(seed)
    first, second = draw.binomial(8, draw.beta(1, 1, (2, 15)) ** (1, 0.4)[seed % 2]) / 8 if seed else (np.eye(2))
    found = paired_difference(first, second)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1.0], [1.0, 0.0])
