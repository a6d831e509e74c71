"""How many worker processes a pool has: the cores are divided among the processes of one training."""

import os

import pytest

from htpo.tasks import worker_pool
from htpo.tasks.code_verifier import CodeVerifier
from htpo.tasks.math_verifier import MathVerifier
from htpo.tasks.worker_pool import usable_cores

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
