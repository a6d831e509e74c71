"""What counts as the code, and what passes."""

import json

import pytest

from htpo.errors import UserError
from htpo.verifiers.code.tests import code_prompt, normalised_tests
from htpo.verifiers.code.verifier import CODE_PROMPT, LONGEST_CODE, CodeVerifier
from tests.verifiers.code.solutions import ADD_CHECK, DOUBLE, FORMS, fenced, judge, read


def test_what_stands_in_reasoning_is_no_answer(verifier):
    row = {"tests": normalised_tests(DOUBLE)}
    right, wrong = fenced("print(2 * int(input()))"), fenced("print(0)")
    assert verifier.judge([f"<think>{wrong}</think>{right}"], [row])[0].correct
    assert verifier.judge([f"<think>\n```python\nprint(0)\n</think>{right}"], [row])[0].correct
    for response in (f"<think>{right}", f"<think>{right}</think>", f"{right}<think>", f"<think>{right}</think>{wrong}"):
        assert not verifier.judge([response], [row])[0].correct
    inside = {**row, "sent": "Double it.\n<think>\n"}
    assert verifier.judge([right], [inside])[0].failure == "unparsable"
    assert verifier.judge([f"{wrong}</think>{right}"], [inside])[0].correct


@pytest.mark.parametrize(
    ("response", "correct"),
    [
        ("```python\n    return a + b\n```", True),
        ("```python\n    return a - b\n```", False),
        ("    c = a + b\n    return c\n", True),
        ("    return a + b\n\nprint(add(1, 2))\n", True),
        ("    return a - b\n", False),
        ("   ```python\n   def add(a, b):\n       return a + b\n   ```", True),
        ("```python\n    def add(a, b):\n        return a + b\n```", True),
        ("return a + b", False),
        ("    return a + b\n```\nIt adds.", True),
        ("def add(a, b):\n    return a + b\n", True),
        ("def add(a, b):\n    return a - b\n", False),
    ],
)
def test_a_body_completes_the_head_that_the_prompt_gave(verifier, response, correct):
    assert verifier.judge([response], [{"tests": normalised_tests(ADD_CHECK)}])[0].correct is correct


def test_all_labels_of_the_reported_kinds_are_met(verifier, shared_data):
    rows = read(shared_data, "public_reports_dev.jsonl")
    tests = [{"tests": normalised_tests(row["row"])} for row in rows]
    verdicts = verifier.judge([row["response"] for row in rows], tests)
    assert [row["kind"] for row, verdict in zip(rows, verdicts) if verdict.correct != row["label"]] == []


LONG = "7" * 6000


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("print(int(input()) % 7)", {"tests": [{"input": LONG, "output": "0"}]}),
        ("print(int(input()) + 1)", {"tests": [{"input": LONG, "output": LONG[:-1] + "8"}]}),
        (
            "def f(n): return n + 1",
            {"func_name": "f", "tests": [{"input": LONG, "output": LONG[:-1] + "8", "testtype": "functional"}]},
        ),
        ("def f(n): return n + 1", {"test_list": [f"assert f({LONG}) == {LONG[:-1]}8"]}),
    ],
    ids=["read", "printed", "called", "asserted"],
)
def test_integers_may_be_longer_than_pythons_limit(verifier, code, row):
    assert judge(verifier, code, row).correct


@pytest.mark.parametrize(
    "read",
    [
        "open('/dev/stdin').read()",
        "__import__('pathlib').Path('/dev/stdin').read_text()",
        "open('/dev/fd/0').read()",
        "(lambda os: os.read(os.open('/dev/stdin', os.O_RDONLY), 99).decode())(__import__('os'))",
    ],
)
@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_a_program_may_read_the_file_of_its_standard_input(level, read):
    verifier = CodeVerifier(sandbox=level, workers=1)
    row = {"tests": [{"input": "1 2\n", "output": "3\n"}]}
    assert judge(verifier, f"print(sum(map(int, {read}.split())))", row).correct
    verifier.close()


