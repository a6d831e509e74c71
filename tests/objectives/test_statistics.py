"""The statistics: shares of the whole, sums that add over micro-batches, and a count of what is not finite."""

import math
from dataclasses import asdict, replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from htpo.objectives import OBJECTIVES, add_sums, make_objective, sequence_mean, summarize, token_mean
from tests.objectives import oracle
from tests.objectives.oracle import Options
from tests.objectives.samples import as_responses, batches_of, evaluate, random_batch, rows_of

quick = settings(deadline=None, max_examples=50, database=None)
GROUPS = [f"G{number}" for number in range(1, 9)]
LENGTHS = [0, 1, 2, *range(3, 40)] * 2
batches = batches_of()
micro_batch_sizes = st.lists(st.integers(0, 4), min_size=1, max_size=4)


def split(batch, sizes):
    starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    ends = [*starts[1:], batch.mask.shape[0]]
    return [rows_of(batch, slice(start, end)) for start, end in zip(starts, ends)]


@pytest.mark.parametrize("options", [Options(), Options(variant="release", detach_lowest=0.2, detach_highest=0.3)])
def test_the_statistics_are_those_counted_over_the_oracle_s_tokens(options):
    batch = random_batch(0, LENGTHS)
    responses = as_responses(batch)
    rows = oracle.htpo_tokens(responses, options)
    tokens = [(token, r.entropy[t]) for row, r in zip(rows, responses) for t, token in enumerate(row) if token.group]
    plain = [token for row in oracle.ppo_tokens(responses, options) for token in row]
    inside = [token for row in rows for token in row]
    differing = {id(x) for x, y in zip(inside, plain, strict=True) if x.group and x.gradient != y.gradient}
    pull = sum(abs(token.gradient) for token, _ in tokens)
    ppo_clips = {("below", -1): "low", ("above", 1): "high"}

    def share(select, among):
        return sum(1 for x in among if select(x)) / len(among)

    stats = make_objective("htpo", **asdict(options))(batch).stats
    expected = {
        "entropy": sum(h for _, h in tokens) / len(tokens),
        "nonfinite_tokens": 0,
        "differs_from_ppo": len(differing) / len(tokens),
        "clip/low_fraction": share(lambda x: ppo_clips.get((x[0].region, x[0].sign)) == "low", tokens),
        "clip/high_fraction": share(lambda x: ppo_clips.get((x[0].region, x[0].sign)) == "high", tokens),
        "clip/region_fraction": share(lambda x: (x[0].region, x[0].sign) in ppo_clips, tokens),
    }
    for number, name in enumerate(GROUPS, 1):
        group = [x for x in tokens if x[0].group == number]
        expected |= {
            f"group/{name}/token_share": len(group) / len(tokens),
            f"group/{name}/entropy": sum(h for _, h in group) / len(group),
            f"group/{name}/clipped_share": share(lambda x: (x[0].region, x[0].sign) in ppo_clips, group),
            f"group/{name}/detached_share": share(lambda x: x[0].detached, group),
            f"group/{name}/differs_share": share(lambda x: id(x[0]) in differing, group),
            f"group/{name}/weight_share": sum(abs(token.gradient) for token, _ in group) / pull,
        }
    assert {name: x.item() for name, x in stats.items()} == pytest.approx(expected, rel=1e-9)
    assert all(x.shape == () for x in stats.values())


@quick
@given(batches.filter(lambda batch: batch.mask.any()), st.sampled_from(["response", "batch"]))
def test_the_groups_shares_of_tokens_and_of_weight_sum_to_one(batch, scope):
    out = make_objective("htpo", entropy_scope=scope)(batch)
    assert sum(out.stats[f"group/{g}/token_share"] for g in GROUPS).item() == pytest.approx(1)
    weight = sum(out.stats[f"group/{g}/weight_share"] for g in GROUPS).item()
    assert weight == pytest.approx(1 if out.slope.any() else 0)


@quick
@given(batches, micro_batch_sizes, st.sampled_from(["htpo", "dapo"]))
def test_sums_of_micro_batches_add_up_to_those_of_the_whole(batch, sizes, name):
    objective = make_objective(name)
    whole = objective(batch)
    added = add_sums([objective(part).sums for part in split(batch, sizes)])
    assert added.keys() == whole.sums.keys()
    assert whole.sums["tokens"].shape == ((8,) if name == "htpo" else (1,))
    assert whole.sums["tokens"].sum() == batch.mask.sum()
    for key, x in whole.sums.items():
        torch.testing.assert_close(added[key], x)
    for key, x in summarize(added).items():
        torch.testing.assert_close(x, whole.stats[key], equal_nan=True)


