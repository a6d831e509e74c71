"""verl's validation as pass rates on held-out problems."""

import pytest

from htpo.engines.verl.held_out import Validation

UIDS = ["x", "x", "y", "y"]
ASKED = {"x": 2, "y": 2}


def validation(uids=UIDS, prompts=("2+2=", "2+2=", "1+1=", "1+1=")) -> Validation:
    found = Validation(limit=12, threshold=0.0)
    found.texts = [(prompt, f"answer {number}") for number, prompt in enumerate(prompts)]
    found.see_rows([f"{uid}_{number}_0" for number, uid in enumerate(uids)], [3, 12, 5, 4][: len(uids)])
    return found


def test_problems_are_counted_in_the_order_of_their_prompts_whatever_verl_calls_them():
    rates = validation().pass_rates(UIDS, {"acc": [1.0, 1.0, 0.0, 1.0]}, ASKED)
    assert (rates.samples, rates.correct) == (2, (1, 2))
    again = validation(["b", "b", "a", "a"], ("1+1=", "1+1=", "2+2=", "2+2="))
    assert again.pass_rates(["b", "b", "a", "a"], {"acc": [True, False, True, True]}, {"a": 2, "b": 2}).correct == (
        1,
        2,
    )


def test_lengths_cut_answers_and_failures_are_counted():
    rates = validation().pass_rates(UIDS, {"acc": [1, 0, 0, -1], "failure": [None, "truncated", None, ""]}, ASKED)
    assert (rates.mean_length, rates.truncated) == (6.0, 0.25)
    assert (rates.correct, rates.failures) == ((0, 1), {"truncated": 1})
    assert {(one["response"], one["correct"]) for one in rates.examples} == {("answer 0", True), ("answer 1", False)}


def test_a_session_of_several_rows_is_one_answer():
    found = Validation(limit=12, threshold=0.0, texts=[("1+1=", "2")])
    found.see_rows(["x_0_0", "x_0_1"], [12, 3])
    rates = found.pass_rates(["x"], {"acc": [1]}, {"x": 1})
    assert (rates.mean_length, rates.truncated) == (15, 1)


def test_an_answer_whose_sampling_failed_is_wrong():
    rates = validation(UIDS[:3], ("1+1=", "1+1=", "2+2=")).pass_rates(UIDS[:3], {"acc": [1, 1, None]}, ASKED)
    assert (rates.samples, rates.correct) == (2, (2, 0))


@pytest.mark.parametrize(
    ("infos", "asked"),
    [
        ({"reward": [1, 1, 1, 1]}, ASKED),
        ({"acc": [1, 1, 1, 1]}, {"x": 2, "y": 4}),
        ({"acc": [1, 1, 1, 1]}, {"x": 2, "y": 2, "z": 2}),
    ],
    ids=["no acc", "asked unequally often", "a problem without any answer"],
)
def test_what_cannot_be_paired_is_not_said(infos, asked):
    assert validation().pass_rates(UIDS, infos, asked) is None


def test_of_episodes_the_tokens_of_the_policy_are_counted_and_those_that_were_given_up():
    infos = {"acc": [1, 1, 0, 1], "policy_tokens": [1, 2, 3, 4], "finished": [True, True, False, True]}
    rates = validation().pass_rates(UIDS, infos, ASKED)
    assert (rates.mean_length, rates.truncated) == (2.5, 0.25), "the second fills its row and has ended"
