"""verl finds the trainer modes, and a broken installation says what is wrong."""

import os
import subprocess
import sys

import pytest

from tests.engines.verl.worker import ENVIRONMENT, start_processes

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module", autouse=True)
def _processes():
    start_processes()


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_each_mode_is_verl_s_own_trainer_with_an_objective(mode):
    from verl.trainer.ppo.v1 import get_trainer_cls

    from htpo.engines.verl.trainer import ObjectiveTrainer

    trainer = get_trainer_cls(f"htpo_{mode}")
    assert issubclass(trainer, ObjectiveTrainer)
    assert issubclass(trainer, get_trainer_cls(mode))
    assert trainer.host_mode == mode


def test_the_check_lists_the_modes():
    done = subprocess.run(
        [sys.executable, "-m", "htpo.engines.verl.plugin"],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "trainer modes: htpo_sync, htpo_colocate_async, htpo_separate_async" in done.stdout, done.stderr[-2000:]
