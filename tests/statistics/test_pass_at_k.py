"""pass@k and maj@k against enumeration and exact fractions, up to 10,000 samples."""

import time
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htpo.statistics import g_pass_at_k, majority_at_k, mean_g_pass_at_k, pass_at_k, pass_curves


def exact(samples, correct, k):
    return 1 - Fraction(comb(samples - correct, k), comb(samples, k))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_every_k_equals_the_exact_fraction(case):
    samples, correct = case
    curve = pass_curves(samples, [correct])[0]
    assert curve == pytest.approx([float(exact(samples, correct, k)) for k in range(1, samples + 1)], rel=1e-13)


@pytest.mark.parametrize("correct", [1, 2, 17, 5000, 9998, 9999])
def test_ten_thousand_samples_are_right_to_twelve_digits_at_every_scale(correct):
    curve = pass_curves(10_000, [correct])[0]
    for k in (1, 2, 3, 50, 1000, 5000, 9000, 9999, 10_000):
        assert curve[k - 1] == pytest.approx(float(exact(10_000, correct, k)), rel=1e-12)


def test_none_and_all_correct_are_exactly_zero_and_one():
    none, every = pass_curves(10_000, [0, 10_000])
    assert not none.any()
    assert (every == 1).all()


def test_curves_rise_and_end_at_one_exactly():
    curves = pass_curves(500, list(range(1, 501)))
    assert (np.diff(curves, axis=1) >= 0).all()
    assert (curves[:, -1] == 1).all()
    assert curves[:, 0] == pytest.approx(np.arange(1, 501) / 500, rel=1e-15)


def test_all_k_of_a_thousand_problems_with_a_thousand_samples_take_no_time():
    start = time.perf_counter()
    assert pass_curves(1000, np.arange(1000)).shape == (1000, 1000)
    assert time.perf_counter() - start < 2


def test_counts_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"must be in 0..4, found -1..5"):
        pass_curves(4, [-1, 5])


def enumerated_g_pass(samples, correct, k, tau):
    """By definition: the share of all sets of k with at least tau k right answers."""
    sets = list(combinations([i < correct for i in range(samples)], k))
    return Fraction(sum(sum(chosen) >= tau * k for chosen in sets), len(sets))


@pytest.mark.parametrize("k", range(1, 9))
@pytest.mark.parametrize("tau", ["0.01", "0.25", "0.3", "0.5", "0.55", "0.75", "1.0"])
def test_g_pass_is_the_share_of_sets_with_enough_right_answers(k, tau):
    expected = [float(enumerated_g_pass(8, correct, k, Fraction(tau))) for correct in range(9)]
    assert g_pass_at_k(8, range(9), k, float(tau)) == pytest.approx(expected, abs=1e-12)


def test_tau_is_the_decimal_number_that_was_written():
    assert 0.28 * 25 > 7  # in floating point
    assert g_pass_at_k(25, [7], 25, 0.28) == 1
    assert g_pass_at_k(25, [6], 25, 0.28) == 0


