"""The gradient of `value` is the derivative of the surrogate the method prescribes, stop-gradients held fixed.

The surrogate is written out here per branch as a function of log_prob and of its frozen copy: pi/sg[pi] is
exp(log_prob - frozen), 1/sg[r] is a constant. Its central difference at log_prob = frozen is compared with autograd.
"""

import math
from itertools import product

import pytest
import torch

from htpo.objectives import TokenBatch, make_objective
from tests.objectives.samples import evaluate, fields_of

LOW, HIGH, CAP = 0.8, 1.28, 10.0
OLD = -1.25
STEP = 1e-6
LOG_RATIOS = [-25.0, -3.0, -1.0, -0.3, -0.1, 0.0, 0.1, 0.24, 0.3, 1.0, 2.2, 2.4, 25.0]
ADVANTAGES = [-1.7, -0.4, 0.4, 1.7]
GROUPS = {1: (0.25, True), 2: (0.25, True), 3: (0.25, False), 4: (0.25, False)}
GROUPS |= {group + 4: (0.75, correct) for group, (_, correct) in GROUPS.items()}


def ratio(log_prob: float) -> float:
    return math.exp(min(max(log_prob - OLD, -20), 20))


def clipped(log_prob: float, frozen: float, advantage: float, sign: int) -> float:
    r = ratio(log_prob)
    return min(r * advantage, min(max(r, LOW), HIGH) * advantage)


def encouraging(log_prob: float, frozen: float, advantage: float, sign: int) -> float:
    pi_over_sg_pi = math.exp(log_prob - frozen)
    if ratio(frozen) > HIGH:
        return sign * HIGH * pi_over_sg_pi * advantage
    if ratio(frozen) < LOW:
        return sign * (1 / ratio(frozen)) * pi_over_sg_pi * advantage
    return ratio(log_prob) * advantage


def penalising(log_prob: float, frozen: float, advantage: float, sign: int) -> float:
    if ratio(frozen) < LOW:
        return sign * LOW * math.exp(log_prob - frozen) * advantage
    return ratio(log_prob) * advantage


RULES = {1: clipped, 2: encouraging, 3: clipped, 4: penalising, 5: clipped, 6: clipped, 7: clipped, 8: penalising}


def surrogate(rule, log_prob: float, frozen: float, advantage: float, sign: int, cap: float | None) -> float:
    value = rule(log_prob, frozen, advantage, sign)
    return max(value, cap * advantage) if cap is not None and advantage < 0 else value


def difference(rule, at: float, advantage: float, sign: int, cap: float | None) -> float:
    ahead, behind = (surrogate(rule, at + step, at, advantage, sign, cap) for step in (STEP, -STEP))
    return (ahead - behind) / (2 * STEP)


def tokens_of_group(group: int, points: list[tuple[float, float]]) -> TokenBatch:
    """A response of two tokens per point; the first is of the group (the second stands for the other entropy)."""
    accuracy, correct = GROUPS[group]
    rows = len(points)
    high = group % 2 == 0
    log_ratio = torch.tensor([[x, x] for x, _ in points], dtype=torch.float64)
    old = torch.full_like(log_ratio, OLD)
    return TokenBatch(
        log_prob=old + log_ratio,
        old_log_prob=old,
        advantage=torch.tensor([a for _, a in points], dtype=torch.float64),
        entropy=torch.tensor([[3.0, 3.0] if high else [1.0, 3.0]], dtype=torch.float64).expand(rows, 2),
        mask=torch.ones(rows, 2, dtype=torch.bool),
        correct=torch.full((rows,), correct),
        group_accuracy=torch.full((rows,), accuracy, dtype=torch.float64),
    )


