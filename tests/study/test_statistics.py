"""Statistics against hand-computed values, scipy, and simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from htpo.evaluate.results import powers_of_two
from htpo.study.statistics import compare, estimate, holm, pass_rates, running_mean


def seeds_of(*rows):
    return [np.array(row, dtype=float) for row in rows]


# --- pass@k --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_is_the_share_of_draws_that_hold_a_correct_answer(k):
    for correct in range(6):
        draws = list(combinations([True] * correct + [False] * (5 - correct), k))
        assert pass_rates([correct], 5, k)[0] == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_is_exact_at_none_and_all_correct_however_many_samples():
    for k in powers_of_two(1024):
        assert pass_rates([0, 1024], 1024, k).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("correct", "k"), [([5], 1), ([-1], 1), ([2], 5), ([2], 0)])
def test_impossible_counts_are_refused(correct, k):
    with pytest.raises(ValueError, match="4"):
        pass_rates(correct, 4, k)


@pytest.mark.parametrize(("samples", "ks"), [(1, [1]), (16, [1, 2, 4, 8, 16]), (12, [1, 2, 4, 8, 12])])
def test_k_goes_by_powers_of_two_up_to_the_number_of_samples(samples, ks):
    assert powers_of_two(samples) == ks


# --- intervals -----------------------------------------------------------------------------------------------------


def test_the_interval_is_t_over_seed_means_on_the_logit_scale():
    found = estimate(seeds_of([0.3, 0.3], [0.4, 0.4], [0.8, 0.8]))  # no spread within seeds
    error = stats.sem([0.3, 0.4, 0.8]) / (0.5 * 0.5)  # of the logit of 0.5, which is 0
    reach = stats.t.ppf(0.975, 2) * error
    assert (found.mean, found.seeds) == (pytest.approx(0.5), 3)
    assert (found.low, found.high) == pytest.approx((1 / (1 + math.exp(reach)), 1 / (1 + math.exp(-reach))))


def test_problems_bound_the_interval_from_below():
    """Seeds agree by luck (all 0.5), but P problems of 0 and 1 leave s^2 / P."""
    half = np.tile([0.0, 1.0], 50)
    found = compare([half] * 3, [np.full(100, 0.5)] * 3)
    reach = stats.t.ppf(0.975, 2) * math.sqrt(half.var(ddof=1) / 100 / 3)
    assert (found.mean, found.low, found.high) == (0.0, pytest.approx(-reach), pytest.approx(reach))
    assert (found.p_value, found.effect_size) == (1.0, None)
    assert estimate([half] * 3).high - 0.5 == pytest.approx(reach, rel=0.05)


def test_one_seed_has_no_interval():
    found = estimate(seeds_of([0, 1, 1, 1]))
    assert (found.mean, found.low, found.high, found.seeds) == (0.75, None, None, 1)
    difference = compare(seeds_of([0, 1]), seeds_of([0, 0]))
    assert (difference.mean, difference.low, difference.p_value, difference.effect_size) == (0.5, None, None, None)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_without_any_variance_there_is_no_interval(rate):
    flat = seeds_of([rate] * 3, [rate] * 3)
    found, same = estimate(flat), compare(flat, flat)
    assert (found.mean, found.low, found.high) == (pytest.approx(rate), None, None)
    assert (same.mean, same.low, same.p_value, same.effect_size) == (0.0, None, 1.0, None)


def test_a_difference_without_any_spread_cannot_be_tested():
    found = compare(seeds_of([0.3] * 3, [0.3] * 3), seeds_of([0.1] * 3, [0.1] * 3))
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.p_value, found.effect_size) == (None, None, None)


@pytest.mark.parametrize("rate", [1e-6, 1 - 1e-6])
def test_an_interval_next_to_0_or_1_stays_inside(rate):
    found = estimate(seeds_of([rate, 0.5], [rate, rate], [rate, rate]))
    assert 0 <= found.low < found.mean < found.high <= 1


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        estimate([])
    with pytest.raises(ValueError, match="one problem"):
        estimate(seeds_of([0.5], []))
    with pytest.raises(ValueError, match="argument 2 is longer"):
        compare(seeds_of([1.0]), seeds_of([1.0], [0.0]))


# --- comparisons ---------------------------------------------------------------------------------------------------


def test_the_p_value_is_the_paired_t_tests_where_seeds_differ_more_than_problems_imply():
    first, second = [0.30, 0.42, 0.55, 0.61], [0.20, 0.41, 0.35, 0.60]
    found = compare(*([np.full(10, mean) for mean in means] for means in (first, second)))
    test = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    differences = np.subtract(first, second)
    assert found.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 20))
def test_swapping_methods_mirrors_a_comparison_and_p_agrees_with_the_interval(number, seeds, problems):
    rng = np.random.default_rng(number)
    first, second = ([rng.random(problems) ** power for _ in range(seeds)] for power in (1, 2))
    found, mirrored = compare(first, second), compare(second, first)
    assert mirrored.mean == pytest.approx(-found.mean)
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


# --- simulation ----------------------------------------------------------------------------------------------------


def simulated_counts(rng, seeds, problems, samples, seed_spread):
    """Counts for methods A and B, A better by 0.5 logits; each seed has its own problems and its own luck."""
    difficulty = rng.normal(0, 1.5, (seeds, problems))
    luck = rng.normal(0, seed_spread, (2, seeds, 1))
    logits = np.stack([difficulty + 0.5, difficulty]) + luck
    return rng.binomial(samples, 1 / (1 + np.exp(-logits)))


def covered(rng, seeds, seed_spread, k, trials=1000, problems=40, samples=8):
    """Shares of trials in which the truth lies in the interval, among those that give one: of A's pass@k, of the
    difference between A and B, and of A's pass@k by an interval over all problems that ignores seeds."""
    big = simulated_counts(np.random.default_rng(1), 20_000, 50, samples, seed_spread)
    truth_a, truth_b = (pass_rates(counts.ravel(), samples, k).mean() for counts in big)
    hits, given = np.zeros(3), 0
    for _ in range(trials):
        counts = simulated_counts(rng, seeds, problems, samples, seed_spread)
        a, b = ([pass_rates(row, samples, k) for row in method] for method in counts)
        found, difference, pooled = estimate(a), compare(a, b), np.concatenate(a)
        if found.low is None:
            continue  # every problem was solved
        given += 1
        hits += [
            found.low <= truth_a <= found.high,
            difference.low <= truth_a - truth_b <= difference.high,
            abs(pooled.mean() - truth_a) <= 1.96 * stats.sem(pooled),
        ]
    return hits / given


@pytest.mark.parametrize("k", [1, 8])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_spread", [0.0, 0.5, 1.0])  # in logits; that of problems is 1.5
def test_intervals_hold_the_truth_at_least_95_times_in_100_with_few_seeds(seeds, seed_spread, k):
    mean, difference, ignoring_seeds = covered(np.random.default_rng(7), seeds, seed_spread, k)
    assert mean > 0.93  # 95 % less three standard errors of 1000 trials
    assert difference > 0.93
    if seed_spread == 1.0:
        assert ignoring_seeds < 0.7  # what the problems alone would claim
    if seed_spread == 1.0 and k == 1:
        assert max(mean, difference) < 0.98  # not by being needlessly wide


# --- curves --------------------------------------------------------------------------------------------------------


def test_a_running_mean_looks_back_and_leaves_out_what_is_not_known():
    nan = math.nan
    assert running_mean([1, 2, 3, 4], 2).tolist() == [1, 1.5, 2.5, 3.5]
    assert running_mean([1, 2, 3], 1).tolist() == [1, 2, 3]
    np.testing.assert_allclose(running_mean([nan, nan, 3, nan, 5], 2), [nan, nan, 3, 3, 5])
