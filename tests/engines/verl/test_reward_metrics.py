"""How often judging failed."""

import pytest

from htpo.engines.verl.reward_metrics import batch_failure_shares, failure_shares


def said(failure):
    return {"reward_extra_info": {"acc": 0.0, "failure": failure}}


def test_sessions_are_counted_once_padding_never_and_missing_ones_as_unscored():
    keys = ["a_0_0", "a_0_1", "a_1_0", "b_0_0", "b_1_0", "b_2_0", "pad_0_0"]
    fields = [said("crash"), said(None), said("timeout"), said("truncated"), said(None), said(None), said("crash")]
    shares = batch_failure_shares(keys, fields, [False] * 6 + [True], samples=4)
    assert shares == {
        "verifier/timeout_share": 1 / 8,
        "verifier/crash_share": 0,
        "verifier/unparsable_share": 0,
        "verifier/truncated_share": 1 / 8,
        "verifier/unscored_share": pytest.approx(3 / 8),
    }


def test_of_another_reward_function_nothing_is_said():
    assert failure_shares([{"acc": 1.0}]) == {}
    assert failure_shares([]) == {}
    assert batch_failure_shares(["a_0_0"], [{}], [False], 2) == {}
