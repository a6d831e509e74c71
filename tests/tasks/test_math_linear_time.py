"""What the math verifier does to model output takes time in proportion to its length."""

import importlib
import pkgutil
import subprocess
import sys
import time

import pytest

import htpo.tasks
from htpo.tasks import answer_formats, math_spelling, math_text, math_worker
from htpo.tasks.math_reading import read
from htpo.tasks.math_verifier import LONGEST_ANSWER, MathVerifier
from tests.tasks.linear_time import families, patterns_of, too_slow, uses

MODULES = [
    importlib.import_module(f"htpo.tasks.{module.name}")
    for module in pkgutil.iter_modules(htpo.tasks.__path__)
    if module.name.startswith("math_") or module.name == "answer_formats"
]
WORKERS_ONLY = ("math_equality", "math_reading", "math_relations", "math_sets", "math_values", "sympy", "math_verify")
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
        answer_formats.last_boxed,
        answer_formats.last_answer_line,
        answer_formats.answer_of_gold,
        math_worker.whole_answer,
        math_spelling.as_latex,
        math_spelling.without_markdown,
        math_text.clean,
        math_text.squashed,
        math_text.enclosed,
        *FORMATS.values(),
    ],
    ids=lambda reader: getattr(reader, "__name__", getattr(reader, "answer_format", "")),
)
def test_every_reader_of_whole_responses_takes_linear_time(reader):
    run = reader if callable(reader) else lambda text: reader.extract([text], [{}])
    assert too_slow({"it": run}) == []


def test_what_is_not_linear_runs_in_a_worker_process_alone():
    code = "import sys, htpo.tasks.math_verifier; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "htpo.tasks.math_verifier" in imported
    assert not {name for name in imported if name.rpartition("htpo.tasks.")[2] in WORKERS_ONLY}


def test_the_longest_answer_is_read_in_time_whatever_it_holds():
    slowest = {}
    for name, text_of in list(families())[::3]:
        start = time.process_time()
        read(text_of(LONGEST_ANSWER))
        slowest[name] = time.process_time() - start
    assert max(slowest.values()) < 2.0, max(slowest, key=slowest.get)
