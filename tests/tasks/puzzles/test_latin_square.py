"""Latin squares: what their verifier accepts."""

import pytest

from htpo.tasks.puzzles.latin_square import LatinSquareVerifier

PROMPT = "1___5_______5_______5____:"


@pytest.mark.parametrize(
    ("response", "correct", "failure"),
    [
        ("12345 23451 34512 45123 51234", True, None),
        ("13425 24153 31542 45231 52314", True, None),  # another one
        ("12345 23451 34512 51234 45123", False, None),  # a clue is not kept
        ("12345 24351 34512 45123 51234", False, None),  # a digit twice in a column
        ("12345 23451 34512 41523 55234", False, None),  # and in a row
        ("12345 12345 12345 12345 12345", False, None),
        ("12345 23451 34512 45123 51234 1", False, "unparsable"),  # goes on after the grid
        ("12345 23451 34512 45123 5123", False, "unparsable"),  # stops before its end
        ("12345 23451 34512 45123", False, "unparsable"),
        ("1___5 _____ __5__ _____ 5____", False, "unparsable"),
        ("12346 23461 34612 46123 61234", False, "unparsable"),
        ("12345 23451 34512 45123 51234\n", False, "unparsable"),
        ("", False, "unparsable"),
    ],
)
def test_right_when_rows_and_columns_hold_every_digit_and_the_clues_are_kept(response, correct, failure):
    (verdict,) = LatinSquareVerifier().judge([response.replace(" ", "")], [{"prompt": PROMPT}])
    assert (verdict.correct, verdict.failure) == (correct, failure)