def test_floats_agree_within_what_was_asked_for():
    def correct(tolerance, code, row):
        verifier = CodeVerifier(workers=1, float_tolerance=tolerance)
        found = judge(verifier, code, row).correct
        verifier.close()
        return found

    printed = {"tests": [{"input": "", "output": "0.333333"}]}
    returned = {"func_name": "f", "tests": [{"input": "1", "output": "[0.3]", "testtype": "functional"}]}
    assert not correct(None, "print(1 / 3)", printed)
    assert correct(1e-6, "print(1 / 3)", printed)
    assert not correct(1e-6, "print(0.3334)", printed)
    assert correct(None, "def f(a): return [0.1 + 0.2]", returned)
    assert correct(None, "def f(a): return [0.300001]", returned)
    assert not correct(None, "def f(a): return [0.3001]", returned)
    assert not correct(0.0, "def f(a): return [0.1 + 0.2]", returned)


def test_a_response_without_code_needs_no_worker():
    verifier = CodeVerifier()
    responses = ["I do not know", "```python\nprint(1)", "```python\n  \n```", fenced("#" * (LONGEST_CODE + 1))]
    verdicts = verifier.judge(responses, [{"tests": normalised_tests(DOUBLE)}] * 4)
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(False, "unparsable")] * 4
    assert verifier.failures == {"unparsable": 4}
    assert verifier._pool._workers == []


@pytest.mark.parametrize(
    ("code", "correct", "failure"),
    [
        ("print(2 * int(input()))", True, None),
        ("print(f'{2 * int(input())}.0  ')", True, None),
        ("print(input())", False, None),
        ("n = int(input()); print(2 * n if n < 5 else 0)", False, None),
        ("print(2 * int(input())); 1 / 0", False, None),
        ("print(2 * int(input()); 1", False, "unparsable"),
        ("print('\0')", False, "unparsable"),
        ("while True: pass", False, "timeout"),
        ("x = bytearray(10**12)", False, "crash"),
        ("import ctypes; ctypes.string_at(0)", False, "crash"),
        ("import os; os._exit(0)", False, None),
        ("import os; os._exit(67)", False, "crash"),
    ],
)
def test_a_program_is_judged_by_what_it_prints(verifier, code, correct, failure):
    verdict = judge(verifier, code, DOUBLE)
    assert (verdict.correct, verdict.failure) == (correct, failure)
    assert verdict.extracted == code


@pytest.mark.parametrize("form", FORMS)
def test_a_function_is_judged_by_what_it_returns(verifier, form):
    method = form == "method"

    def verdict(body):
        code = f"def add(a, b):\n    {body}"
        return judge(verifier, f"class Solution:\n  def add(self, a, b):\n    {body}" if method else code, FORMS[form])

    assert verdict("return a + b").correct
    assert verdict("print('noise'); return a + b").correct
    for body in ("return a - b", "return str(a + b)", "return None", "pass", "raise ValueError", "return [a + b]"):
        wrong = verdict(body)
        assert (wrong.correct, wrong.failure) == (False, None), body
    assert judge(verifier, "def other(): pass", FORMS[form]).failure is None
    assert judge(verifier, "def add(a, b): return a +", FORMS[form]).failure == "unparsable"
    assert verdict("while True: pass").failure == "timeout"
    assert verdict("import ctypes; ctypes.string_at(0)").failure == "crash"


def test_an_output_that_apps_wraps_in_a_list_is_taken_with_and_without(verifier):
    row = {"tests": {"inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]], "fn_name": "add"}}
    assert judge(verifier, "def add(a, b): return a + b", row).correct
    assert judge(verifier, "def add(a, b): return [a + b]", row).correct
    assert not judge(verifier, "def add(a, b): return [[a + b]]", row).correct


def test_tests_stop_at_the_first_that_fails_and_are_counted():
    verifier = CodeVerifier(workers=1)
    rows = [{"tests": normalised_tests(DOUBLE)}] * 3
    codes = ["print(2 * int(input()))", "n = int(input()); print(2 * n if n < 3 else 0)", "print(2 * int(input()))"]
    verdicts = verifier.judge([fenced(code) for code in codes], rows)
    assert [verdict.correct for verdict in verdicts] == [True, False, True]
    assert verifier.counts == {"responses": 3, "solutions": 2, "tests": 5 + 3}
    verifier.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers=0"),
        ({"timeout": -1.0}, r"timeout=-1\.0"),
        ({"float_tolerance": 1.5}, "float_tolerance=1.5 of the code verifier must be from 0 up to 1"),
        ({"solution_timeout": 0}, "solution_timeout=0"),
        ({"memory_limit_mb": 0}, "memory_limit_mb=0"),
        ({"sandbox": "docker"}, "sandbox='docker' is no level"),
    ],
)
def test_unusable_settings_are_refused_by_name(settings, message):
    with pytest.raises(UserError, match=message):
        CodeVerifier(**settings)


