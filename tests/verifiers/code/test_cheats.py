"""What a solution cannot do to be called correct, and what may cross between it and its tests."""

import json

import pytest

from htpo.verifiers.code.tests import normalised_tests
from tests.verifiers.code.solutions import FORMS, fenced, judge

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
