"""Every baseline against its paper's equation, token by token in plain Python."""

import math

import pytest
import torch

from htpo.objectives import make_objective
from htpo.objectives.aggregation import fixed_length_mean, sequence_mean, token_mean
from tests.objectives import oracle
from tests.objectives.equations import adaptive_range, at, cispo, gspo, ratio_of, reinforce, sapo
from tests.objectives.oracle import Options, Response, covariances, drawn_positions
from tests.objectives.samples import as_responses, evaluate, random_batch, rows_of

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 40)]
EQUATIONS = {"reinforce": reinforce, "gspo": gspo, "cispo": cispo, "sapo": sapo}
RANGE_OF_BAPO = {"low": 0.6, "low_end": 0.9, "low_step": 0.02, "high": 1.2, "high_end": 3.0, "high_step": 0.05}


def terms(name: str, response: Response, t: int) -> tuple[float, float]:
    said = EQUATIONS[name](at(response, t, (0.8, 1.2)))
    return said.value, said.gradient


@pytest.mark.parametrize("per_token_advantage", [False, True], ids=["(B,)", "(B, T)"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_a_baseline_equals_its_equation(name, per_token_advantage):
    batch = random_batch(0, LENGTHS, per_token_advantage=per_token_advantage)
    out, gradient = evaluate(make_objective(name), batch)
    for row, response in enumerate(as_responses(batch)):
        for t, inside in enumerate(response.mask):
            value, slope = terms(name, response, t) if inside else (0.0, 0.0)
            assert out.value[row, t].item() == pytest.approx(value, rel=1e-10, abs=1e-12)
            assert gradient[row, t].item() == pytest.approx(slope, rel=1e-10, abs=1e-12)


def test_gspo_near_the_old_policy_has_responses_inside_and_on_both_sides_of_its_range():
    batch = random_batch(0, LENGTHS)
    close = batch.log_prob + (batch.old_log_prob - batch.log_prob) * 1e-4
    batch = type(batch)(**{**vars(batch), "old_log_prob": close})
    out, gradient = evaluate(make_objective("gspo"), batch)
    learnt = set()
    for row, response in enumerate(as_responses(batch)):
        for t in [t for t, inside in enumerate(response.mask) if inside]:
            value, slope = terms("gspo", response, t)
            assert out.value[row, t].item() == pytest.approx(value, rel=1e-10)
            assert gradient[row, t].item() == pytest.approx(slope, rel=1e-10)
            learnt.add((response.advantage[t] > 0, slope != 0))
    assert learnt == {(True, True), (True, False), (False, True), (False, False)}
    assert 0 < out.stats["clip/region_fraction"] < 1  # counted on the response's ratio


@pytest.mark.parametrize("scope", ["response", "batch"])
def test_the_80_20_rule_is_dapo_on_the_forks_and_nothing_elsewhere(scope):
    batch = random_batch(0, LENGTHS)
    out, gradient = evaluate(make_objective("entropy_mask", entropy_scope=scope), batch)
    high = [[token.group % 2 == 0 and token.group > 0 for token in row] for row in
            oracle.htpo_tokens(as_responses(batch), Options(entropy_scope=scope))]  # fmt: skip
    high = torch.tensor(high)
    dapo, dapo_gradient = evaluate(make_objective("dapo"), batch)
    assert torch.equal(out.value, dapo.value * high)
    assert torch.equal(gradient, dapo_gradient * high)
    assert torch.equal(out.group, torch.where(high, 2, 1) * batch.mask)


def test_dr_grpo_divides_by_responses_times_the_limit():
    batch = random_batch(0, LENGTHS)
    value = make_objective("dr_grpo")(batch).value
    assert torch.equal(value, make_objective("grpo")(batch).value)
    limit = len(batch.mask) * 100
    assert fixed_length_mean(value, batch.mask, limit) == pytest.approx(value[batch.mask].sum().item() / limit)
    assert fixed_length_mean(value, batch.mask) == pytest.approx(value[batch.mask].sum().item() / batch.mask.numel())
    garbage = value.masked_fill(~batch.mask, torch.nan)
    assert fixed_length_mean(garbage, batch.mask) == fixed_length_mean(value, batch.mask)


def test_methods_with_the_same_token_objective_differ_in_how_it_is_aggregated():
    assert make_objective("gspo").aggregate is sequence_mean
    assert make_objective("cispo").aggregate is token_mean


def test_kl_cov_penalises_the_tokens_of_highest_covariance():
    batch = random_batch(0, LENGTHS)
    responses = as_responses(batch)
    out, gradient = evaluate(make_objective("kl_cov", share=0.05, coefficient=0.3), batch)
    by_covariance = covariances(responses)
    chosen = sorted(by_covariance, key=by_covariance.get, reverse=True)[: int(0.05 * len(by_covariance))]
    assert out.stats["group/G2/token_share"].item() == pytest.approx(len(chosen) / len(by_covariance))
    for i, t in by_covariance:
        log_ratio = responses[i].log_prob[t] - responses[i].old_log_prob[t]
        (ratio, slope), advantage = ratio_of(log_ratio), responses[i].advantage[t]
        penalty, pull = (0.3 * abs(log_ratio), 0.3 * math.copysign(1, log_ratio)) if (i, t) in chosen else (0.0, 0.0)
        assert out.value[i, t].item() == pytest.approx(ratio * advantage - penalty, rel=1e-10, abs=1e-12)
        assert gradient[i, t].item() == pytest.approx(slope * advantage - pull, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("share", [0.01, 0.9])
def test_clip_cov_detaches_a_draw_of_the_tokens_in_the_band(share):
    batch = random_batch(0, LENGTHS)
    responses = as_responses(batch)
    objective = make_objective("clip_cov", share=share, low=0.2, high=0.8)
    out, gradient = evaluate(objective, batch)
    by_covariance = covariances(responses)
    drawn = {tuple(place) for place in (out.group == 2).nonzero().tolist()}
    assert drawn == drawn_positions(responses, share, 0.2, 0.8)
    for i, t in by_covariance:
        ratio, slope = ratio_of(responses[i].log_prob[t] - responses[i].old_log_prob[t])
        kept = (i, t) not in drawn
        assert out.value[i, t].item() == pytest.approx(kept * ratio * responses[i].advantage[t], rel=1e-10)
        assert gradient[i, t].item() == pytest.approx(kept * slope * responses[i].advantage[t], rel=1e-10)


def test_no_token_in_the_band_means_none_is_drawn():
    out = make_objective("clip_cov", low=1e6, high=1e7)(random_batch(0, LENGTHS))
    assert not (out.group == 2).any()


@pytest.mark.parametrize("target", [0.01, 0.3, 0.35, 0.4, 0.99])
def test_bapo_widens_its_range_until_positive_tokens_have_their_share(target):
    found = []
    for seed in range(6):
        batch = random_batch(seed, LENGTHS)
        near = batch.log_prob - (batch.log_prob - batch.old_log_prob) / 10  # ratios around the range, not beyond it
        batch = type(batch)(**{**vars(batch), "old_log_prob": near})
        responses = as_responses(batch)
        low, high = adaptive_range(responses, {"target": target, **RANGE_OF_BAPO}, rounding=0)
        objective = make_objective("bapo", target=target)
        cuts = objective.partition(batch).cuts
        assert (cuts["clip_low"].item(), cuts["clip_high"].item()) == pytest.approx((low, high))
        out, gradient = evaluate(objective, batch)
        expected, slope = evaluate(make_objective("ppo", clip_low=1 - low, clip_high=high - 1), batch)
        torch.testing.assert_close(out.value, expected.value, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient, slope, rtol=1e-12, atol=1e-14)
        found.append((low, high))
    assert target != 0.01 or found == [(0.6, 1.2)] * 6
    assert target != 0.99 or found == [(0.9, 3.0)] * 6


@pytest.mark.parametrize("name", ["kl_cov", "clip_cov", "entropy_mask", "bapo"])
def test_with_the_whole_batch_s_cuts_parts_equal_the_whole(name):
    options = {"clip_cov": {"low": 0.2, "high": 0.8, "share": 0.05}}.get(name, {})
    objective, batch = make_objective(name, **options), random_batch(0, LENGTHS)
    whole, gradient = evaluate(objective, batch)
    cuts = objective.partition(batch).cuts
    for rows in (slice(0, 5), slice(5, 20), slice(20, None)):
        part, part_gradient = evaluate(objective, rows_of(batch, rows), cuts)
        torch.testing.assert_close(part.value, whole.value[rows], rtol=1e-12, atol=0)
        torch.testing.assert_close(part_gradient, gradient[rows], rtol=1e-12, atol=0)
        assert whole.group is None or torch.equal(part.group, whole.group[rows])
