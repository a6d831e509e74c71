"""verl's own worker gives the gradient of the objective, however it cuts and pads the batch."""

from dataclasses import replace
from functools import cache, partial

import pytest
import torch

from htpo.engines.verl.loss import policy_loss, read_sums
from htpo.objectives import make_objective
from tests.engines.trl.test_processes import torchrun
from tests.engines.verl.worker import (
    LAYOUTS,
    LIMIT,
    MODES,
    Rollouts,
    actor_config,
    as_token_batch,
    fields_of,
    gradient_of,
    loss_of,
    make_rollouts,
    per_token,
    start_worker,
    train_once,
    verl_batch,
    with_turns,
)
from tests.objectives.oracle import Options, htpo_tokens

pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def worker_of(tiny_model):
    return cache(partial(start_worker, tiny_model))


@pytest.fixture(scope="module")
def rollouts(tiny_model):
    return make_rollouts(tiny_model)


def expected(path, objective, rollouts, weights=1.0) -> tuple[torch.Tensor, float]:
    """Gradient and value of the loss: the same tokens in float64, aggregated by the objective's own function."""
    batch = as_token_batch(rollouts)
    log_prob = batch.log_prob.clone().requires_grad_()
    value = -objective(replace(batch, log_prob=log_prob)).value * weights
    denominator = LIMIT * len(batch.mask) if objective.name == "dr_grpo" else None
    loss = objective.aggregate(value, batch.mask, denominator)
    (slope,) = torch.autograd.grad(loss, log_prob)
    slopes = [row[: len(r.mask)].tolist() for row, r in zip(slope, rollouts.known)]
    return gradient_of(path, rollouts, slopes), loss.item()


def with_other_entropies(rollouts):
    """As if the policy that sampled had been another: entropies of its own."""
    g = torch.Generator().manual_seed(1)
    known = [replace(r, entropy=(torch.rand(len(r.mask), generator=g) * 4).tolist()) for r in rollouts.known]
    return replace(rollouts, known=known)


def assert_same(gradient, reference):
    assert reference.norm() > 0.1
    difference = (gradient.double() - reference).norm() / reference.norm()
    print(f"relative difference {difference:.1e}")
    assert difference < 2e-5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [name for name in MODES if name != "entropy_mask"])
