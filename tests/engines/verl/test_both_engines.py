"""The same batch through TRL's trainer and verl's worker gives the same loss and gradient."""

import pytest

from tests.engines.tiny import config, trainer
from tests.engines.trl.test_loss import gradient, log_prob_and_entropy, one_micro_batch
from tests.engines.verl.worker import (
    MODES,
    Rollouts,
    fields_of,
    loss_of,
    start_processes,
    start_worker,
    train_once,
    verl_batch,
)
from tests.objectives.oracle import Response

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module", autouse=True)
def _processes():
    start_processes()


@pytest.fixture(scope="module")
def worker(tiny_model):
    return start_worker(tiny_model, "dynamic")


def rollouts_of(host, inputs) -> Rollouts:
    """TRL's inputs of the loss, row by row without padding."""
    log_prob, entropy = (x.detach() for x in log_prob_and_entropy(host, inputs))
    prompts, responses, known = [], [], []
    for row, inside in enumerate(inputs["completion_mask"].bool()):
        prompts.append(inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist())
        responses.append(inputs["completion_ids"][row][inside].tolist())
        lists = (x[row][inside].tolist() for x in (log_prob, inputs["old_per_token_logps"]))
        advantage = [inputs["advantages"][row].item()] * len(responses[-1])
        facts = bool(inputs["correct"][row]), inputs["group_accuracy"][row].item()
        known.append(
            Response(*lists, advantage, entropy[row][inside].tolist(), [True] * len(advantage), facts[0], facts[1])
        )
    return Rollouts(prompts, responses, known)


@pytest.mark.parametrize("name", MODES)
def test_loss_and_gradient_are_the_same_in_both(name, worker, tiny_model, tmp_path):
    options = {"objective": name, "updates_per_generation": 1, "per_device_train_batch_size": 32}
    host = trainer(tiny_model, config(tmp_path, **options))
    inputs = one_micro_batch(host)
    host.current_gradient_accumulation_steps = 1
    loss = host._compute_loss(host.model, inputs)
    theirs = gradient(host, loss)

    rollouts = rollouts_of(host, inputs)
    # Thresholds over the batch come from the stored entropy, which is that of the policy before its first update.
    entropy_of = "old" if name == "entropy_mask" else "current"
    scale = host.max_completion_length if name == "dr_grpo" else None
    data = verl_batch(rollouts, "dynamic", **fields_of(host.objective, rollouts))
    ours, metrics = train_once(worker, loss_of(host.objective, entropy_of, loss_scale_factor=scale), data)
    assert metrics["loss"][0] == pytest.approx(loss.item(), abs=1e-5)
    assert theirs.norm() > 0.1
    assert (ours - theirs).norm() / theirs.norm() < 1e-4
