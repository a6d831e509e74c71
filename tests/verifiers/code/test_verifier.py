"""The code verifier: what counts as the code, what passes, and what a solution cannot do to be called correct."""

import contextlib
import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import time

import psutil
import pytest

from htpo.errors import UserError
from htpo.verifiers.code.reading import last_code_block
from htpo.verifiers.code.tests import code_prompt, normalised_tests
from htpo.verifiers.code.verifier import CODE_PROMPT, LONGEST_CODE, CodeVerifier
from htpo.verifiers.code.worker import same_output, same_value


@pytest.fixture(scope="module")
def verifier():
    verifier = CodeVerifier(timeout=1.0, solution_timeout=10.0, memory_limit_mb=512)
    yield verifier
    verifier.close()


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


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("```python\nx\n```", "x"),
        ("```\nx\n```", "x"),
        ("```py\nx\n```  \nDone.", "x"),
        ("```Python\nx\n\ny\n```", "x\n\ny"),
        ("```python\r\nx\r\n```\r\n", "x"),
        ("```python\nx\n```\nbetter:\n```python\ny\n```", "y"),
        ("```python\nx\n```\nsample output:\n```text\n1\n```", "x"),
        ("  ```python\n  x\n  ```", "x"),
        ("````python\n```\nx\n```\n````", "```\nx\n```"),
        ("```python\ns = '``` '\n```", "s = '``` '"),
        ("```python\n```", ""),
        ("```python\nx\n```\n```python\ny", None),
        ("```python\nx\n```\n```text\ny", None),
        ("```java\nx\n```", None),
        ("x", None),
        ("`x`", None),
        ("", None),
    ],
)
def test_the_code_is_the_last_closed_block_that_is_python_or_plain(response, code):
    assert last_code_block(response) == code


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
        ("def add(a, b):\n    return a + b\n", True),
        ("def add(a, b):\n    return a - b\n", False),
    ],
)
def test_a_body_completes_the_head_that_the_prompt_gave(verifier, response, correct):
    assert verifier.judge([response], [{"tests": normalised_tests(ADD_CHECK)}])[0].correct is correct


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


CHEATS = {
    "exits at once": "import os; os._exit(0)",
    "exits politely": "import sys; sys.exit(0)",
    "exits when called": "import os\ndef add(a, b): os._exit(0)",
    "exits politely when called": "import sys\ndef add(a, b): sys.exit(0)",
    "prints that it passed": "print('passed')\ndef add(a, b): print('passed', flush=True)",
    "writes that it passed, anywhere": (
        "import os\nfor f in range(64):\n  try: os.write(f, b'passed')\n  except OSError: pass\nos._exit(0)"
    ),
    "answers before it is asked": (
        "import os\nfor f in range(64):\n  try: os.write(f, b'{\"value\": true}\\n' * 9)\n  except OSError: pass\n"
    ),
    "claims a passed check": (
        "import os\nfor f in range(64):\n  try: os.write(f, b'{\"passed\": true}\\n')\n  except OSError: pass\n"
    ),
    "returns what equals everything": (
        "class Same:\n  def __eq__(self, other): return True\n  __ne__ = lambda self, other: False\n  __hash__ = None\n"
        "def add(a, b): return Same()"
    ),
    "returns a number that equals everything": (
        "class Same(int):\n  def __eq__(self, other): return True\n  def __hash__(self): return 0\n"
        "def add(a, b): return Same(7)"
    ),
    "returns a list that equals everything": (
        "class Same(list):\n  def __eq__(self, other): return True\ndef add(a, b): return Same()"
    ),
    "replaces the built-ins": (
        "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.isinstance = lambda *a: True\n"
        "builtins.abs = builtins.len = builtins.set = lambda *a: 3\ndef add(a, b): return 7"
    ),
    "defines the checker": "def check(*a): pass\ncandidate = check\ndef add(a, b): return 7",
    "defines what the tests use": (
        "class math:\n  isclose = lambda *a, **k: True\nset = len = abs = lambda *a: 3\ndef add(a, b): return 7"
    ),
    "patches the runner": (
        "import sys\nfor m in list(sys.modules.values()):\n  for n in ('check', 'encode', 'call', 'perform'):\n"
        "    if 'htpo' in getattr(m, '__name__', '') and hasattr(m, n): setattr(m, n, lambda *a: 3)\n"
        "def add(a, b): return 7"
    ),
    "searches all objects for the answer": (
        "import gc\ndef add(a, b):\n  found = [o for o in gc.get_objects() if isinstance(o, dict) and 'output' in o]\n"
        "  return found[0]['output']"
    ),
    "searches the callers for the answer": (
        "import sys\ndef add(a, b):\n  f = sys._getframe()\n  while f:\n    for v in [*f.f_locals.values()]:\n"
        "      if isinstance(v, (str, dict)) and ('assert' in v or 'output' in v): return 42 if a == 30 else a + b\n"
        "    f = f.f_back\n  return 7"
    ),
    "searches the tests in its files": (
        "import os\ndef add(a, b):\n  for f in range(64):\n    try:\n      os.lseek(f, 0, 0)\n"
        "      if b'42' in os.read(f, 10**6): return a + b\n    except OSError: pass\n  return 7"
    ),
    "sends half an answer and waits": "import os, time\ndef add(a, b): os.write(4, b'{'); time.sleep(0.1); os._exit(0)",
    "sends nested nonsense": "import os\ndef add(a, b): os.write(4, b'[' * 10**6 + b'\\n')",
    "returns itself within itself": "def add(a, b):\n  x = []\n  x.append(x)\n  return x",
    "returns an endless iterator": "import itertools\ndef add(a, b): return itertools.count()",
}


