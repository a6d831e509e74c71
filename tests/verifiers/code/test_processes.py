"""Bounds, busy machines, threads, copies, and processes that die."""

import contextlib
import copy
import os
import pickle
import subprocess
import sys
import threading
import time

import psutil
import pytest

from htpo.errors import UserError
from htpo.verifiers.code.tests import normalised_tests
from htpo.verifiers.code.verifier import CodeVerifier
from tests.verifiers.code.solutions import (
    DOUBLE,
    fenced,
    judge,
)


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


def test_a_sandbox_that_does_not_start_where_it_is_used_is_said_so_and_scores_nothing():
    verifier = CodeVerifier(workers=1)
    verifier.level = "landlock-of-another-machine"
    with pytest.raises(UserError, match="the sandbox 'landlock-of-another-machine' does not start here"):
        judge(verifier, "print(1)", DOUBLE)
    verifier.close()


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
