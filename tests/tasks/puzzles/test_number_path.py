"""Number paths: what their verifier accepts."""

import pytest

from htpo.tasks.puzzles.number_path import NumberPathVerifier

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
        ("*2=18+3=٢١.", False, "unparsable"),
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
