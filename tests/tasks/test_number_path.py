"""Number paths: the verifier, and what may be trained on."""

import pytest

from htpo.errors import UserError
from htpo.tasks.number_path import NumberPathVerifier, is_held_out, number_path_task

PROMPT = "+3-5*2 09>21:"


@pytest.mark.parametrize(
    ("response", "correct", "failure"),
    [
        ("*2=18+3=21.", True, None),
        ("+3=12+3=15+3=18+3=21.", True, None),
        ("*2=18+3=22.", False, None),  # wrong arithmetic
        ("*3=27-5=22.", False, None),  # a move that is not given
        ("+3=12.", False, None),  # not the target
        ("*2=18+3=21", False, "unparsable"),  # does not stop
        ("*2=18+3=21.*", False, "unparsable"),  # goes on after the stop
        ("*2=18 +3=21.", False, "unparsable"),
        ("21.", False, "unparsable"),
        ("", False, "unparsable"),
        ("-5=04-5=-1.", False, "unparsable"),
    ],
)
def test_a_path_is_right_when_every_step_is_legal_and_it_ends_on_the_target(response, correct, failure):
    (verdict,) = NumberPathVerifier().judge([response], [{"prompt": PROMPT}])
    assert (verdict.correct, verdict.failure) == (correct, failure)


@pytest.mark.parametrize(("prompt", "response"), [("*3+9+8 25>01:", "*3=75."), ("-9-8*2 03>01:", "-9=94.")])
def test_values_may_not_leave_the_range(prompt, response):
    assert not NumberPathVerifier().judge([response], [{"prompt": prompt}])[0].correct


def test_every_given_solution_is_right_and_no_prompt_is_both_trained_on_and_held_out():
    task = number_path_task(400, 60, seed=3)
    for part in (task.train, task.held_out):
        assert all(v.correct for v in task.verifier.judge(part["solution"][:], list(part)))
    train, held_out = set(task.train["prompt"]), set(task.held_out["prompt"])
    assert (len(train), len(held_out)) == (400, 60)
    assert not any(map(is_held_out, train))
    assert all(map(is_held_out, held_out))


def test_the_seed_decides_the_puzzles():
    assert number_path_task(20, 0, 1).train["prompt"][:] == number_path_task(20, 0, 1).train["prompt"][:]
    assert number_path_task(20, 0, 1).train["prompt"][:] != number_path_task(20, 0, 2).train["prompt"][:]
    assert number_path_task(20, 0, 1).held_out is None


def test_impossible_numbers_of_prompts_are_refused():
    with pytest.raises(UserError, match="train_prompts=0"):
        number_path_task(0, 10, 0)
