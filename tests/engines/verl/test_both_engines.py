"""The same batch through TRL's trainer and verl's worker gives the same loss and gradient."""

from dataclasses import replace

import pytest
import torch

from htpo.engines.trl.sampling_entropy import OLD_ENTROPY
from tests.engines.tiny import config, trainer
from tests.engines.trl.test_loss import gradient, log_prob_and_entropy, one_micro_batch
from tests.engines.verl.worker import (
    MODES,
    Rollouts,
    fields_of,
    loss_of,
    start_worker,
    train_once,
    verl_batch,
)
from tests.objectives.oracle import Response

pytestmark = pytest.mark.verl


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


OBJECTIVES = {name: {"objective": name} for name in MODES} | {
    "htpo by batch": {"objective": "htpo", "objective_options": {"entropy_scope": "batch", "detach_lowest": 0.3}}
}
OLD = ["htpo", "htpo by batch", "entropy_mask"]  # those whose groups depend on entropies


def compared(host, worker, inputs, rollouts, entropy_of):
    """The loss and gradient of the same batch through TRL's trainer and verl's worker."""
    host.current_gradient_accumulation_steps = 1
    loss = host._compute_loss(host.model, inputs)
    theirs = gradient(host, loss)
    scale = host.max_completion_length if host.objective.name == "dr_grpo" else None
    data = verl_batch(rollouts, "dynamic", **fields_of(host.objective, rollouts))
    ours, metrics = train_once(worker, loss_of(host.objective, entropy_of, loss_scale_factor=scale), data)
    assert metrics["loss"][0] == pytest.approx(loss.item(), abs=1e-5)
    assert theirs.norm() > 0.1
    assert (ours - theirs).norm() / theirs.norm() < 1e-4
    return theirs


@pytest.mark.parametrize("name", MODES)
def test_loss_and_gradient_are_the_same_in_both(name, worker, tiny_model, tmp_path):
    options = OBJECTIVES[name] | {"updates_per_generation": 1, "per_device_train_batch_size": 32}
    host = trainer(tiny_model, config(tmp_path, **options))
    inputs = one_micro_batch(host)
    # Thresholds over the batch come from the stored entropy, which is that of the policy before its first update.
    entropy_of = "old" if name == "entropy_mask" else "current"
    compared(host, worker, inputs, rollouts_of(host, inputs), entropy_of)


@pytest.mark.parametrize("name", OLD)
def test_by_the_sampling_policy_s_entropy_they_are_the_same_too(name, worker, tiny_model, tmp_path):
    """The batch is scored, and then another policy has sampled it: its entropies are far from the current ones."""
    options = OBJECTIVES[name] | {"num_iterations": 2, "updates_per_generation": 1, "per_device_train_batch_size": 32}
    by_old, by_current = (
        trainer(tiny_model, config(tmp_path, entropy_of=entropy_of, **options)) for entropy_of in ("old", "current")
    )
    inputs = one_micro_batch(by_old)
    generator = torch.Generator().manual_seed(5)
    inputs[OLD_ENTROPY] = torch.rand(inputs[OLD_ENTROPY].shape, generator=generator) * 3
    by_old._buffered_inputs = [inputs]
    by_old._settle_batch_cuts()
    rollouts = rollouts_of(by_old, inputs)
    sampled = [
        replace(known, entropy=row[inside].tolist())
        for known, row, inside in zip(rollouts.known, inputs[OLD_ENTROPY], inputs["completion_mask"].bool())
    ]
    theirs = compared(by_old, worker, inputs, replace(rollouts, known=sampled), "old")

    inputs = {key: value for key, value in inputs.items() if key != OLD_ENTROPY}
    by_current.current_gradient_accumulation_steps = 1
    by_current.model.train()
    by_current._buffered_inputs = [inputs]
    other = gradient(by_current, by_current._compute_loss(by_current.model, inputs))
    assert (other - theirs).norm() / theirs.norm() > 0.01
