"""The worker program behind the code verifier: one solution a request, its tests run in a sandbox and compared here.

Started by `WorkerPool`; `htpo.workers.program` tells the protocol.
This process is not confined and runs no code of a solution or of a data set: the sandbox's fork server is a program of
its own, and what arrives from there is text and plain data.
"""

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from htpo.verifiers.code.comparison import same_output, same_value
from htpo.verifiers.code.sandbox import privileges, roles
from htpo.verifiers.code.sandbox.cells import Exit, Sandbox, SandboxUnavailable, Work
from htpo.verifiers.code.sandbox.zygote import LARGEST_FILE, WALL_FACTOR
from htpo.verifiers.verdict import UNSCORED
from htpo.workers.program import serve

CALL_TOLERANCE = 1e-5  # LeetCode's, whose expected values are rounded to five digits

CHECKERS_FILES = """
import builtins, io, json, sys
_files = json.load(sys.stdin)
_open = builtins.open
def _open_shown(file, mode="r", *arguments, **keywords):
    if file not in _files:
        return _open(file, mode, *arguments, **keywords)
    return io.BytesIO(_files[file].encode()) if "b" in mode else io.StringIO(_files[file])
builtins.open = io.open = _open_shown
sys.argv = ["checker.py", "input", "expected", "output"]
"""
"""What runs before a checker: the files that its arguments name are in memory."""

_sandboxes: dict[str, Sandbox] = {}


def judge(
    level: str,
    memory_mb: int,
    test_seconds: float,
    total_seconds: float,
    tolerance: float | None,
    code: str,
    tests_text: str,
) -> dict:
    """Run the tests of one solution in turn, up to the first that fails.

    Args:
        tolerance: of numbers with a decimal point; None leaves it to the kind of tests.

    Returns:
        `{"correct": bool, "failure": str or None, "tests": how many ran}`, or `{"unavailable": why}`.
    """
    tests = json.loads(tests_text)
    remaining, deadline = total_seconds, time.monotonic() + WALL_FACTOR * total_seconds
    ran = 0
    try:
        for test in TEST_WORKS[tests["kind"]](tests, code, tolerance):
            if remaining <= 0 or time.monotonic() > deadline:
                return {"correct": False, "failure": "timeout", "tests": ran}
            works, passes = test
            ends = _sandbox(level, memory_mb).run(*works, seconds=min(test_seconds, remaining))
            remaining -= max(end.spent for end in ends)
            ran += 1
            try:
                passed = passes(ends)
            except CheckerFailed:
                return {"correct": False, "failure": UNSCORED, "tests": ran}
            if not passed:
                return {"correct": False, "failure": failure_of(ends), "tests": ran}
    except SandboxUnavailable as error:
        broken = _sandboxes.pop(level, None)
        if broken is None:
            return {"unavailable": str(error)}
        return {"correct": False, "failure": "crash", "tests": ran}
    return {"correct": True, "failure": None, "tests": ran}


def failure_of(ends: Iterable[Exit]) -> str | None:
    """What the failed test's processes died of; None when they ended by themselves, just not right."""
    failures = {end.failure for end in ends} | {"unparsable" for end in ends if end.status == roles.SYNTAX}
    return next((kind for kind in ("timeout", "unparsable", "crash") if kind in failures), None)


def stdin_works(tests: dict[str, Any], code: str, tolerance: float | None):
    """A program a test; its output is compared here, or given to the checker, in a process after the solution's."""
    checker = tests.get("checker")
    for test in tests["tests"]:
        work = Work("run", {"preamble": "", "code": code}, test["input"].encode("utf-8", "surrogatepass"))

        written: list[bytes] = []

        def passes(ends: list[Exit], expected: str = test["output"], written: list[bytes] = written) -> bool:
            (end,) = ends
            written.append(end.result)
            ended = end.status == 0 and len(end.result) < LARGEST_FILE
            return ended and (checker is not None or same_output(end.result, expected, tolerance))

        yield [work], passes
        if checker is not None:
            yield [checking(checker, test, written[0])], says_right


class CheckerFailed(Exception):
    """A checker ended with an error, took too long, or printed no number: nothing is known of the output."""


def checking(checker: str, test: dict[str, Any], written: bytes) -> Work:
    """The run of a checker on what a program wrote; the sandbox has no files, so it is shown three of them."""
    files = {"input": test["input"], "expected": test["output"], "output": written.decode("utf-8", "replace")}
    return Work("run", {"preamble": CHECKERS_FILES, "code": checker}, json.dumps(files).encode("ascii"))


def says_right(ends: list[Exit]) -> bool:
    """Whether the last line that a checker printed is 1 or more.

    Raises:
        CheckerFailed: it is no number.
    """
    (end,) = ends
    try:
        if end.status == 0:
            return float(end.result.decode("ascii").split()[-1]) >= 1
    except (ValueError, IndexError):
        pass
    raise CheckerFailed


def call_works(tests: dict[str, Any], code: str, tolerance: float | None):
    """A call a test; its result is compared here."""
    for test in tests["tests"]:
        told = {
            "preamble": tests.get("preamble", ""),
            "code": code,
            "entry": tests["entry"],
            "arguments": test["arguments"],
        }

        def passes(ends: list[Exit], test: dict[str, Any] = test) -> bool:
            (end,) = ends
            expected = [test[key] for key in ("output", "or_output") if key in test]
            within = CALL_TOLERANCE if tolerance is None else tolerance
            return end.status == 0 and any(same_value(end.result, value, within) for value in expected)

        yield [Work("call", told)], passes


def check_works(tests: dict[str, Any], code: str, tolerance: float | None):
    """One test: a process that asserts, beside one that holds the solution."""
    told = {"preamble": tests.get("preamble", ""), "code": code, "stubs": tests.get("stubs", [])}
    checker = Work("check", {name: tests[name] for name in ("names", "modules", "setup", "program")})
    yield [checker, Work("serve", told)], lambda ends: ends[0].status == 0 and ends[0].result == b"passed"


def _sandbox(level: str, memory_mb: int) -> Sandbox:
    if level not in _sandboxes:
        _sandboxes[level] = Sandbox(level, memory_mb)
    return _sandboxes[level]


TEST_WORKS = {"stdin": stdin_works, "call": call_works, "check": check_works}


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)  # tests of data sets may hold longer ones
    if sys.platform == "linux":
        privileges.become_opaque()  # what is expected is in its memory, what is written in its open files
    serve({"judge": judge}, warm_up=lambda: None)
    for sandbox in _sandboxes.values():
        sandbox.close()
