"""How many worker processes a pool has, and how long a request may take on a machine that others use."""

import os
import subprocess
import sys
import time

import pytest

from htpo.verifiers.code.verifier import CodeVerifier
from htpo.verifiers.math.verifier import MathVerifier
from htpo.workers import pool as worker_pool
from htpo.workers.pool import WorkerPool, usable_cores

ALONE = {}


@pytest.mark.parametrize(
    ("own", "launchers", "environment", "share"),
    [
        (64, 64, ALONE, 64),
        (64, 64, {"LOCAL_WORLD_SIZE": "1"}, 64),
        (64, 64, {"LOCAL_WORLD_SIZE": "8"}, 8),
        (64, 64, {"LOCAL_WORLD_SIZE": "8", "WORLD_SIZE": "32"}, 8),  # four machines
        (64, 64, {"WORLD_SIZE": "4"}, 16),
        (8, 64, {"LOCAL_WORLD_SIZE": "8"}, 8),  # each bound to cores of its own
        (32, 64, {"LOCAL_WORLD_SIZE": "8"}, 8),  # four bound to each half
        (8, 8, {"LOCAL_WORLD_SIZE": "8"}, 1),  # all together bound to eight cores
        (2, 2, {"LOCAL_WORLD_SIZE": "8"}, 1),
        (3, 3, {"LOCAL_WORLD_SIZE": "2"}, 1),
        (4, 4, {"LOCAL_WORLD_SIZE": ""}, 4),
    ],
)
def test_processes_of_one_training_divide_the_cores(monkeypatch, own, launchers, environment, share):
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cores = {0: set(range(own)), os.getppid(): set(range(launchers))}
    monkeypatch.setattr(worker_pool.os, "sched_getaffinity", cores.__getitem__, raising=False)
    assert usable_cores() == share
    assert CodeVerifier()._pool.size == share
    assert MathVerifier()._pool.size == min(share, 8)


PROGRAM = """
import time
from htpo.workers.program import serve

def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return "done"

serve({"compute": compute, "sleep": lambda seconds: time.sleep(seconds) or "done"}, warm_up=lambda: None)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    (tmp_path / "patient_worker.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "patient_worker"


def test_a_request_is_bounded_by_what_it_computes_not_by_what_others_do(program):
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * usable_cores())]
    pool = WorkerPool(program, 1, timeout=1.0, memory_limit_mb=512, patience=120.0)
    try:
        begun = time.monotonic()
        assert pool.run([["compute", 0.7]])[0].value == "done"
        assert time.monotonic() - begun > 1.0  # more than its time by the clock on the wall
        assert pool.run([["compute", 60]])[0].failure == "timeout"
    finally:
        pool.close()
        for burner in burners:
            burner.kill()
            burner.wait()


def test_a_request_that_only_waits_ends_with_the_patience(program):
    pool = WorkerPool(program, 1, timeout=0.2, memory_limit_mb=512, patience=1.0)
    begun = time.monotonic()
    assert pool.run([["sleep", 60]])[0].failure == "timeout"
    assert pool.run([["compute", 0.05]])[0].value == "done"
    assert time.monotonic() - begun < 30
    pool.close()