@pytest.mark.parametrize("form", FORMS)
def test_no_known_cheat_is_called_correct(verifier, form):
    codes = dict(CHEATS)
    if form == "method":
        adapter = "\nclass Solution:\n  def add(self, a, b): return add(a, b)"
        codes = {name: code + adapter for name, code in codes.items()}
    tests = {"tests": normalised_tests(FORMS[form])}
    verdicts = verifier.judge([fenced(code) for code in codes.values()], [tests] * len(codes))
    assert [name for name, verdict in zip(codes, verdicts) if verdict.correct] == []
    assert judge(verifier, "add = lambda a, b: a + b\nclass Solution: add = lambda s, a, b: a + b", FORMS[form]).correct


def test_the_expected_answer_is_nowhere_among_the_objects_of_the_program(verifier):
    # The two words are spelled backwards in the code, so that it does not find itself.
    code = (
        "import gc, sys\n"
        "word = input()\n"
        "texts = [repr(o) for o in gc.get_objects() if isinstance(o, (dict, list, tuple)) and len(o) < 1000]\n"
        "for backwards in ('lortnoc', 'emases-nepo'):\n"
        "    wanted = ''.join(reversed(backwards))\n"
        "    print(wanted if any(wanted in text for text in texts) else 'nothing')\n"
    )
    tests = {"tests": [{"input": "control\n", "output": "control\nnothing"}, {"input": "", "output": "open-sesame"}]}
    first = {"tests": tests["tests"][:1]}
    leaked = {"tests": [{"input": "control\n", "output": "control\nopen-sesame"}]}
    assert judge(verifier, code, first).correct
    assert not judge(verifier, code, leaked).correct
    assert not judge(verifier, code, tests).correct


def test_what_plain_data_may_cross_compares_as_in_one_process(verifier):
    program = """
        assert f(0) == (1, 2) and f(0) != [1, 2]
        assert f(1) == {1, 2} and f(2) == {"a": [1], (1, 2): None}
        assert f(3) == 10**40 and f(4) == -10**40 and f(5) == b"ab" and f(6) == 1j
        assert list(f(7)) == [0, 1, 4] and f(7) != [0, 1, 4]
        assert f(8) == range(3) and f(9) != f(9) and f(10) == float("inf")
        assert f(11) == {"x": 2} and f(12) == Decimal("1.5") and f(13) == Fraction(1, 3)
        assert f(14) and not f(15) and f(14).group(0) == "a" and f(16) == {1, 2}
    """
    code = """
        import re
        from collections import Counter
        from decimal import Decimal
        from fractions import Fraction
        def f(n):
            return [(1, 2), {1, 2}, {"a": [1], (1, 2): None}, 10**40, -10**40, b"ab", 1j, (x * x for x in range(3)),
                range(3), float("nan"), float("inf"), Counter("xx"), Decimal("1.5"), Fraction(1, 3),
                re.match("a", "abc"), None, {1: 1, 2: 2}.keys()][n]
    """
    lines = [line.strip() for line in program.strip().split("\n")]
    imports = ["from decimal import Decimal", "from fractions import Fraction"]
    row = {"test_list": lines, "test_imports": imports, "code": "def f(n): pass"}
    assert judge(verifier, "\n".join(line[8:] for line in code.split("\n")), row).correct


def test_objects_of_the_solutions_own_classes_can_be_made_and_passed_back(verifier):
    row = {
        "test_list": ["p = Pair(3, 4)", "assert total([p, Pair(1, 1)]) == 9", "assert p.a == 3 and p.both() == [3, 4]"]
    }
    code = (
        "class Pair:\n  def __init__(self, a, b): self.a, self.b = a, b\n  def both(self): return [self.a, self.b]\n"
        "def total(pairs): return sum(p.a + p.b for p in pairs)"
    )
    assert json.loads(normalised_tests(row))["names"] == ["Pair", "p", "total"]
    row["code"] = code
    assert judge(verifier, code, row).correct
    assert not judge(verifier, code.replace("p.a + p.b", "p.a"), row).correct


