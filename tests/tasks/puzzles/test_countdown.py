"""Countdown: what its verifier accepts."""

import pytest

from htpo.tasks.puzzles.countdown import CountdownVerifier, apply_operator

PROMPT = "03 05 08>43:"


@pytest.mark.parametrize(
    ("response", "correct", "failure"),
    [
        ("08*05=4040+03=43.", True, None),
        ("05*08=4003+40=43.", True, None),
        ("08*05=4040+03=44.", False, None),  # wrong arithmetic
        ("08*05=4343*01=43.", False, None),  # wrong arithmetic on the way
        ("08*05=4040-03=37.", False, None),  # not the target
        ("08*05=40.", False, None),  # a number is not used
        ("08*05=4040+03=4343+05=48.", False, None),  # a number used twice
        ("08*05=4008*05=4040+03=43.", False, None),
        ("03+03=0608*05=40.", False, None),  # a number used twice in one step
        ("38+05=43.", False, None),  # a number that is not given
        ("03/08=0005*08=40.", False, None),  # no whole number
        ("08*05=4040+03=43", False, "unparsable"),  # does not stop
        ("08*05=4040+03=43.4", False, "unparsable"),  # goes on after the stop
        ("08*05=40,40+03=43.", False, "unparsable"),
        ("8*5=4040+3=43.", False, "unparsable"),
        ("08*05=4040+03=٤٣.", False, "unparsable"),
        ("08*05=4040+03=43.\n", False, "unparsable"),
        ("43.", False, "unparsable"),
        (".", False, "unparsable"),
        ("", False, "unparsable"),
    ],
)
def test_right_when_every_number_is_used_once_every_step_is_true_and_the_target_is_left(response, correct, failure):
    (verdict,) = CountdownVerifier().judge([response], [{"prompt": PROMPT}])
    assert (verdict.correct, verdict.failure) == (correct, failure)


def test_steps_may_branch_and_a_number_given_twice_is_used_twice():
    rows = [{"prompt": "02 03 04 04>22:"}, {"prompt": "02 02 05 10>54:"}, {"prompt": "02 02 06>10:"}]
    responses = ["02*03=0604*04=1616+06=22.", "10*05=5002+02=0450+04=54.", "06+02=0808+02=10."]
    assert all(verdict.correct for verdict in CountdownVerifier().judge(responses, rows))


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [(12, "/", 4, 3), (12, "/", 5, None), (4, "/", 12, None), (5, "-", 5, None), (5, "-", 6, None), (5, "*", 12, 60),
     (9, "*", 7, None), (58, "+", 3, None), (5, "/", 0, None)],
)  # fmt: skip
def test_results_are_whole_numbers_from_1_to_60(left, operator, right, result):
    assert apply_operator(left, operator, right) == result
