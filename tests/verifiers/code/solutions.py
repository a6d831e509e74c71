"""Solutions and the tests that judge them, for the tests of the code verifier."""

import json

from htpo.verifiers.code.tests import normalised_tests


def fenced(code: str) -> str:
    return f"I think so:\n\n```python\n{code}\n```\n"


def judge(verifier, code, row):
    return verifier.judge([fenced(code)], [{"tests": normalised_tests(row)}])[0]


def read(shared_data, name):
    with open(shared_data / "code" / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


DOUBLE = {"tests": [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in range(1, 6)]}
ADD_CALLS = {
    "func_name": "add",
    "tests": [
        {"input": f"{a}\n{b}", "output": str(a + b), "testtype": "functional"} for a, b in [(1, 2), (30, 12), (-5, 5)]
    ],
}
ADD_ASSERTS = {
    "test_list": ["assert add(1, 2) == 3", "assert add(30, 12) == 42", "assert add(2, 2) != 5 and add(-5, 5) == 0"]
}
ADD_CHECK = {
    "prompt": "def add(a, b):\n    '''Return the sum.'''\n",
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(30, 12) == 42\n",
}
ADD_METHOD = {
    "tests": {
        "functional": "def check(candidate):\n    assert candidate(a=1, b=2) == 3\n"
        "    assert candidate(a=30, b=12) == 42\n\ncheck(Solution().add)"
    }
}
FORMS = {"call": ADD_CALLS, "asserts": ADD_ASSERTS, "check": ADD_CHECK, "method": ADD_METHOD}