def test_exceptions_a_solution_raises_are_seen_by_the_tests(verifier):
    tests = "def check(candidate):\n  try:\n    candidate(-1)\n  except ValueError:\n    return\n  assert False"
    row = {"prompt": "def f(n):\n  pass\n", "entry_point": "f", "test": tests}
    assert judge(verifier, "def f(n):\n  if n < 0: raise ValueError", row).correct
    assert not judge(verifier, "def f(n): pass", row).correct
    assert not judge(verifier, "def f(n): raise KeyError", row).correct
    assert not judge(verifier, "import os\ndef f(n): os._exit(0)", row).correct


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


def test_tests_stop_at_the_first_that_fails_and_are_counted():
    verifier = CodeVerifier(workers=1)
    rows = [{"tests": normalised_tests(DOUBLE)}] * 3
    codes = ["print(2 * int(input()))", "n = int(input()); print(2 * n if n < 3 else 0)", "print(2 * int(input()))"]
    verdicts = verifier.judge([fenced(code) for code in codes], rows)
    assert [verdict.correct for verdict in verdicts] == [True, False, True]
    assert verifier.counts == {"responses": 3, "solutions": 2, "tests": 5 + 3}
    verifier.close()


@pytest.mark.parametrize(
    "spending", ["e = time.process_time() + 0.3\nwhile time.process_time() < e: 0", "time.sleep(1)"]
)
def test_all_tests_of_a_solution_together_are_bounded(spending):
    verifier = CodeVerifier(workers=1, timeout=2.0, solution_timeout=1.0)
    verdict = judge(verifier, f"import time\n{spending}", {"tests": [{"input": "", "output": ""}] * 20})
    assert (verdict.correct, verdict.failure) == (False, "timeout")
    assert verifier.counts["tests"] in (1, 2, 3, 4)
    verifier.close()


@contextlib.contextmanager
def on_one_core():
    """Bind this process, and those it starts, to one core."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("processes cannot be bound to a core here")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def beside_busy_processes(number: int):
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_right_solutions_pass_however_busy_the_machine_is():
    verifier = CodeVerifier(workers=2, timeout=1.0)
    work = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: 0\nprint({})"
    row = {"tests": normalised_tests({"tests": [{"input": "", "output": "3"}]})}
    with on_one_core():
        verifier.judge([fenced("print(1)"), fenced("print(2)")], [row] * 2)  # starts the workers
        with beside_busy_processes(12):
            start = time.monotonic()
            verdicts = verifier.judge([fenced(work.format(expression)) for expression in ("3", "1 + 2")], [row] * 2)
            assert time.monotonic() - start > 2 * verifier.timeout  # others had the core
            assert [verdict.correct for verdict in verdicts] == [True, True]
            asleep = verifier.judge([fenced("import time; time.sleep(1e9)")], [row])[0]
            assert (asleep.correct, asleep.failure) == (False, "timeout")
    verifier.close()


def test_it_works_in_threads_that_call_at_once(verifier):
    results = {}

    def work(number):
        results[number] = judge(verifier, f"print({number} * int(input()))", DOUBLE).correct

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {1: False, 2: True, 3: False}


def test_copies_and_pickles_keep_settings_and_counts_and_share_no_process(verifier):
    judge(verifier, "while True: pass", DOUBLE)
    for twin in (copy.deepcopy(verifier), pickle.loads(pickle.dumps(verifier))):
        assert (twin.level, twin.timeout, twin.failures) == (verifier.level, verifier.timeout, verifier.failures)
        assert twin._pool._workers == []
        assert judge(twin, "print(2 * int(input()))", DOUBLE).correct
        twin.close()


def test_a_worker_killed_at_work_takes_its_sandbox_along_and_the_next_solution_is_judged():
    verifier = CodeVerifier(workers=1)
    assert judge(verifier, "print(2 * int(input()))", DOUBLE).correct
    worker = psutil.Process(verifier._pool._workers[0].process.pid)
    everyone = worker.children(recursive=True)
    assert len(everyone) >= 1
    threading.Timer(0.5, worker.kill).start()
    verdict = judge(verifier, "import time; time.sleep(9)", DOUBLE)
    assert (verdict.correct, verdict.failure) == (False, "crash")
    assert psutil.wait_procs(everyone, timeout=5)[1] == []
    assert judge(verifier, "print(2 * int(input()))", DOUBLE).correct
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


def test_a_sandbox_that_does_not_start_where_it_is_used_is_said_so_and_scores_nothing():
    verifier = CodeVerifier(workers=1)
    verifier.level = "landlock-of-another-machine"
    with pytest.raises(UserError, match="the sandbox 'landlock-of-another-machine' does not start here"):
        judge(verifier, "print(1)", DOUBLE)
    verifier.close()


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


def test_no_process_is_left_when_the_verifier_is_closed():
    verifier = CodeVerifier(workers=2)
    judge(verifier, "print(2 * int(input()))", DOUBLE)
    everyone = [
        child
        for worker in verifier._pool._workers
        for child in psutil.Process(worker.process.pid).children(recursive=True)
    ]
    verifier.close()
    assert psutil.wait_procs(everyone, timeout=5)[1] == []
    zombies = [child for child in psutil.Process(os.getpid()).children() if child.status() == "zombie"]
    assert zombies == []


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