def test_an_unpartitioned_objective_has_no_statistics_by_group():
    stats = make_objective("dapo")(random_batch(0, LENGTHS)).stats
    assert set(stats) == {
        "entropy",
        "clip/low_fraction",
        "clip/high_fraction",
        "clip/region_fraction",
        "differs_from_ppo",
        "nonfinite_tokens",
    }
    assert stats["differs_from_ppo"] == 0
    assert stats["clip/low_fraction"] > 0
    assert stats["clip/high_fraction"] > 0


def test_a_group_without_tokens_has_share_zero_and_no_means():
    batch = random_batch(0, LENGTHS)
    stats = make_objective("htpo")(replace(batch, group_accuracy=torch.ones_like(batch.group_accuracy))).stats
    for name in GROUPS[:4]:
        assert stats[f"group/{name}/token_share"] == stats[f"group/{name}/weight_share"] == 0
        assert stats[f"group/{name}/entropy"].isnan()
        assert stats[f"group/{name}/detached_share"].isnan()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_advantage_of_zero_pulls_nowhere_and_is_not_clipped(name):
    batch = random_batch(0, LENGTHS)
    out, gradient = evaluate(make_objective(name), replace(batch, advantage=torch.zeros_like(batch.advantage)))
    assert torch.count_nonzero(out.value) == torch.count_nonzero(gradient) == 0
    assert out.stats["clip/low_fraction"] == out.stats["clip/high_fraction"] == out.stats["nonfinite_tokens"] == 0
    assert all(x == 0 for key, x in out.stats.items() if key.endswith("weight_share"))


def test_the_statistics_need_no_gradient():
    out, _ = evaluate(make_objective("htpo"), random_batch(0, LENGTHS))
    assert not any(x.requires_grad for x in [*out.sums.values(), *out.stats.values()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("field", ["log_prob", "old_log_prob", "advantage", "entropy"])
@pytest.mark.parametrize("name", ["htpo", "dapo"])
def test_a_policy_token_with_a_non_finite_input_is_nan_and_counted(name, field, bad, dtype):
    batch = random_batch(1, [5, 0, 9, 1, 30, 12], dtype=dtype, per_token_advantage=True)
    rows, columns = batch.mask.nonzero().unbind(1)
    rows, columns = rows[::7], columns[::7]
    spoilt = vars(batch)[field].clone()
    spoilt[rows, columns] = bad
    out, gradient = evaluate(make_objective(name), replace(batch, **{field: spoilt}))
    meant = torch.zeros_like(batch.mask)
    meant[rows, columns] = True
    for x in (out.value, out.weight, out.slope, gradient):
        assert torch.equal(x.isnan(), meant)
        assert x[~meant].isfinite().all()
    assert out.stats["nonfinite_tokens"] == len(rows) == 9
    assert token_mean(out.value, batch.mask).isnan()
    assert sequence_mean(out.value, batch.mask).isnan()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("column", [False, True], ids=["(B,)", "(B, 1)"])
def test_a_non_finite_advantage_of_a_response_is_nan_at_all_its_policy_tokens(column, bad):
    batch = random_batch(1, [5, 0, 9, 1])
    advantage = batch.advantage.clone()
    advantage[:3] = bad  # the second has no tokens
    out = make_objective("htpo")(replace(batch, advantage=advantage.unsqueeze(1) if column else advantage))
    assert torch.equal(out.value.isnan(), batch.mask & torch.tensor([[True], [False], [True], [False]]))
    assert out.stats["nonfinite_tokens"] == 14


def test_two_infinities_that_cancel_are_still_not_finite():
    batch = random_batch(1, [5, 9], per_token_advantage=True)
    first = batch.mask & (batch.mask.cumsum(1) == 1)
    for pair in (("log_prob", "old_log_prob"), ("log_prob", "entropy"), ("entropy", "advantage")):
        for sign in (1, -1):
            ends = {pair[0]: math.inf, pair[1]: sign * math.inf}
            fields = {name: vars(batch)[name].masked_fill(first, end) for name, end in ends.items()}
            assert torch.equal(make_objective("htpo")(replace(batch, **fields)).value.isnan(), first)


def test_a_large_but_finite_input_is_not_counted():
    batch = random_batch(1, [5, 9])
    far = replace(batch, log_prob=batch.log_prob - 1e4, advantage=batch.advantage * 1e3)
    out = make_objective("htpo")(far)
    assert out.stats["nonfinite_tokens"] == 0
    assert out.value.isfinite().all()
