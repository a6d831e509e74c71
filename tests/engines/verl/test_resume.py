"""A run of verl that goes on from its checkpoint is the run that was never interrupted, bit for bit.

Answers are drawn by seeds of their own, and batches sorted: verl's order of rows depends on which process was faster.
"""

import shutil
from pathlib import Path

import pytest
import torch

from tests.engines.verl.test_training import logged, train

pytestmark = [pytest.mark.verl, pytest.mark.slow]

SEEDED = {
    "trainer.save_freq": 2,
    "trainer.total_training_steps": 4,
    "trainer.v1.sampler.custom_sampler.path": "pkg://tests.engines.verl.seeded",
    "trainer.v1.sampler.custom_sampler.name": "Sorted",
}
MEASURED = ("timing", "perf/", "time")  # how long something took


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints/global_step_4/actor/model_world_size_1_rank_0.pt", weights_only=False)
    return {name: getattr(value, "_local_tensor", value) for name, value in state.items()}


@pytest.mark.timeout(1200)  # eight minutes beside ten other jobs
def test_two_steps_and_two_more_from_their_checkpoint_are_four(tmp_path):
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    for folder in (whole, rest):
        folder.mkdir()
    htpo = {"entropy_of": "old", "entropy_scope": "batch"}
    steps = logged(whole, train(whole, changed=SEEDED, **htpo))
    assert [step["training/global_step"] for step in steps] == [1, 2, 3, 4]
    shutil.copytree(whole / "checkpoints/global_step_2", rest / "checkpoints/global_step_2")
    (rest / "checkpoints/latest_checkpointed_iteration.txt").write_text("2")
    resumed = logged(rest, train(rest, changed=SEEDED, **htpo))
    assert [step["training/global_step"] for step in resumed] == [3, 4]
    for straight, again in zip(steps[2:], resumed):
        names = [name for name in straight if not any(word in name for word in MEASURED)]
        assert {name: again[name] for name in names} == {name: straight[name] for name in names}
    straight, again = weights(whole), weights(rest)
    assert [name for name in straight if not torch.equal(straight[name], again[name])] == []