def test_a_row_without_tests_is_refused_with_the_column(verifier):
    for row in ({"answer": "1"}, {"tests": None}, {"tests": [1]}):
        with pytest.raises(UserError, match="no tests in column 'tests'"):
            verifier.judge([fenced("1")], [row])


def test_the_level_in_force_is_stated(verifier):
    assert verifier.level in ("namespaces", "landlock")
    assert verifier.description.startswith(f"sandbox {verifier.level}: ")
    assert "\n" not in verifier.description


def test_the_default_prompt_asks_for_exactly_what_is_read(verifier):
    assert "{prompt}" in CODE_PROMPT
    row = {"problem": "Double the number.", **DOUBLE}
    prompt = CODE_PROMPT.replace("{prompt}", code_prompt(row, row["problem"]))
    opening, closing = "a line ```python", "a line ```."
    assert opening in prompt
    assert prompt.endswith(closing)
    answer = "\n".join([opening.split()[-1], "print(2 * int(input()))", closing.split()[-1].rstrip(".")])
    tests = {"tests": normalised_tests(row)}
    # A model that repeats the instruction is judged on the answer it gives after it.
    obedient, parrot = verifier.judge([f"{prompt}\n\n{answer}", prompt], [tests] * 2)
    assert obedient.correct
    assert (parrot.correct, parrot.failure) == (False, "unparsable")


BENCHMARKS = {  # file: the reference solution of a row, and the rows whose reference cannot pass, with the reason
    "humaneval_164.jsonl": (lambda row: row["problem"] + row["answer"], set()),
    "mbpp_399.jsonl": (lambda row: row["answer"], set()),
    "leetcode_rllm_test_200.jsonl": (lambda row: row["answer"], {"rllm-leetcode-126"}),  # needs sortedcontainers
}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_reference_solutions_pass_and_solutions_that_do_nothing_fail(shared_data, name, every):
    reference, impossible = BENCHMARKS[name]
    rows = [row for row in read(shared_data, name) if row["id"] in impossible] if every > 1 else []
    rows = list({row["id"]: row for row in read(shared_data, name)[::every] + rows}.values())
    tests = [{"tests": normalised_tests(row)} for row in rows]
    verifier = CodeVerifier(timeout=20.0)  # mbpp-123 takes 4 s
    verdicts = verifier.judge([fenced(reference(row)) for row in rows], tests)
    assert {row["id"] for row, verdict in zip(rows, verdicts) if not verdict.correct} == impossible
    lazy = []
    for row in rows:
        names = json.loads(normalised_tests(row))["names"]
        method = "class Solution:\n    def __getattr__(self, name): return lambda *a, **k: None"
        lazy.append(fenced(method if names == ["Solution"] else f"{names[0]} = lambda *a, **k: None"))
    assert not any(verdict.correct for verdict in verifier.judge(lazy, tests))
    verifier.close()


REAL = {
    ("livecodebench_v5v6_public_342.jsonl", "lcb-atcoder-abc387_b"): (
        "x = int(input())\nprint(sum(i * j for i in range(1, 10) for j in range(1, 10) if i * j != x))",
        "x = int(input())\nprint(sum(i * j for i in range(1, 10) for j in range(1, 10)))",
    ),
    ("livecodebench_v5v6_public_342.jsonl", "zigzagTraversal"): (
        "class Solution:\n    def zigzagTraversal(self, grid: List[List[int]]) -> List[int]:\n"
        "        rows = [row[::-1] if i % 2 else row for i, row in enumerate(grid)]\n"
        "        return list(chain(*rows))[::2]",
        "class Solution:\n    def zigzagTraversal(self, grid: List[List[int]]) -> List[int]:\n        return grid[0]",
    ),
    ("codeforces_rllm_test_408.jsonl", "rllm-codeforces-0"): (
        "for _ in range(int(input())):\n    print(*sorted(input().split()))",
        "for _ in range(int(input())):\n    print(input())",
    ),
}


@pytest.mark.parametrize(("name", "problem"), REAL)
def test_real_problems_of_live_code_bench_and_codeforces_tell_right_from_wrong(shared_data, verifier, name, problem):
    (row,) = [row for row in read(shared_data, name) if problem in (row["id"], row.get("func_name"))]
    right, wrong = REAL[name, problem]
    assert judge(verifier, right, row).correct
    assert not judge(verifier, wrong, row).correct
