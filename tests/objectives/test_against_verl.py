"""Ours and verl's published losses on the same random batches; left out where verl is not installed."""

import pytest
import torch

from htpo.objectives import make_objective
from tests.objectives.samples import random_batch

pytestmark = pytest.mark.verl

NO_CLIP = {"clip_low": 1e9, "clip_high": 1e9}
EVERY_LENGTH = [1, 2, *range(3, 40), 80]


def verl_loss(name, batch, *, clip_low, clip_high, dual_clip=1e9, **policy_loss):
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.workers.config import ActorConfig, PolicyLossConfig

    taus = {key: policy_loss.pop(key) for key in ("tau_pos", "tau_neg") if key in policy_loss}
    config = ActorConfig(
        strategy="fsdp",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=clip_low,
        clip_ratio_high=clip_high,
        clip_ratio_c=dual_clip,
        policy_loss=PolicyLossConfig(loss_mode=name, **policy_loss),
        **taus,
    )
    log_prob = batch.log_prob.clone().requires_grad_()
    advantage = batch.advantage.unsqueeze(1).expand(batch.mask.shape).clone()
    mode = "token-mean" if name not in ("gspo", "sapo") else "seq-mean-token-mean"
    loss, _ = get_policy_loss_fn(name)(batch.old_log_prob, log_prob, advantage, batch.mask.double(), mode, config)
    loss.backward()
    return loss.detach(), log_prob.grad


def our_loss(objective, batch):
    log_prob = batch.log_prob.clone().requires_grad_()
    values = dict(vars(batch)) | {"log_prob": log_prob}
    loss = objective.aggregate(-objective(type(batch)(**values)).value, batch.mask)
    loss.backward()
    return loss.detach(), log_prob.grad


@pytest.mark.parametrize(
    ("name", "options", "theirs", "settings"),
    [
        ("ppo", {"dual_clip": 3.0}, "vanilla", {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": 3.0}),
        ("dapo", {}, "vanilla", {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": 10.0}),
        ("gspo", {"clip_low": 0.3, "clip_high": 0.4}, "gspo", {"clip_low": 0.3, "clip_high": 0.4}),
        ("sapo", {}, "sapo", {"clip_low": 0.2, "clip_high": 0.2, "tau_pos": 1.0, "tau_neg": 1.05}),
        ("cispo", {"clip_high": 0.5}, "cispo", {"clip_low": 1e9, "clip_high": 0.5}),
        ("kl_cov", {"share": 0.05}, "kl_cov", {**NO_CLIP, "kl_cov_ratio": 0.05, "ppo_kl_coef": 1.0}),
        # Theirs draws at random among the tokens of the band: with a share of 1 both take all of them.
        (
            "clip_cov",
            {"share": 1.0, "low": 0.2, "high": 1.0},
            "clip_cov",
            {**NO_CLIP, "clip_cov_ratio": 1.0, "clip_cov_lb": 0.2, "clip_cov_ub": 1.0},
        ),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_equal_verl_s(name, options, theirs, settings, seed):
    batch = random_batch(seed, EVERY_LENGTH)
    # Within the range of both clamps: verl's Clip-Cov and KL-Cov have none, its GSPO has one of its own.
    log_ratio = (batch.log_prob - batch.old_log_prob).clamp(-8, 8)
    batch.old_log_prob.copy_(batch.log_prob - log_ratio)
    ours, our_gradient = our_loss(make_objective(name, **options), batch)
    loss, gradient = verl_loss(theirs, batch, **settings)
    torch.testing.assert_close(ours, loss)
    torch.testing.assert_close(our_gradient, gradient)
    assert gradient.abs().sum() > 0
