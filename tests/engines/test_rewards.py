"""From the numbers that reward functions gave to scored, correct, and why a prompt's answers teach nothing."""

import math

import pytest
import torch

from htpo.engines.rewards import NO_SIGNAL, by_threshold, score, without_signal

NAN = math.nan


def scores(columns, weights=None, size=4, correctness=(0,), threshold=0.0, shaping=()):
    rewards = torch.tensor(columns).T
    weights = torch.ones(rewards.shape[1]) if weights is None else torch.tensor(weights)
    scored, correct = by_threshold(rewards[:, list(correctness)], threshold)
    return score(rewards, weights, size, scored=scored, correct=correct, shaping=shaping)


def test_a_response_without_a_verdict_counts_nowhere():
    found = scores([[1.0, NAN, 0.0, 1.0, NAN, NAN, math.inf, 0.0], [0.0, -1.0, -0.5] + [0.0] * 5], shaping=[1])
    assert found.scored.tolist() == [True, False, True, True, False, False, False, True]
    assert found.correct.tolist() == [True, False, False, True, False, False, False, False]
    assert found.group_accuracy.tolist() == pytest.approx([2 / 3] * 4 + [0.0] * 4)
    assert found.reward[[0, 2, 3, 7]].tolist() == [1.0, -0.5, 1.0, 0.0]
    assert found.reward[[1, 4, 5, 6]].isnan().all()
    assert found.unshaped[[0, 2, 3, 7]].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_several_functions_judge_each_its_own_kind_of_task():
    math_reward, code_reward, style = [1.0, 0.0, NAN, NAN], [NAN, NAN, 1.0, NAN], [0.5, 0.5, 0.5, 0.5]
    found = scores([style, math_reward, code_reward], [2.0, 1.0, 1.0], size=2, correctness=[1, 2])
    assert found.correct.tolist() == [True, False, True, False]
    assert found.scored.tolist() == [True, True, True, False]
    assert found.group_accuracy.tolist() == [0.5, 0.5, 1.0, 1.0]
    assert found.reward[:3].tolist() == [2.0, 1.0, 2.0]


def test_the_threshold_says_what_is_correct():
    graded = [[0.2, 0.6, 0.5, 1.0]]
    assert scores(graded).correct.tolist() == [True] * 4
    assert scores(graded, threshold=0.5).correct.tolist() == [False, True, False, True]
    assert scores([[-1.0, 1.0, -1.0, -1.0]]).correct.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("rewards", "cut", "by_reward", "by_correctness"),
    [
        ([1.0, 0.0, 0.0, 0.0], 0, None, None),
        ([1.0, 1.0, 1.0, 1.0], 0, "too_easy", "too_easy"),
        ([0.0, 0.0, 0.0, 0.0], 0, "too_hard", "too_hard"),
        ([-1.0, -1.0, -1.0, -1.0], 0, "too_hard", "too_hard"),
        ([0.0, 0.0, 0.0, 0.0], 4, "cut_off", "cut_off"),
        ([1.0, 1.0, 1.0, 1.0], 4, "too_easy", "too_easy"),
        ([0.0, 0.0, 0.0, 0.0], 3, "too_hard", "too_hard"),
        ([NAN, 0.0, 0.0, NAN], 2, "too_hard", "too_hard"),
        ([0.3, 0.9, 0.3, 0.3], 0, None, "too_easy"),  # graded, below 1
        ([1.0, 2.0, 1.5, 1.0], 0, None, "too_easy"),  # graded, always at least 1
        ([-0.3, -0.9, -0.3, -0.3], 0, None, "too_hard"),
        ([NAN, 1.0, NAN, 0.0], 0, None, None),
        ([NAN, 1.0, NAN, NAN], 0, "unscored", "unscored"),
        ([NAN, NAN, NAN, NAN], 4, "unscored", "unscored"),
    ],
)
def test_why_answers_carry_no_signal(rewards, cut, by_reward, by_correctness):
    cut_off = torch.arange(8) % 4 < cut
    found = scores([[*rewards, 0.0, 1.0, 0.0, 0.0]])
    assert without_signal(found, 4, "reward", cut_off)[0] == by_reward
    assert without_signal(found, 4, "correctness", cut_off)[0] == by_correctness
    assert {by_reward, by_correctness} - {None} <= NO_SIGNAL.keys()


def test_the_overlong_punishment_gives_no_signal_of_its_own():
    found = scores([[0.0] * 4, [0.0, -1.0, 0.0, 0.0]], shaping=[1])
    assert without_signal(found, 4, "reward", torch.zeros(4).bool()) == ["too_hard"]


def test_rewards_that_cancel_carry_no_signal():
    found = scores([[1.0, 0.0], [0.0, 1.0]], size=2)
    assert without_signal(found, 2, "reward", torch.zeros(2).bool()) == ["same_reward"]
    assert without_signal(found, 2, "correctness", torch.zeros(2).bool()) == [None]
