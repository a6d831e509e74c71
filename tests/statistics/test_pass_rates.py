"""`PassRates`: intervals, paired changes, parts put together."""

import pytest

from htpo.statistics import PassRates


def rates(correct, samples=4, **changes):
    fields = {"mean_length": 1.0, "truncated": 0.0, "failures": {}, "examples": ()}
    return PassRates(samples=samples, correct=tuple(correct), **(fields | changes))


def test_the_change_is_paired_over_problems():
    before, after = [1, 0, 0, 3, 2, 0, 1, 2, 0, 4], [3, 2, 0, 4, 4, 1, 1, 4, 0, 4]
    change = rates(after).change_from(rates(before), 1)
    assert change.value == pytest.approx(10 / 40)
    assert 0 < change.low < change.high
    assert change.p_value < 0.05  # apart, their intervals overlap
    assert rates(before).estimate(1).high > rates(after).estimate(1).low
    solved = rates(after).change_from(rates(before), 4)
    assert solved.value == pytest.approx(2 / 10)
    assert rates([2]).change_from(rates([1]), 1).why == "a single problem says nothing of others"


def test_joined_parts_equal_the_whole():
    parts = [rates([1, 2], mean_length=3.0, failures={"timeout": 1}), rates([4], mean_length=6.0, truncated=0.3)]
    whole = PassRates.join(parts)
    assert whole == rates([1, 2, 4], mean_length=4.0, truncated=pytest.approx(0.1), failures={"timeout": 1})


def test_rates_survive_a_round_trip_through_json():
    given = rates([1, 2], examples=({"prompt": "1+1=", "response": "2", "correct": True},))
    assert PassRates.from_json(given.to_json()) == given
