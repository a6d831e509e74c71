"""The loss that reaches the optimiser: against the objective itself, against TRL's own, and however it is cut."""

import pytest
import torch
from trl import GRPOTrainer

from htpo.engines.trl import NonFiniteError
from htpo.engines.trl.token_batch import policy_mask
from htpo.objectives import TokenBatch, fixed_length_mean, make_objective
from htpo.objectives.draws import response_seeds
from tests.engines.tiny import config, scripted_reward, scripted_rollouts, step_once, sums_dataset, trainer


def one_micro_batch(host, **changes):
    """The trainer's first micro-batch, with old log-probabilities far enough away that every branch acts."""
    rows = [row for row in sums_dataset(8) for _ in range(4)]
    host.model.train()
    inputs = dict(host._prepare_inputs(rows))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        log_prob, _ = log_prob_and_entropy(host, inputs)
    inputs["old_per_token_logps"] = log_prob + 0.5 * torch.randn(log_prob.shape, generator=generator)
    return {**inputs, **changes}


def log_prob_and_entropy(host, inputs):
    """Straight from the logits, without TRL's fused head."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    width = inputs["completion_ids"].shape[1]
    logits = host.model(input_ids=ids, attention_mask=mask).logits[:, -width - 1 : -1]
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, inputs["completion_ids"].unsqueeze(-1)).squeeze(-1)
    return chosen, -(log_probs.exp() * log_probs).sum(-1)


def gradient(host, loss):
    host.model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in host.model.parameters() if p.grad is not None]).clone()


def as_batch(host, inputs, log_prob, entropy):
    return TokenBatch(
        log_prob,
        inputs["old_per_token_logps"],
        inputs["advantages"],
        entropy.detach(),
        policy_mask(inputs),
        inputs["correct"],
        inputs["group_accuracy"],
        response_seeds(host.args.seed, host.state.global_step, inputs["row"]),
    )


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("htpo", {}),
        ("htpo", {"variant": "release"}),
        ("htpo", {"base": "gspo", "axes": ["correctness", "entropy", "position"]}),
        ("dapo", {}),
        ("grpo", {}),
        ("dr_grpo", {}),
        ("gspo", {}),
        ("sapo", {}),
        ("cispo", {}),
        ("entropy_mask", {}),
        ("clip_cov", {"low": 0.1, "high": 5.0, "share": 0.1}),
        ("kl_cov", {"share": 0.1}),
        ("bapo", {}),
        ("reinforce", {}),
        ("ppo", {"dual_clip": 1.5}),
    ],
)
def test_loss_and_gradient_are_those_of_the_objective(tiny_model, tmp_path, objective, options):
    host = trainer(
        tiny_model,
        config(
            tmp_path,
            objective=objective,
            objective_options=options,
            updates_per_generation=1,
            per_device_train_batch_size=32,
        ),
    )
    inputs = one_micro_batch(host)
    host.current_gradient_accumulation_steps = 1
    loss = host._compute_loss(host.model, inputs)
    ours = gradient(host, loss)

    log_prob, entropy = log_prob_and_entropy(host, inputs)
    batch = as_batch(host, inputs, log_prob, entropy)
    asked = make_objective(objective, **options)
    limit = {fixed_length_mean: len(batch.mask) * host.max_completion_length}.get(asked.aggregate)
    expected = asked.aggregate(-asked(batch).value, batch.mask, limit)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    torch.testing.assert_close(ours, gradient(host, expected), rtol=2e-3, atol=1e-6)
    assert ours.abs().max() > 1e-4


@pytest.mark.parametrize(
    ("objective", "loss_type", "settings"),
    [
        ("ppo", "dapo", {}),
        ("grpo", "grpo", {}),
        ("dr_grpo", "dr_grpo", {}),
        ("gspo", "grpo", {"importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4}),
        ("sapo", "sapo", {}),
        ("cispo", "cispo", {"epsilon_high": 5.0}),
    ],
)
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_a_loss_that_trl_publishes_too_is_the_same(tiny_model, tmp_path, objective, loss_type, settings, beta):
    host = trainer(
        tiny_model,
        config(
            tmp_path,
            objective=objective,
            updates_per_generation=1,
            per_device_train_batch_size=32,
            beta=beta,
            use_bias_correction_kl=objective != "gspo",  # TRL would correct the KL term by the response's ratio
            dynamic_sampling=False,
            overlong_buffer=0,
        ),
    )
    inputs = one_micro_batch(host)
    if beta:
        inputs["ref_per_token_logps"] = inputs["old_per_token_logps"] + 0.2
    host.current_gradient_accumulation_steps = 1
    ours = host._compute_loss(host.model, inputs)
    our_gradient = gradient(host, ours)
    for name, value in {"epsilon_low": 0.2, "epsilon_high": 0.2, "loss_type": loss_type, **settings}.items():
        setattr(host, name, value)
    theirs = GRPOTrainer._compute_loss(host, host.model, inputs)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    torch.testing.assert_close(our_gradient, gradient(host, theirs), rtol=1e-4, atol=1e-7)


def mixture(axis, detach):
    axes = ["difficulty", "correctness", {"entropy": {"scope": axis}}]
    return {"axes": axes, "entropy_scope": detach, "detach_lowest": 0.3, "detach_highest": 0.3}


SAMPLING_POLICY = {"entropy_of": "old", "num_iterations": 2, "max_steps": 2, "learning_rate": 1e-3}
"""Two updates of the whole batch, the second by another policy than the one that sampled it."""


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "htpo"},
        {"objective": "htpo", "objective_options": {"entropy_scope": "batch"}},
        {"objective": "grpo"},
        {"objective": "dr_grpo"},
        {"objective": "kl_cov", "objective_options": {"share": 0.1}},
        {"objective": "clip_cov", "objective_options": {"share": 0.1, "low": 0.01}},
        {"objective": "dapo", "overlong_buffer": 4},
        {"objective_options": mixture(axis="batch", detach="response")},
        {"objective_options": mixture(axis="response", detach="batch")},
        {**SAMPLING_POLICY, "objective_options": mixture(axis="batch", detach="batch")},
    ],
    ids=[
        "htpo",
        "htpo-batch",
        "grpo",
        "dr_grpo",
        "kl_cov",
        "clip_cov",
        "dapo",
        "batch-response",
        "response-batch",
        "old-batch",
    ],
)
def test_the_update_does_not_depend_on_how_the_batch_is_cut(tiny_model, tmp_path, options):
    _, whole = step_once(tiny_model, tmp_path, per_device_train_batch_size=64, **options)
    host, cut = step_once(tiny_model, tmp_path, per_device_train_batch_size=16, **options)
    assert host.args.gradient_accumulation_steps == 4
    torch.testing.assert_close(whole, cut, rtol=1e-4, atol=2e-5)
    start = torch.cat([p.detach().flatten() for p in trainer(tiny_model, config(tmp_path)).model.parameters()])
    assert (whole - start).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("entropy_mask", {}),
        ("kl_cov", {"share": 0.1}),
        ("bapo", {}),
    ],
)
def test_the_loss_of_an_evaluation_has_the_thresholds_of_its_own_batch(tiny_model, tmp_path, objective, options):
    args = {"objective": objective, "objective_options": options, "per_device_train_batch_size": 4, "max_steps": 1}
    host = trainer(tiny_model, config(tmp_path, per_device_eval_batch_size=16, **args), scripted_reward)
    host.train()  # in four micro-batches, so with thresholds of the whole update
    host.model.eval()
    inputs = dict(host._prepare_inputs([row for row in sums_dataset(4) for _ in range(4)]))
    with torch.no_grad():
        log_prob, entropy = log_prob_and_entropy(host, inputs)
        inputs["old_per_token_logps"] = log_prob + 0.3
        loss = host._compute_loss(host.model, inputs)
    batch = as_batch(host, inputs, log_prob, entropy)
    asked = make_objective(objective, **options)
    assert loss.item() == pytest.approx(asked.aggregate(-asked(batch).value, batch.mask).item(), rel=1e-4, abs=1e-6)


def test_every_update_is_normalised_by_its_own_tokens(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path, per_device_train_batch_size=4, updates_per_generation=4))
    host.model.train()
    host._prepare_inputs([row for row in sums_dataset(8) for _ in range(4)])
    width = host.args.gradient_accumulation_steps
    assert width == 2
    for start in range(0, len(host._buffered_inputs), width):
        window = host._buffered_inputs[start : start + width]
        tokens = sum(policy_mask(micro).sum().item() for micro in window)
        for micro in window:
            assert micro["num_items_in_batch"].item() * width / host.args.steps_per_generation == tokens


def test_a_nan_entropy_on_a_policy_token_stops_the_run_and_names_it(tiny_model, tmp_path, monkeypatch):
    host = trainer(tiny_model, config(tmp_path))
    score = GRPOTrainer._get_per_token_logps_and_entropies

    def with_nan(self, model, *args, **kwargs):
        log_prob, entropy, aux = score(self, model, *args, **kwargs)
        if entropy is not None:
            entropy = entropy.clone()
            entropy[1, 0] = torch.nan
        return log_prob, entropy, aux

    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", with_nan)
    with pytest.raises(NonFiniteError, match=r"token 0 .* of response 1 .*'entropy': nan"):
        host.train()


def test_tokens_an_environment_wrote_are_in_no_group(tiny_model, tmp_path):
    def with_observations(prompts, host):
        out = scripted_rollouts(prompts, host)
        return {**out, "env_mask": [[1, 0] + [1] * (len(ids) - 2) for ids in out["completion_ids"]]}

    seen = []
    host = trainer(
        tiny_model,
        config(tmp_path, max_steps=1, dynamic_sampling=False),
        scripted_reward,
        rollout_func=with_observations,
        rollout_recorder=lambda step, inputs, batch, outcome, *_: seen.append((inputs, batch, outcome)),
    )
    host.train()
    inputs, batch, outcome = seen[0]
    assert (outcome.group[:, 1] == 0).all()
    assert (outcome.group[batch.mask] > 0).all()
    assert batch.mask.sum() == (inputs["completion_mask"] * inputs["tool_mask"]).sum()
