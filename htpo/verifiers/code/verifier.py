"""Judging programs by running tests on them, in a sandbox that neither the program nor the tests can leave."""

import json
import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from htpo.errors import UserError
from htpo.verifiers.code.reading import body_continuing_prompt, is_body, last_code_block, unfenced_functions
from htpo.verifiers.code.sandbox.cells import GRACE_SECONDS, LEVELS, STARTUP_SECONDS, choose_level
from htpo.verifiers.code.sandbox.zygote import WALL_FACTOR
from htpo.verifiers.reasoning_text import answer_part
from htpo.verifiers.verdict import Verdict
from htpo.workers.pool import Reply, WorkerPool, usable_cores

CODE_PROMPT = (
    "{prompt}\n\nReason first if it helps, then write the complete solution in Python, with its imports and only the "
    "standard library. Put it in one code block at the end of your answer: a line ```python, the code, a line ```."
)
LONGEST_CODE = 200_000  # characters
CHECKS = '{"kind": "check"'  # how tests begin that may complete a function's head
WORKER_MEMORY_MB = 4096  # of a worker itself, which holds the tests and what was printed


class CodeVerifier:
    """Judges the last Python block of a response by tests (`code_reading.last_code_block`); for a prompt that is
    the head of a function, also the body that completes it. Correct is a solution that passes all of them.

    The code runs in processes of a sandbox, one for each test, in worker processes that start at the first need. Tests
    of one solution run in turn and stop at the first that fails; solutions run beside each other. Works in any thread
    and touches no signal. A copy or a pickle carries settings and counts, and starts processes of its own.

    Args:
        sandbox: a level of isolation by name; None takes the strongest that works here, and never "none".
        workers: number of processes; None takes one for each core of this process's share.
        timeout: seconds of processor time one test may take, and seconds it may wait (asleep, say). Time in which
            other work has the cores does not count; 50 times as much wall clock ends a test all the same.
        solution_timeout: the same of all tests of one solution together.
        memory_limit_mb: address space of one process that runs a solution, in MiB.
        float_tolerance: numbers with a decimal point are equal when they differ by no more than this, times the
            expected one where that is larger than 1. None: what a program prints must be equal as decimals
            (LiveCodeBench), what a function returns within 1e-5 (LeetCode, whose expected values are rounded so).
        tests_column: the column of the rows that holds the tests, as `normalised_tests` writes them.

    Attributes:
        level: the level of isolation in force; `description` says what it does and what it leaves open.
        failures: responses since construction that were not judged, by kind: `unparsable` (no code block, one over
            200 000 characters, or no Python), `timeout`, `crash` (killed, or out of memory).
        counts: since construction, `responses`, `solutions` that were run (distinct ones of a call) and `tests` run.

    Raises:
        UserError: for a setting that cannot be used, and when no sandbox works here.
    """

    def __init__(
        self,
        sandbox: str | None = None,
        workers: int | None = None,
        timeout: float = 6.0,
        solution_timeout: float = 60.0,
        memory_limit_mb: int = 1024,
        tests_column: str = "tests",
        float_tolerance: float | None = None,
    ):
        workers = usable_cores() if workers is None else workers
        positive = {"workers": workers, "timeout": timeout, "solution_timeout": solution_timeout}
        for name, value in {**positive, "memory_limit_mb": memory_limit_mb}.items():
            if not 0 < value < math.inf:
                raise UserError(f"{name}={value} of the code verifier must be a positive number")
        if float_tolerance is not None and not 0 <= float_tolerance < 1:
            raise UserError(f"float_tolerance={float_tolerance} of the code verifier must be from 0 up to 1")
        self.level, self.float_tolerance = choose_level(sandbox), float_tolerance
        self.tests_column, self.timeout, self.solution_timeout = tests_column, timeout, solution_timeout
        self.failures: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        patience = 2 * WALL_FACTOR * solution_timeout + STARTUP_SECONDS + 2 * GRACE_SECONDS
        self.memory_limit_mb = memory_limit_mb
        self._pool = WorkerPool("htpo.verifiers.code.worker", workers, patience, WORKER_MEMORY_MB, patience)

    @property
    def description(self) -> str:
        """One line: the level in force, what it does and what it leaves open."""
        return f"sandbox {self.level}: {LEVELS[self.level]}"

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response, in order; identical pairs of code and tests are judged once.

        Raises:
            UserError: when a row has no tests, or the sandbox does not start where this is running.
        """
        tests = [self._tests(row) for row in rows]
        codes = [self._code(*each) for each in zip(responses, rows, tests, strict=True)]
        pairs = list(dict.fromkeys((code, text) for code, text in zip(codes, tests, strict=True) if code is not None))
        settings = [self.level, self.memory_limit_mb, self.timeout, self.solution_timeout, self.float_tolerance]
        requests = [["judge", *settings, *pair] for pair in pairs]
        judged = {pair: self._verdict(pair[0], reply) for pair, reply in zip(pairs, self._pool.run(requests))}
        missing = Verdict(False, None, "unparsable")
        verdicts = [missing if code is None else judged[code, text] for code, text in zip(codes, tests)]
        self.failures.update(verdict.failure for verdict in verdicts if verdict.failure)
        self.counts.update(responses=len(responses), solutions=len(pairs))
        return verdicts

    def close(self) -> None:
        """End the worker processes and their sandboxes. Safe to call again; the next solution starts new ones."""
        self._pool.close()

    def _tests(self, row: dict[str, Any]) -> str:
        tests = row.get(self.tests_column)
        if not isinstance(tests, str) or not tests.startswith("{"):
            raise UserError(
                f"a row has no tests in column {self.tests_column!r} (it has {sorted(row)}): "
                "write there what htpo.verifiers.code.tests.normalised_tests returns"
            )
        return tests

    def _code(self, response: str, row: dict[str, Any], tests: str) -> str | None:
        answer = answer_part(response, row)
        if answer is None:
            return None
        code = last_code_block(answer)
        if code is None or is_body(code):
            told = json.loads(tests) if tests.startswith(CHECKS) else {}
            code = self._completing(answer, code, told.get("stubs", []), told.get("preamble", ""))
        return code if code is not None and code.strip() and len(code) <= LONGEST_CODE else None

    def _completing(self, answer: str, code: str | None, names: list[str], head: str) -> str | None:
        """What completes the functions whose head the prompt gave, where it gave one; else indented code moved left."""
        if code is None and names:
            code = body_continuing_prompt(answer)
            code = unfenced_functions(answer, names) if code is None else code
        if code is None or not is_body(code):
            return code
        moved = textwrap.dedent(code)
        if not names or any(line.startswith(f"def {name}(") for line in moved.split("\n") for name in names):
            return moved
        return f"{head.rstrip()}\n{code}"

    def _verdict(self, code: str, reply: Reply) -> Verdict:
        if reply.failure:
            return Verdict(False, code, reply.failure)
        if "unavailable" in reply.value:
            raise UserError(f"the sandbox {self.level!r} does not start here: {reply.value['unavailable']}")
        self.counts["tests"] += reply.value["tests"]
        return Verdict(reply.value["correct"], code, reply.value["failure"])
