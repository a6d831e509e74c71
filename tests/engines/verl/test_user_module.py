"""A loss with axes and rules of a user's module reaches workers, which are other processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULE = """
from dataclasses import dataclass
import torch
from htpo.objectives.axes import register_axis
from htpo.objectives.rules import register_rule

@register_axis("unlikely")
@dataclass(frozen=True)
class Unlikely:
    probability: float = 0.5
    levels = ("likely", "unlikely")

    def level(self, batch, cuts):
        return (batch.old_log_prob.exp() < self.probability).to(torch.int8)

@register_rule
def half(ratio):
    return ratio.value / 2, ratio.slope / 2
"""
DRIVER = """
import pickle, sys
from htpo.engines.objective_options import read_block
from htpo.engines.verl.loss import ObjectiveLoss
block = {"plugin": "my_objective", "axes": ["unlikely", "correctness"], "cells": {"unlikely wrong": "half"}}
objective = read_block(block).make_objective()
sys.stdout.buffer.write(pickle.dumps(ObjectiveLoss({"any": "configuration"}, objective, "old")))
"""
WORKER = """
import pickle, sys
from tests.objectives.samples import random_batch
loss = pickle.loads(sys.stdin.buffer.read())
assert (loss.config, loss.entropy_of) == ({"any": "configuration"}, "old")
print(loss.objective(random_batch(0, [9, 20, 30])).sums["tokens"].tolist())
"""


def run(code: str, *path: Path, given: bytes = b"") -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [ROOT, *path]))}
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, input=given, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_objective.py").write_text(MODULE)
    return folder


@pytest.fixture(scope="module")
def pickled(folder) -> bytes:
    done = run(DRIVER, folder)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_worker_that_has_the_module_runs_the_table(folder, pickled):
    done = run(WORKER, folder, given=pickled)
    assert done.returncode == 0, done.stderr.decode()
    counts = eval(done.stdout)
    assert len(counts) == 4
    assert all(counts)
    assert sum(counts) == 59


def test_a_worker_without_it_says_so(pickled):
    done = run(WORKER, given=pickled)
    (said,) = [line for line in done.stderr.decode().splitlines() if line.startswith("htpo.errors.UserError")]
    assert "plugin 'my_objective' cannot be imported" in said
    assert "PYTHONPATH" in said
    assert "worker on " in said
