"""Means over tokens and responses, and advantages from rewards."""

import statistics

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from htpo.objectives import group_relative_advantage, sequence_mean, token_mean

quick = settings(deadline=None, max_examples=50, database=None)
MEANS = {"token_mean": token_mean, "sequence_mean": sequence_mean}


def values_and_mask(lengths: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(len(lengths), 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(12) < torch.tensor(lengths).reshape(-1, 1)


def test_means_of_numbers_computed_by_hand():
    x = torch.tensor([[1.0, 2.0, 3.0], [10.0, 100.0, 100.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert token_mean(x, mask).item() == 4.0  # 16 / 4
    assert sequence_mean(x, mask).item() == 6.0  # (2 + 10) / 2
    assert token_mean(x, mask, denominator=8).item() == 2.0
    assert token_mean(x, mask, denominator=torch.tensor(8)).item() == 2.0
    assert sequence_mean(x, mask, denominator=4).item() == 3.0


@quick
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.integers(0, 999),
    st.sampled_from(["token_mean", "sequence_mean"]),
)
def test_micro_batches_given_the_whole_batch_s_denominator_add_up(lengths, sizes, seed, name):
    x, mask = values_and_mask(lengths, seed)
    denominator = {"token_mean": mask.sum(), "sequence_mean": mask.any(1).sum()}[name].clamp(min=1)
    sizes = [*sizes, len(lengths)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    total = sum(MEANS[name](x[s : s + n], mask[s : s + n], denominator) for s, n in zip(starts, sizes))
    torch.testing.assert_close(total, MEANS[name](x, mask))


@quick
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(0, 999))
def test_a_mean_reads_nothing_outside_the_mask_and_its_gradient_is_each_token_s_share(lengths, seed):
    x, mask = values_and_mask(lengths, seed)
    clean = {name: mean(x.clone(), mask) for name, mean in MEANS.items()}
    x[~mask] = torch.nan
    shares = {
        "token_mean": mask.double() / max(sum(lengths), 1),
        "sequence_mean": mask.double() / mask.sum(1, keepdim=True).clamp(min=1) / max(sum(n > 0 for n in lengths), 1),
    }
    for name, mean in MEANS.items():
        leaf = x.clone().requires_grad_()
        result = mean(leaf, mask)
        assert torch.equal(result, clean[name])
        result.backward()
        torch.testing.assert_close(leaf.grad, shares[name])


@quick
@given(
    st.integers(2, 8).flatmap(
        lambda size: st.lists(
            st.lists(st.floats(-2, 2).map(lambda x: round(x, 3)), min_size=size, max_size=size), min_size=1, max_size=5
        )
    ),
    st.sampled_from(["std", "none"]),
)
def test_an_advantage_is_the_deviation_from_the_group_over_its_sample_deviation(groups, scale):
    expected = []
    for rewards in groups:
        mean, deviation = statistics.mean(rewards), statistics.stdev(rewards)
        divisor = deviation + 1e-6 if scale == "std" else 1.0
        expected += [(reward - mean) / divisor for reward in rewards]
    flat = torch.tensor(groups, dtype=torch.float64).reshape(-1)
    actual = group_relative_advantage(flat, len(groups[0]), scale)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_an_advantage_computed_by_hand():
    reward = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    expected = [0.866024, -0.866024, -0.866024, 0.866024, 0.5, 0.5, 0.5, -1.5]
    assert group_relative_advantage(reward, 4).tolist() == pytest.approx(expected, abs=3e-6)
    assert group_relative_advantage(reward, 4, scale="none").tolist() == [0.5, -0.5, -0.5, 0.5, 0.25, 0.25, 0.25, -0.75]
    assert group_relative_advantage(reward, 4, epsilon=0.5)[4].item() == pytest.approx(0.25)


def test_responses_without_a_reward_have_no_advantage_and_count_in_no_mean():
    nan = float("nan")
    reward = torch.tensor([1.0, nan, 0.0, 1.0, nan, 5.0, nan, nan, nan, nan, nan, nan], dtype=torch.float64)
    scored = ~reward.isnan()
    for scale in ("std", "none"):
        advantage = group_relative_advantage(reward, 4, scale, scored=scored)
        alone = group_relative_advantage(torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64), 3, scale)
        torch.testing.assert_close(advantage[[0, 2, 3]], alone, rtol=0, atol=1e-12)
        assert advantage[1] == 0
        assert torch.equal(advantage[4:], torch.zeros(8, dtype=torch.float64))  # one or none scored: nothing to compare


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, -0.7, 1 / 3])
def test_equal_rewards_give_exactly_zero(reward, scale, dtype):
    for size in (2, 3, 7, 16):
        advantage = group_relative_advantage(torch.full((3 * size,), reward, dtype=dtype), size, scale)
        assert advantage.dtype == dtype
        assert torch.equal(advantage, torch.zeros(3 * size, dtype=dtype))


@pytest.mark.parametrize(
    ("reward", "group_size", "options", "message"),
    [
        (torch.ones(2, 3), 3, {}, r"reward has shape \(2, 3\), needs \(N,\)"),
        (torch.ones(6), 4, {}, r"group_size is 4, needs a divisor of the 6 rewards"),
        (torch.ones(6), 1, {}, r"group_size is 1, .* at least 2"),
        (torch.ones(6), 3, {"scored": torch.ones(3).bool()}, r"scored has shape \(3,\), needs that of reward, \(6,\)"),
        (torch.ones(6), 3, {"scale": "batch"}, r"scale is 'batch', needs 'std' or 'none'"),
    ],
)
def test_unusable_rewards_are_refused(reward, group_size, options, message):
    with pytest.raises(ValueError, match=message):
        group_relative_advantage(reward, group_size, **options)