@pytest.mark.parametrize("k", range(1, 9))
def test_the_mean_g_pass_is_its_integral_over_the_upper_half(k):
    steps = [Fraction(1, 2) + Fraction(2 * i + 1, 8 * k) for i in range(2 * k)]  # middles of 2k pieces of (0.5, 1]
    for correct in range(9):
        expected = sum(enumerated_g_pass(8, correct, k, tau) for tau in steps) / len(steps)
        assert mean_g_pass_at_k(8, [correct], k) == pytest.approx(float(expected), abs=1e-12)
        if k % 2 == 0:  # the paper's sum
            paper = sum(enumerated_g_pass(8, correct, k, Fraction(i, k)) for i in range(k // 2 + 1, k + 1))
            assert expected == Fraction(2, k) * paper


def test_g_pass_is_exact_where_it_is_certain_and_pass_at_k_at_its_end():
    for measure in (lambda c, k: g_pass_at_k(10_000, c, k, 0.5), lambda c, k: mean_g_pass_at_k(10_000, c, k)):
        assert measure([0, 10_000], 512).tolist() == [0, 1]
        assert measure([0, 10_000], 10_000).tolist() == [0, 1]
    assert g_pass_at_k(10_000, [17], 1000, 1e-9) == pytest.approx(pass_curves(10_000, [17])[0, 999], rel=1e-9)
    assert set(g_pass_at_k(64, range(65), 64, 0.75)) == {0.0, 1.0}  # n of n: enough or not, nothing in between


@pytest.mark.parametrize(
    ("k", "tau", "said"), [(4, 0.0, "tau=0.0"), (4, 1.1, "tau=1.1"), (0, 1, "k must"), (5, 1, "k")]
)
def test_impossible_g_passes_are_refused(k, tau, said):
    with pytest.raises(ValueError, match=said):
        g_pass_at_k(4, [1], k, tau)


def enumerated_majority(answers, correct, k):
    """By definition: every set of k, a fair draw among the most frequent, no answer counting as a wrong one."""
    total = Fraction(0)
    sets = list(combinations(range(len(answers)), k))
    for chosen in sets:
        votes = {}
        for index in chosen:
            votes.setdefault(answers[index], []).append(correct[index] and answers[index] is not None)
        most = max(map(len, votes.values()))
        winners = [verdicts[0] for verdicts in votes.values() if len(verdicts) == most]
        total += Fraction(sum(winners), len(winners))
    return float(total / len(sets))


ANSWERS = ["4", "4", "5", None, "5", "6", None, "4"]
RIGHT = [answer == "4" for answer in ANSWERS]


@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_vote_of_one_two_and_all_is_exact(k):
    assert majority_at_k(ANSWERS, RIGHT, k) == pytest.approx(enumerated_majority(ANSWERS, RIGHT, k), abs=1e-15)


@pytest.mark.parametrize("k", range(3, 8))
def test_the_vote_in_between_is_the_expectation_within_its_error(k):
    assert majority_at_k(ANSWERS, RIGHT, k) == pytest.approx(enumerated_majority(ANSWERS, RIGHT, k), abs=4 * 0.016)
    assert majority_at_k(ANSWERS, RIGHT, k) == majority_at_k(ANSWERS, RIGHT, k)


def test_ties_are_shared_and_missing_answers_vote_for_being_wrong():
    assert majority_at_k(["1", "2"], [True, False], 2) == 0.5
    assert majority_at_k(["1", None, None], [True, False, False], 3) == 0
    assert majority_at_k(["1", "1", None, "2", "2"], [True, True, False, False, False], 5) == 0.5


def test_none_and_all_right_are_exact_with_ten_thousand_samples():
    assert majority_at_k(["1"] * 10_000, [True] * 10_000, 64) == 1
    assert majority_at_k([str(i) for i in range(10_000)], [False] * 10_000, 10_000) == 0
    with pytest.raises(ValueError, match=r"maj@3 of 2"):
        majority_at_k(["1", "2"], [True, False], 3)


def test_one_number_of_the_curve_is_pass_at_k():
    assert pass_at_k(10_000, 3, 100) == pass_curves(10_000, [3])[0, 99]


@pytest.mark.parametrize("correct", range(7))
@pytest.mark.parametrize("k", range(1, 7))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_answer(correct, k):
    subsets = list(combinations([i < correct for i in range(6)], k))
    assert pass_at_k(6, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-15)


def test_pass_at_k_is_exact_for_many_samples():
    assert pass_at_k(10_000, 0, 5_000) == 0
    assert pass_at_k(10_000, 10_000, 1) == 1
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("samples", "correct", "k"), [(4, 5, 1), (4, 2, 5), (4, 2, 0), (4, -1, 1)])
def test_impossible_counts_are_refused(samples, correct, k):
    with pytest.raises(ValueError, match=f"pass@{k} of {correct} correct among {samples}"):
        pass_at_k(samples, correct, k)
