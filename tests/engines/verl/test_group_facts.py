"""Correctness and accuracy of whole prompt groups, from the rows of verl's batch in any order."""

import pytest
import torch

from htpo.engines.verl.group_facts import group_facts, verdict_of
from htpo.errors import UserError


def test_accuracy_is_the_share_of_correct_sessions_wherever_their_rows_are():
    keys = ["a_0_0", "b_0_0", "a_1_0", "b_1_0", "a_2_0"]
    facts = group_facts(keys, [True, False, False, False, True], [False] * 5)
    assert facts.correct.tolist() == [True, False, False, False, True]
    torch.testing.assert_close(facts.group_accuracy, torch.tensor([2 / 3, 0, 2 / 3, 0, 2 / 3]))


def test_a_session_of_several_rows_counts_once_by_its_last_row():
    keys = ["a_0_1", "a_0_10", "a_0_2", "a_1_0"]
    facts = group_facts(keys, [False, True, False, False], [False] * 4)
    assert facts.correct.tolist() == [True, True, True, False]
    assert facts.group_accuracy.tolist() == [0.5] * 4


def test_rows_of_padding_count_for_no_prompt():
    keys = ["a_0_0", "a_1_0", "pad7_0_0", "a_2_0"]
    facts = group_facts(keys, [True, True, True, True], [False, False, True, True])
    assert facts.correct.tolist() == [True, True, False, False]
    assert facts.group_accuracy.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_a_prompt_s_name_may_have_underscores():
    facts = group_facts(["a_1_0_0", "a_1_1_0", "a_2_0_0"], [True, False, True], [False] * 3)
    assert facts.group_accuracy.tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(("acc", "correct"), [(1.0, True), (True, True), (0, False), (-1.0, False), (False, False)])
def test_a_verdict_is_acc_above_the_threshold(acc, correct):
    assert verdict_of({"reward_extra_info": {"acc": acc, "score": 0.3}}, 0.0) is correct


@pytest.mark.parametrize("extra", [{}, {"reward_extra_info": None}, {"reward_extra_info": {"score": 1.0}}])
def test_a_reward_function_that_gives_no_verdict_is_refused(extra):
    with pytest.raises(UserError, match="says no 'acc'"):
        verdict_of(extra, 0.0)
