"""What a program prints and what a function returns, compared with what is expected."""

import pytest

from htpo.verifiers.code.comparison import same_output, same_value


@pytest.mark.parametrize(
    ("written", "expected", "same"),
    [
        ("1 2\n3\n", "1 2\n3", True),
        ("\n1 2  \n 3\n\n", "1 2\n3\n", True),
        ("1 2 3", "1 2\n3", False),
        ("1.0", "1", True),
        ("1e3", "1000", True),
        ("0.30000000000000004", "0.3", False),
        ("1  2", "1 2", True),
        ("a  b", "a b", False),
        ("Yes", "yes", False),
        ("nan", "nan", True),
        ("nan 1", "nan  1", False),
        ("", "", True),
        ("", "0", False),
        ("1e999999999", "1e-999999999", False),
        ("sNaN", "1", False),
        ("\ufffd", "x", False),
    ],
)
def test_outputs_are_compared_by_line_then_by_number(written, expected, same):
    assert same_output(written.encode(), expected) is same


@pytest.mark.parametrize(
    ("result", "expected", "same"),
    [
        ('{"tuple": [1, {"tuple": [2.0]}]}', [1, [2]], True),
        ('{"int": "0x10000000000000000"}', 2**64, True),
        ('{"dict": [["a", 1], ["b", [2]]]}', {"a": 1, "b": [2]}, True),
        ('{"dict": [["a", 1], ["a", 1]]}', {"a": 1, "b": 1}, False),
        ('{"dict": [[1, 1]]}', {"1": 1}, False),
        ('{"set": [1]}', [1], False),
        ('{"iterator": [1]}', [1], False),
        ('{"dict": 3}', {"a": 1}, False),
        ('{"int": "zz"}', 1, False),
        ("null", None, True),
        ("NaN", 1, False),
        ("[" * 100_000, [], False),
        ("9" * 5000, 9, False),
        ("", None, False),
        ("{}", None, False),
    ],
)
def test_results_of_calls_are_compared_with_json_and_hostile_ones_are_just_wrong(result, expected, same):
    assert same_value(result.encode(), expected) is same
