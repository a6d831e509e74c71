"""Programs that judge an output where several are right."""

import pytest

from htpo.verifiers.code.tests import normalised_tests
from htpo.verifiers.code.verifier import CodeVerifier
from tests.verifiers.code.solutions import ADD_CALLS, judge

SUMS_TO_SEVEN = {  # any two numbers that sum to the input
    "script": "import sys\n"
    "n, wanted, printed = (open(name).read() for name in sys.argv[1:])\n"
    "parts = printed.split()\n"
    "print(int(len(parts) == 2 and all(p.lstrip('-').isdigit() for p in parts) and sum(map(int, parts)) == int(n)))\n",
    "function": "def check(input, output, expected):\n"
    "    a, b = map(int, output.split())\n"
    "    return a + b == int(input) == sum(map(int, expected.split()))\n",
}


def with_checker(checker, **columns):
    return {
        "tests": [{"input": "7\n", "output": "3 4\n"}, {"input": "9\n", "output": "4 5\n"}],
        "checker": checker,
    } | columns


@pytest.mark.parametrize("form", SUMS_TO_SEVEN)
@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_a_checker_takes_every_right_output(level, form):
    verifier = CodeVerifier(sandbox=level, workers=1)
    row = with_checker(SUMS_TO_SEVEN[form])
    for expression in ("1, n - 1", "n + 5, -5"):
        assert judge(verifier, f"n = int(input()); print({expression})", row).correct
    for expression in ("1, n - 2", "1, 6", "3, 4"):
        wrong = judge(verifier, f"n = int(input()); print({expression})", row)
        assert (wrong.correct, wrong.failure) == (False, None)
    assert judge(verifier, "print(1", row).failure == "unparsable"
    verifier.close()


def test_open_r1_s_columns_are_read(verifier):
    row = {"official_tests": with_checker("")["tests"], "generated_checker": SUMS_TO_SEVEN["script"]}
    assert judge(verifier, "n = int(input()); print(0, n)", row).correct
    assert not judge(verifier, "n = int(input()); print(0, n + 1)", row).correct


@pytest.mark.parametrize(
    "attack",
    [
        "print('1')",
        "print('0 0\\n1')",
        "import builtins, sys; builtins.int = lambda *a: 7; sys.argv = []; print('a b')",
        "import atexit; atexit.register(print, 1); print('0 0')",
        "import os; os.write(1, b'1\\n' * 9); os._exit(0)",
        "import sys; sys.stdout.write('\\x00\\ud800'.encode('utf-8', 'surrogatepass').decode('latin-1'))",
    ],
)
def test_an_output_cannot_talk_a_checker_round(verifier, attack):
    assert not judge(verifier, attack, with_checker(SUMS_TO_SEVEN["script"])).correct


@pytest.mark.parametrize("checker", ["1 / 0", "print('right')", "pass", "while True: pass", "import os; os._exit(0)"])
def test_a_checker_that_fails_gives_no_verdict(verifier, checker):
    found = judge(verifier, "n = int(input()); print(1, n - 1)", with_checker(checker))
    assert (found.correct, found.failure, found.reward) == (False, "unscored", None)


def test_a_checker_that_is_no_python_or_has_calls_to_judge_is_refused():
    with pytest.raises(ValueError, match="'checker' is not Python"):
        normalised_tests(with_checker("def check(:"))
    with pytest.raises(ValueError, match="'checker' judges what a program prints"):
        normalised_tests({**ADD_CALLS, "checker": "pass"})
