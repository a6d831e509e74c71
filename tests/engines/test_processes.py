"""Two processes over gloo make the update that one makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from htpo.engines.trl import launch
from tests.engines.tiny import step_once

ROOT = Path(__file__).parents[2]


def torchrun(processes: int, *command: str, timeout: int = 240) -> subprocess.CompletedProcess:
    """Run a Python program in several processes on this machine."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TRL_EXPERIMENTAL_SILENCE": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return subprocess.run(
        [*launcher, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


@pytest.mark.parametrize(
    "options",
    [{"objective": "htpo"}, {"objective_options": {"entropy_scope": "batch"}, "per_device_train_batch_size": 8}],
    ids=["response-scope", "batch-scope"],
)
def test_two_processes_make_the_same_update_as_one(tiny_model, tmp_path, options):
    options = {"per_device_train_batch_size": 64, "prompts_per_generation": 16} | options
    host, alone = step_once(tiny_model, tmp_path, **options)
    done = torchrun(2, "tests/engines/step_in_processes.py", tiny_model, str(tmp_path), json.dumps(options))
    assert done.returncode == 0, done.stderr[-3000:]
    two = torch.load(tmp_path / "step.pt", weights_only=True)
    assert two["processes"] == 2
    torch.testing.assert_close(alone, two["parameters"], rtol=1e-4, atol=2e-5)
    one_log = host.state.log_history[0]
    for name in ("loss", "entropy", "accuracy", "reward", "group/G1/token_share", "group/G4/weight_share"):
        assert two["log"][name] == pytest.approx(one_log[name], abs=1e-5), name


class Parent:
    def __init__(self, command):
        self.command = command

    def cmdline(self):
        return self.command.split()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python /bin/accelerate launch --num_processes 2 --cpu train.py", True),
        ("python /bin/torchrun --nproc_per_node=4 -m htpo train", True),
        ("python /bin/accelerate launch --num_processes 1 train.py", False),
        ("bash -c htpo", False),
    ],
)
def test_a_launcher_that_silently_runs_one_process_is_noticed(monkeypatch, command, said):
    monkeypatch.setattr(launch.psutil.Process, "parents", lambda self: [Parent(command)])
    sentence = launch.silently_single(world_size=1)
    assert bool(sentence) == said
    assert launch.silently_single(world_size=2) is None
