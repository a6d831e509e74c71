"""The jackknife over prompts, against deletion by hand, Student's t, and what it must not count."""

import numpy as np
import pytest
from scipy import stats

from htpo.statistics import PromptSample


def test_prompts_of_one_size_in_one_update_have_students_interval():
    means = np.array([0.3, 0.9, 0.4, 0.2, 0.7])
    value = np.repeat(means, 4) + np.tile([-0.1, 0.1, -0.2, 0.2], 5)  # responses to a prompt differ, too
    found = PromptSample(np.repeat(np.arange(5), 4), np.zeros(20)).ratio(value, np.ones(20), "token")
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(means, 0).confidence_interval(0.95))


def test_an_error_is_that_of_leaving_out_each_prompt_by_hand():
    draw = np.random.default_rng(0)
    update, tokens = np.repeat([0, 1], [3, 4]), draw.integers(5, 30, 7).astype(float)
    hits = draw.binomial(tokens.astype(int), 0.3).astype(float)
    variance = 0.0
    for prompt in range(7):
        same = update == update[prompt]
        weight = np.where(same, same.sum() / (same.sum() - 1), 1.0)
        weight[prompt] = 0
        left = (weight @ hits) / (weight @ tokens)
        variance += (same.sum() - 1) / same.sum() * (left - hits.sum() / tokens.sum()) ** 2
    found = PromptSample(np.arange(7), update).ratio(hits, tokens, "token")
    spread = tokens**2
    both = [spread[update == u] for u in (0, 1)]
    degrees = spread.sum() ** 2 / sum((s**2).sum() + (s.sum() ** 2 - (s**2).sum()) / (len(s) - 1) ** 2 for s in both)
    reach = stats.t.ppf(0.975, degrees) * np.sqrt(variance)
    assert found.value == pytest.approx(hits.sum() / tokens.sum())
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))


def test_what_training_changes_between_updates_is_no_uncertainty():
    update = np.repeat(np.arange(10), 4)
    value = update + np.tile([-0.1, 0.0, 0.0, 0.1], 10)
    found = PromptSample(np.arange(40), update).ratio(value, np.ones(40), "token")
    assert found.high - found.low < 0.1
    at_once = PromptSample(np.arange(40), np.zeros(40)).ratio(value, np.ones(40), "token")
    assert at_once.high - at_once.low > 1


@pytest.mark.parametrize(
    ("updates", "strata"),
    [
        ([0, 1, 2, 3, 4, 4, 5, 6, 6, 7], [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]),
        ([0, 0, 1], [0, 0, 0]),
        ([0, 1, 2], [0, 0, 0]),
        ([5, 5, 9, 9], [0, 0, 1, 1]),
        ([3], [0]),
    ],
)
def test_updates_with_one_prompt_are_taken_with_their_neighbours(updates, strata):
    sample = PromptSample(np.arange(len(updates)), updates)
    assert sample._stratum.tolist() == strata


def test_a_difference_of_two_ratios_is_paired_by_prompt():
    draw = np.random.default_rng(1)
    shared, one = np.repeat(draw.normal(size=8), 2), np.ones(16)
    wrong = np.tile([1.0, 0.0], 8)
    value = shared + 0.5 * wrong + 0.01 * draw.normal(size=16)
    sample = PromptSample(np.repeat(np.arange(8), 2), np.zeros(16))
    parts = [(value * member, one * member) for member in (wrong, 1 - wrong)]
    found = sample.difference(*parts, ("wrong response", "correct response"))
    assert found.value == pytest.approx(0.5, abs=0.02)
    assert found.high - found.low < 0.05
    apart = sample.ratio(*parts[0], "wrong response")
    assert apart.high - apart.low > 1


def test_few_prompts_that_have_any_leave_few_degrees_of_freedom():
    """20 prompts, of which three have such a token: about as wide as of three prompts, whose t is 4.3."""
    draw = np.random.default_rng(2)
    here = np.arange(20) < 3
    value = draw.normal(size=20) * here
    found = PromptSample(np.arange(20), np.zeros(20)).ratio(value, here.astype(float), "token")
    reach = stats.t.ppf(0.975, 2) * stats.sem(value[:3])
    assert found.high - found.value == pytest.approx(reach, rel=0.15)


@pytest.mark.parametrize(
    ("prompts", "values", "counted", "why"),
    [
        ([0, 0, 0], [1.0, 2.0, 3.0], [1, 1, 1], "a single prompt says nothing of others"),
        ([0, 1, 2], [1.0, 0.0, 0.0], [1, 0, 0], "a single prompt says nothing of others"),
        ([0, 1, 2], [1.0, 1.0, 1.0], [1, 1, 1], "the prompts are all alike"),
        ([0, 1, 2], [0.0, 0.0, 0.0], [0, 0, 0], "no token"),
    ],
)
def test_what_has_no_interval_says_why(prompts, values, counted, why):
    found = PromptSample(prompts, [0] * 3).ratio(np.array(values), np.array(counted, dtype=float), "token")
    assert (found.low, found.high, found.why) == (None, None, why)
    assert (found.value is None) == (why == "no token")


def test_a_share_stays_between_0_and_1():
    found = PromptSample([0, 1], [0, 0]).ratio(np.array([0.0, 1.0]), np.array([4.0, 4.0]), "token", within=(0.0, 1.0))
    assert (found.low, found.high) == (0, 1)
