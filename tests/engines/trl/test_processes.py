"""Two processes over gloo make the update that one makes."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow.compute as pc
import pytest
import torch

from htpo.engines import launch
from htpo.runs import RunDirectory
from tests.engines.tiny import evaluated, step_once
from tests.engines.trl.kept_rollouts import train_and_keep

ROOT = Path(__file__).parents[3]
DEFAULTS = {"per_device_train_batch_size": 64, "prompts_per_generation": 16}


def torchrun(processes: int, *command: str, timeout: float = 240) -> subprocess.CompletedProcess:
    """Run a Python program in several processes on this machine; at a timeout none of them is left."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TRL_EXPERIMENTAL_SILENCE": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return run([*launcher, *command], timeout, env=environment, cwd=ROOT)


def run(command: list[str], timeout: float, **how) -> subprocess.CompletedProcess:
    """Run a command to its end; at a timeout all that it has started is ended with it, whatever its sessions."""
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as started:
        try:
            texts = started.communicate(timeout=timeout)
        except BaseException:
            for process in [*psutil.Process(started.pid).children(recursive=True), started]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            raise
    return subprocess.CompletedProcess(command, started.returncode, *texts)


def mixture(axis: str, detach: str) -> dict:
    axes = ["difficulty", "correctness", {"entropy": {"scope": axis}}]
    options = {"axes": axes, "entropy_scope": detach, "detach_lowest": 0.3, "detach_highest": 0.3}
    return {"objective_options": options, "per_device_train_batch_size": 8}


UPDATES = {
    "response": {"objective": "htpo"},
    "batch": {"objective_options": {"entropy_scope": "batch"}, "per_device_train_batch_size": 8},
    "axis by batch, detached by response": mixture("batch", "response"),
    "axis by response, detached by batch": mixture("response", "batch"),
    "by the sampling policy, two updates": {
        "entropy_of": "old",
        "num_iterations": 2,
        "max_steps": 2,
        **mixture("batch", "batch"),
    },
    "entropy_mask": {"objective": "entropy_mask", "per_device_train_batch_size": 8},
    "screening": {"dynamic_sampling": True, "screening_samples": 2, "max_generation_rounds": 1},
    "clip_cov": {
        "objective": "clip_cov",
        "objective_options": {"share": 0.1, "low": 0.01},
        "per_device_train_batch_size": 8,
    },
}


@pytest.fixture(scope="module")
def two_processes(tiny_model, tmp_path_factory) -> Path:
    """Folder of what two processes make of each of `UPDATES` and an evaluation after it, and of what they keep."""
    folder = tmp_path_factory.mktemp("processes")
    options = {name: DEFAULTS | {"per_device_eval_batch_size": 8} | given for name, given in UPDATES.items()}
    done = torchrun(2, "tests/engines/trl/step_in_processes.py", tiny_model, str(folder), json.dumps(options))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", UPDATES)
def test_two_processes_make_the_same_update_as_one(tiny_model, tmp_path, two_processes, name):
    two = torch.load(two_processes / "steps.pt", weights_only=True)[name]
    assert two["processes"] == 2
    host, alone = step_once(tiny_model, tmp_path, per_device_eval_batch_size=16, **DEFAULTS | UPDATES[name])
    torch.testing.assert_close(alone, two["parameters"], rtol=1e-4, atol=2e-5)
    one_log = host.state.log_history[0] | evaluated(host)
    by_group = ["group/G1/token_share", "group/G2/weight_share"]
    for key in ("loss", "entropy", "accuracy", "reward", *by_group, "eval_loss", "eval_group/G2/token_share"):
        assert two["log"][key] == pytest.approx(one_log[key], abs=1e-5), key


def test_two_processes_keep_what_one_keeps(tiny_model, tmp_path, two_processes):
    two, one = (
        RunDirectory(two_processes / "kept").read_rollouts(),
        train_and_keep(tiny_model, tmp_path).read_rollouts(),
    )
    what = ["step", "prompt_id", "response", "gold", "answer", "failure", "correct", "group_accuracy"]

    def said(table):
        rows = table.filter(pc.equal(table["step"], 1)).select(what).to_pylist()  # the second has other weights
        return sorted(rows, key=str)

    assert said(two) == said(one)
    assert two["prompt_id"].to_pylist()[:32:4] == one["prompt_id"].to_pylist()[:32:4]


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    code = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'started').touch(); time.sleep(600)"
    endless = [sys.executable, "-S", "-c", code, str(tmp_path)]
    with pytest.raises(subprocess.TimeoutExpired):
        run(["bash", "-c", 'setsid "$@" & wait', "of a session of its own", *endless], timeout=5)
    assert (tmp_path / "started").exists()
    assert [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == endless] == []


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
