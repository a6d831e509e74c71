"""What a step's answers were like, under the names that TRL's runs have."""

import numpy as np
import pytest
import torch

from htpo.engines.verl.step_metrics import Answer, join_rows, recorded, step_metrics


def answer(prompt: str, correct: bool = False, **known) -> Answer:
    given = {"reward": float(correct), "tokens": 4, "cut_off": False} | known
    return Answer(prompt=prompt, correct=correct, **given)


def metrics(answers, *, drawn=0, right=0, wrong=0, by=None) -> dict:
    return step_metrics(answers, drawn=drawn, right=right, wrong=wrong, filtered_by=by)


MIXED = [answer("a", True), answer("a"), answer("b", True), answer("b", True)]


def test_a_session_of_several_rows_is_one_answer_with_the_tokens_of_all():
    rows = {"a_0_1": answer("a", True, tokens=3), "a_0_0": answer("a", tokens=5), "a_1_0": answer("a", tokens=7)}
    joined = join_rows(rows)
    assert [(one.correct, one.tokens) for one in joined] == [(True, 8), (False, 7)]


def test_without_dynamic_sampling_accuracy_and_prompts_without_signal_are_those_of_the_batch():
    cut = [answer("c", cut_off=True), answer("c", cut_off=True), answer("d", cut_off=True), answer("d")]
    found = metrics(MIXED + cut, drawn=99)
    assert found["accuracy"] == 3 / 8
    drawn = ("drawn", "too_easy", "too_hard", "cut_off", "same_reward", "unscored")
    assert [found[f"sampling/groups_{name}"] for name in drawn] == [4, 1, 1, 1, 0, 0]
    assert "sampling/filled_share" not in found


def test_what_dynamic_sampling_left_out_counts_for_accuracy_and_as_prompts_drawn():
    found = metrics(MIXED, drawn=9, right=1, wrong=4, by="acc")
    assert found["accuracy"] == (3 + 2 * 1) / (4 + 2 * 5)
    assert [found[f"sampling/groups_{name}"] for name in ("drawn", "too_easy", "too_hard")] == [9, 1, 4]
    assert found["sampling/filled_share"] == 1


def test_left_out_by_another_metric_they_are_of_one_reward_and_their_accuracy_is_not_known():
    found = metrics(MIXED, drawn=9, right=1, wrong=4, by="score")
    assert found["accuracy"] == 3 / 4
    assert [found[f"sampling/groups_{name}"] for name in ("same_reward", "too_easy", "too_hard")] == [5, 0, 0]


def test_rewards_are_compared_within_each_prompt():
    answers = [answer("a", reward=1.0), answer("a", reward=-1.0), answer("b", reward=0.5), answer("b", reward=0.5)]
    found = metrics(answers)
    assert (found["reward"], found["frac_reward_zero_std"]) == (0.25, 0.5)
    assert found["reward_std"] == pytest.approx((2**0.5 + 0) / 2)


def test_lengths_are_of_all_answers_and_of_those_that_ended():
    found = metrics([answer("a", tokens=2), answer("a", tokens=6), answer("b", tokens=8, cut_off=True)])
    lengths = {name.removeprefix("completions/"): value for name, value in found.items() if "completions/" in name}
    assert lengths["clipped_ratio"] == pytest.approx(1 / 3)
    assert [lengths[f"{kind}_length"] for kind in ("mean", "min", "max")] == [pytest.approx(16 / 3), 2, 8]
    assert [lengths[f"{kind}_terminated_length"] for kind in ("mean", "min", "max")] == [4, 2, 6]


def test_a_record_has_plain_numbers_and_our_name_for_what_means_the_same():
    given = {"actor/grad_norm": np.float64(2), "perf/x": torch.tensor(3), "training/epoch": 1, "counts": {1.0: 2}}
    found = recorded(given)
    assert found == {"grad_norm": 2.0, "perf/x": 3, "epoch": 1}
    assert all(type(value) in (int, float) for value in found.values())


def test_what_is_measured_of_episodes_is_their_mean_and_of_answers_there_is_nothing():
    played = [answer("a", measured={"turns": turns, "score": 0.5}) for turns in (2.0, 5.0)]
    found = metrics(played)
    assert (found["episodes/turns"], found["episodes/score"]) == (3.5, 0.5)
    assert not [name for name in metrics(MIXED) if name.startswith("episodes/")]