@pytest.mark.parametrize("cap", [CAP, None], ids=["dual clip", "no dual clip"])
@pytest.mark.parametrize("variant", ["paper", "release"])
@pytest.mark.parametrize("group", RULES)
def test_the_gradient_is_the_derivative_of_the_prescribed_surrogate(group, variant, cap):
    points = list(product(LOG_RATIOS, ADVANTAGES))
    objective = make_objective("htpo", variant=variant, dual_clip=cap, detach_lowest=0.0, detach_highest=0.0)
    out, gradient = evaluate(objective, tokens_of_group(group, points))
    assert (out.group[:, 0] == group).all()
    sign = -1 if variant == "release" else 1
    for row, (log_ratio, advantage) in enumerate(points):
        at = OLD + log_ratio
        value = surrogate(RULES[group], at, at, advantage, sign, cap)
        slope = difference(RULES[group], at, advantage, sign, cap)
        assert out.value[row, 0].item() == pytest.approx(value, rel=1e-6), (log_ratio, advantage)
        assert gradient[row, 0].item() == pytest.approx(slope, rel=1e-5, abs=1e-7), (log_ratio, advantage)


@pytest.mark.parametrize("name", ["dapo", "grpo", "ppo"])
def test_the_baselines_gradient_is_the_derivative_of_their_value(name):
    points = list(product(LOG_RATIOS, ADVANTAGES))
    objective = make_objective(name, clip_high=0.28, dual_clip=CAP)
    _, gradient = evaluate(objective, tokens_of_group(1, points))
    for row, (log_ratio, advantage) in enumerate(points):
        slope = difference(clipped, OLD + log_ratio, advantage, 1, CAP)
        assert gradient[row, 0].item() == pytest.approx(slope, rel=1e-5, abs=1e-7), (log_ratio, advantage)


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_where_no_stop_gradient_acts_the_value_itself_has_that_derivative(variant):
    """Inside the clip range, and for PPO's rule anywhere, autograd agrees with differences of our own value."""
    objective = make_objective("htpo", variant=variant, detach_lowest=0.0, detach_highest=0.0)
    for group in RULES:
        inside = [x for x in LOG_RATIOS if RULES[group] is clipped or LOW < math.exp(x) < HIGH]
        points = list(product(inside, ADVANTAGES))
        _, gradient = evaluate(objective, tokens_of_group(group, points))
        shifted = [[(x + step, a) for x, a in points] for step in (STEP, -STEP)]
        ahead, behind = (objective(tokens_of_group(group, s)).value for s in shifted)
        slope = (ahead - behind) / (2 * STEP)
        torch.testing.assert_close(gradient[:, 0], slope[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fraction", ["detach_lowest", "detach_highest"])
def test_a_detached_token_has_neither_value_nor_gradient(fraction):
    group = 1 if fraction == "detach_lowest" else 6
    batch = tokens_of_group(group, list(product(LOG_RATIOS, ADVANTAGES)))
    accuracy = {"group_accuracy": torch.full_like(batch.group_accuracy, GROUPS[group][0])}
    entropy = torch.arange(batch.mask.numel(), dtype=torch.float64).reshape(batch.mask.shape)
    batch = TokenBatch(**{**vars(batch), **accuracy, "entropy": entropy})
    objective = make_objective("htpo", entropy_scope="batch", **{fraction: 0.5})
    out, gradient = evaluate(objective, batch)
    assert out.detached.any()
    assert (out.group[out.detached] == group).all()
    assert (out.value[out.detached] == 0).all()
    assert (gradient[out.detached] == 0).all()
    assert ((gradient != 0) & ~out.detached).any()


def test_only_log_prob_receives_a_gradient():
    batch = tokens_of_group(2, [(0.1, 1.0), (0.5, 1.0)])
    leaves = {name: x.clone().requires_grad_() for name, x in fields_of(batch).items() if x.is_floating_point()}
    make_objective("htpo")(TokenBatch(**{**vars(batch), **leaves})).value.sum().backward()
    assert [name for name, leaf in leaves.items() if leaf.grad is not None] == ["log_prob"]


def test_an_incoming_gradient_scales_the_slope_of_its_token():
    batch = tokens_of_group(2, [(0.1, 1.0), (0.5, -1.0), (-0.5, 1.0)])
    scale = torch.arange(6, dtype=torch.float64).reshape(3, 2) - 2
    leaf = batch.log_prob.clone().requires_grad_()
    out = make_objective("htpo")(TokenBatch(**{**vars(batch), "log_prob": leaf}))
    (out.value * scale).sum().backward()
    torch.testing.assert_close(leaf.grad, scale * out.slope)
    assert out.slope.ne(0).all()
