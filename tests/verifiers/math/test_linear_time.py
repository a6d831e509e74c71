"""What the math verifier does to model output takes time in proportion to its length."""

import importlib
import pkgutil
import subprocess
import sys
import time

import pytest

import htpo.verifiers.math
from htpo.verifiers.math import formats, spelling, text, worker
from htpo.verifiers.math.reading import read
from htpo.verifiers.math.verifier import LONGEST_ANSWER, MathVerifier
from tests.verifiers.linear_time import families, patterns_of, too_slow, uses

MODULES = [
    importlib.import_module(f"htpo.verifiers.math.{module.name}")
    for module in pkgutil.iter_modules(htpo.verifiers.math.__path__)
]
WORKERS_ONLY = ("equality", "reading", "relations", "sets", "values", "sympy", "math_verify")
FORMATS = {"boxed": MathVerifier(), "answer_line": MathVerifier(answer_format="answer_line")}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_pattern_takes_linear_time(module):
    own = {name: pattern for name, pattern in patterns_of([module]).items() if is_own(module, pattern)}
    assert too_slow({f"{name}.{use}": run for name, pattern in own.items() for use, run in uses(pattern).items()}) == []


def is_own(module, pattern) -> bool:
    """Whether a pattern is not imported from a module that comes before, where it is measured already."""
    earlier = patterns_of(MODULES[: MODULES.index(module)]).values()
    return not any(pattern is other for other in earlier)


@pytest.mark.parametrize(
    "reader",
    [
        formats.last_boxed,
        formats.last_answer_line,
        formats.answer_of_gold,
        worker.whole_answer,
        spelling.as_latex,
        spelling.without_markdown,
        text.clean,
        text.squashed,
        text.enclosed,
        *FORMATS.values(),
    ],
    ids=lambda reader: getattr(reader, "__name__", getattr(reader, "answer_format", "")),
)
def test_every_reader_of_whole_responses_takes_linear_time(reader):
    run = reader if callable(reader) else lambda text: reader.extract([text], [{}])
    assert too_slow({"it": run}) == []


def test_what_is_not_linear_runs_in_a_worker_process_alone():
    code = "import sys, htpo.verifiers.math.verifier; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "htpo.verifiers.math.verifier" in imported
    assert not {name for name in imported if name.removeprefix("htpo.verifiers.math.") in WORKERS_ONLY}


def test_the_longest_answer_is_read_in_time_whatever_it_holds():
    slowest = {}
    for name, text_of in list(families())[::7]:
        start = time.process_time()
        read(text_of(LONGEST_ANSWER))
        slowest[name] = time.process_time() - start
    assert max(slowest.values()) < 2.0, max(slowest, key=slowest.get)