def test_gradient_and_loss_are_the_objective_s(name, layout, worker_of, rollouts, tiny_model):
    objective = make_objective(name)
    data = verl_batch(rollouts, layout, **fields_of(objective, rollouts))
    gradient, metrics = train_once(worker_of(layout), loss_of(objective), data)
    reference, loss = expected(tiny_model, objective, rollouts)
    assert_same(gradient, reference)
    assert metrics["loss"][0] == pytest.approx(loss, abs=1e-5)
    assert metrics["actor/pg_loss"][0] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "objective",
    [make_objective("htpo"), make_objective("htpo", entropy_scope="batch"), make_objective("entropy_mask")],
    ids=["htpo", "htpo by batch", "entropy_mask"],
)
def test_tokens_are_told_apart_by_the_sampling_policy_s_entropy(objective, layout, worker_of, rollouts, tiny_model):
    sampled = with_other_entropies(rollouts)
    data = verl_batch(sampled, layout, **fields_of(objective, sampled))
    gradient, _ = train_once(worker_of(layout), loss_of(objective, "old"), data)
    assert_same(gradient, expected(tiny_model, objective, sampled)[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_turns_of_episodes_reach_the_workers(layout, worker_of, rollouts, tiny_model):
    objective, played = make_objective("htpo", entropy_scope="turn"), with_turns(rollouts)
    data = verl_batch(played, layout, **fields_of(objective, played))
    gradient, _ = train_once(worker_of(layout), loss_of(objective), data)
    reference = expected(tiny_model, objective, played)[0]
    assert_same(gradient, reference)
    assert (reference - expected(tiny_model, make_objective("htpo"), played)[0]).norm() > 0.01 * reference.norm()


def test_htpo_is_the_oracle_s_token_by_token(worker_of, rollouts, tiny_model):
    tokens = htpo_tokens(rollouts.known, Options())
    count = sum(sum(r.mask) for r in rollouts.known)
    slopes = [[-token.gradient / count for token in row] for row in tokens]
    assert {token.group for row in tokens for token in row} == set(range(9))
    assert {token.detached for row in tokens for token in row} == {False, True}
    objective = make_objective("htpo")
    data = verl_batch(rollouts, "dynamic", **fields_of(objective, rollouts))
    gradient, _ = train_once(worker_of("dynamic"), loss_of(objective), data)
    assert_same(gradient, gradient_of(tiny_model, rollouts, slopes))


def test_rollout_correction_weights_tokens(worker_of, rollouts, tiny_model):
    objective = make_objective("htpo")
    weights = [
        torch.rand(len(r.mask), generator=torch.Generator().manual_seed(i)) for i, r in enumerate(rollouts.known)
    ]
    fields = fields_of(objective, rollouts) | {"rollout_is_weights": weights}
    gradient, _ = train_once(worker_of("dynamic"), loss_of(objective), verl_batch(rollouts, "dynamic", **fields))
    weighted = torch.nn.utils.rnn.pad_sequence(weights, batch_first=True).double()
    assert_same(gradient, expected(tiny_model, objective, rollouts, weighted)[0])


def test_the_kl_loss_is_verl_s_own(worker_of, rollouts):
    from verl.workers.utils.losses import ppo_loss

    objective = make_objective("htpo")
    reference = [log_prob - 0.3 for log_prob in per_token(rollouts, "log_prob")]
    fields = fields_of(objective, rollouts) | {"ref_log_prob": reference}
    kl = {"use_kl_loss": True, "kl_loss_coef": 0.5}

    def gradient(loss, **changed):
        data = verl_batch(rollouts, "dynamic", **fields | changed)
        return train_once(worker_of("dynamic"), loss, data)[0]

    without, both = gradient(loss_of(objective)), gradient(loss_of(objective, **kl))
    no_advantage = [torch.zeros(len(r.mask)) for r in rollouts.known]
    alone = gradient(partial(ppo_loss, actor_config(loss_mode="vanilla", **kl)), advantages=no_advantage)
    assert_same(both - without, alone.double())


@pytest.mark.parametrize("coefficient", [0.0, 0.1])
def test_entropy_gets_gradient_only_from_an_entropy_bonus(coefficient, rollouts):
    from verl.utils import tensordict_utils as tu

    objective = make_objective("htpo")
    data = verl_batch(rollouts, "unpadded", **fields_of(objective, rollouts))
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=None, global_batch_size=None)
    tokens = data["input_ids"].values().numel()
    log_prob, entropy = (torch.rand(tokens).requires_grad_() for _ in range(2))
    loss, _ = loss_of(objective, entropy_coeff=coefficient)({"log_probs": log_prob, "entropy": entropy}, data)
    (of_entropy,) = torch.autograd.grad(loss, entropy, allow_unused=True)
    assert (of_entropy is None) == (coefficient == 0)


@pytest.mark.parametrize("name", ["htpo", "entropy_mask"])
def test_rows_of_padding_change_nothing(name, worker_of, rollouts, tiny_model):
    objective = make_objective(name)
    padding = replace(rollouts.known[0], mask=[False], old_log_prob=[0.0], advantage=[0.0], entropy=[9.0])
    more = Rollouts([*rollouts.prompts, [1] * 27], [*rollouts.responses, [1]], [*rollouts.known, padding])
    data = verl_batch(more, "dynamic", **fields_of(objective, more))
    gradient, _ = train_once(worker_of("dynamic"), loss_of(objective, "old"), data)
    assert_same(gradient, expected(tiny_model, objective, rollouts)[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics_are_those_of_the_whole_batch(layout, worker_of, rollouts):
    objective = make_objective("htpo")
    data = verl_batch(rollouts, layout, **fields_of(objective, rollouts))
    _, metrics = train_once(worker_of(layout), loss_of(objective), data)
    found = read_sums({name: values[0] for name, values in metrics.items() if isinstance(values, list)})
    stats = objective(as_token_batch(rollouts)).stats
    assert found.keys() == stats.keys()
    for name, value in stats.items():
        assert found[name].item() == pytest.approx(value.item(), abs=1e-4, nan_ok=True), name


def test_the_loss_mode_alone_is_refused():
    with pytest.raises(RuntimeError, match="no policy loss of its own: train by trainer_mode=htpo_"):
        policy_loss(*torch.zeros(4, 1, 1))


@pytest.fixture(scope="module")
def of_two_processes(tiny_model, tmp_path_factory):
    target = str(tmp_path_factory.mktemp("processes") / "steps.pt")
    done = torchrun(2, "tests/engines/verl/step_in_processes.py", tiny_model, target, "htpo", "grpo")
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(target, weights_only=True)


@pytest.mark.parametrize("name", ["htpo", "grpo"])
def test_two_processes_make_the_same_gradient(name, rollouts, tiny_model, of_two_processes):
    step, objective = of_two_processes[name], make_objective(name)
    assert step["processes"] == 2
    assert_same(step["gradient"], expected(tiny_model, objective, rollouts)[0])
    for share, value in objective(as_token_batch(rollouts)).stats.items():
        if share != "nonfinite_tokens":
            assert step["stats"][share].item() == pytest.approx(value.item(), abs=1e-4, nan_ok=True), share
