"""What holds for every batch: how it is padded, ordered or cut changes nothing, and what is masked is never read."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from htpo.objectives import TokenBatch, make_objective, sequence_mean, token_mean
from tests.objectives.samples import batches_of, each_field, evaluate, fields_of, micro_batches, random_batch, rows_of

quick = settings(deadline=None, max_examples=50, database=None)
CELLS = {"thinking": {"weight": 0.3}, "action": {"clip_low": 0.5, "clip_high": 1.5}, "thinking first low": "zero"}
objectives = st.sampled_from(
    [
        ("htpo", {}),
        ("htpo", {"variant": "release"}),
        ("htpo", {"detach_lowest": 0.4, "detach_highest": 0.4}),
        ("htpo", {"entropy_scope": "turn", "detach_lowest": 0.3, "detach_highest": 0.3}),
        ("htpo", {"axes": ["segment", "turn", "entropy"], "cells": CELLS}),
        ("dapo", {}),
        ("grpo", {}),
        ("ppo", {"dual_clip": 2.0}),
    ]
)
with_batch_scope = st.one_of(
    objectives, st.just(("htpo", {"entropy_scope": "batch", "detach_lowest": 0.3, "detach_highest": 0.3}))
)
batches = batches_of(gaps=st.booleans())


def make(described):
    return make_objective(described[0], **described[1])


def per_token(objective, batch: TokenBatch, cuts=None) -> dict[str, torch.Tensor]:
    """Everything an objective says of single tokens."""
    out, gradient = evaluate(objective, batch, cuts)
    said = {"value": out.value, "gradient": gradient, "slope": out.slope, "weight": out.weight}
    return said if out.group is None else said | {"group": out.group, "detached": out.detached}


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:  # to the last bits: exp may round differently at another place in memory
        tolerance = {"rtol": 1e-14, "atol": 0} if expected[name].is_floating_point() else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(
            actual[name], expected[name], **tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


def poisoned(batch: TokenBatch, seed: int) -> TokenBatch:
    """The batch with NaN, infinities and huge numbers wherever nothing may be read."""
    g = torch.Generator().manual_seed(seed)
    garbage = torch.tensor([math.nan, math.inf, -math.inf, 1e300, -1e300], dtype=torch.float64)

    def spoil(x: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
        return torch.where(outside, garbage[torch.randint(len(garbage), x.shape, generator=g)], x)

    empty = ~batch.mask.any(1)
    return replace(
        batch,
        **{name: spoil(getattr(batch, name), ~batch.mask) for name in ("log_prob", "old_log_prob", "entropy")},
        advantage=spoil(batch.advantage, empty if batch.advantage.dim() == 1 else ~batch.mask),
        correct=batch.correct ^ empty,
        group_accuracy=spoil(batch.group_accuracy, empty),
        turn=torch.where(batch.mask, batch.turn, torch.randint(-9, 9, batch.mask.shape, generator=g).int()),
        segment=torch.where(batch.mask, batch.segment, torch.randint(-9, 9, batch.mask.shape, generator=g).char()),
    )


@quick
@given(with_batch_scope, batches, st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.integers(0, 99))
def test_padding_changes_no_token(described, batch, left, right, below, seed):
    rows, width = batch.mask.shape
    shape = (rows + below, left + width + right)
    g = torch.Generator().manual_seed(seed)

    def pad(x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 1:
            return torch.cat([x, x.new_zeros(below)])
        padded = torch.randn(shape, generator=g).to(x.dtype) if x.is_floating_point() else x.new_zeros(shape)
        padded[:rows, left : left + width] = x
        return padded

    objective = make(described)
    padded = per_token(objective, each_field(batch, pad))
    assert_same({n: x[:rows, left : left + width] for n, x in padded.items()}, per_token(objective, batch))
    for name, x in padded.items():
        assert torch.count_nonzero(x) == torch.count_nonzero(x[:rows, left : left + width]), name


@quick
@given(with_batch_scope, batches, st.randoms(use_true_random=False))
def test_the_order_of_responses_and_of_tokens_changes_nothing(described, batch, random):
    rows, columns = list(range(batch.mask.shape[0])), list(range(batch.mask.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)

    def shuffle(x: torch.Tensor) -> torch.Tensor:
        return x[rows] if x.dim() == 1 else x[rows][:, columns]

    objective = make(described)
    moved = per_token(objective, each_field(batch, shuffle))
    assert_same(moved, {name: shuffle(x) for name, x in per_token(objective, batch).items()})


micro_batch_sizes = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@quick
@given(objectives, batches, micro_batch_sizes)
def test_cutting_a_batch_into_micro_batches_changes_no_token(described, batch, sizes):
    objective = make(described)
    parts = [per_token(objective, part) for part in micro_batches(batch, sizes)]
    assert_same({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, per_token(objective, batch))


@quick
@given(batches, micro_batch_sizes)
def test_with_the_cuts_of_the_whole_batch_micro_batches_reproduce_batch_quantiles(batch, sizes):
    objective = make_objective("htpo", entropy_scope="batch", detach_lowest=0.3, detach_highest=0.3)
    assert objective.takes_batch_quantiles
    cuts = objective.partition(batch).cuts
    parts = [per_token(objective, part, cuts) for part in micro_batches(batch, sizes)]
    assert_same({name: torch.cat([part[name] for part in parts]) for name in parts[0]}, per_token(objective, batch))


def test_without_them_micro_batches_would_have_quantiles_of_their_own():
    batch = random_batch(0, [9] * 8)
    objective = make_objective("htpo", entropy_scope="batch")
    parts = [objective(part).group for part in micro_batches(batch, [4])]
    assert not torch.equal(torch.cat(parts), objective(batch).group)


def test_the_cuts_given_to_an_objective_are_left_as_they_were():
    batch = random_batch(0, [9] * 8)
    objective = make_objective("htpo", entropy_scope="batch")
    (name,) = [name for name in objective.partition(batch).cuts if name.startswith("entropy")]
    cuts = {name: torch.tensor([[-1.0]], dtype=torch.float64)}
    group = objective(batch, cuts).group
    assert list(cuts) == [name]
    assert (group[batch.mask] % 2 == 0).all()  # all high, as this cut says


@quick
@given(with_batch_scope, batches, st.integers(0, 99))
def test_garbage_outside_the_mask_is_never_read(described, batch, seed):
    objective, spoilt = make(described), poisoned(batch, seed)
    expected = per_token(objective, batch)
    actual = per_token(objective, spoilt)
    assert_same(actual, expected)
    assert (actual["gradient"][~batch.mask] == 0).all()
    clean_stats, stats = objective(batch).stats, objective(spoilt).stats
    assert all(torch.equal(stats[n].nan_to_num(-1), clean_stats[n].nan_to_num(-1)) for n in clean_stats)
    assert stats["nonfinite_tokens"] == 0


@quick
@given(with_batch_scope, batches, st.integers(0, 99), st.sampled_from([token_mean, sequence_mean]))
def test_garbage_outside_the_mask_reaches_neither_the_loss_nor_its_gradient(described, batch, seed, mean):
    results = []
    for given_batch in (batch, poisoned(batch, seed)):
        leaf = given_batch.log_prob.clone().requires_grad_()
        loss = mean(-make(described)(replace(given_batch, log_prob=leaf)).value, batch.mask)
        loss.backward()
        results.append((loss.detach(), leaf.grad))
    (clean_loss, clean_gradient), (loss, gradient) = results
    assert loss.isfinite()
    assert torch.equal(loss, clean_loss)
    assert torch.equal(gradient, clean_gradient)
    assert (gradient[~batch.mask] == 0).all()


@pytest.mark.parametrize("mean", [token_mean, sequence_mean])
@pytest.mark.parametrize(
    ("described", "rows", "width"),
    [
        (described, *shape)
        for described in (
            ("htpo", {}),
            *(("htpo", {"entropy_scope": scope}) for scope in ("batch", "turn")),
            ("dapo", {}),
        )
        for shape in ((3, 0), (0, 4), (0, 0), (3, 4))
    ],
    ids=str,
)
def test_a_batch_without_tokens_contributes_nothing(described, rows, width, mean):
    full = random_batch(0, [4] * 3, gaps=False, turns=2)
    cut = {name: x[:rows] if x.dim() == 1 else x[:rows, :width] for name, x in fields_of(full).items()}
    batch = poisoned(TokenBatch(**{**cut, "mask": torch.zeros_like(cut["mask"])}), 1)
    out, gradient = evaluate(make(described), batch)
    assert out.value.shape == gradient.shape == (rows, width)
    assert torch.count_nonzero(out.value) == torch.count_nonzero(gradient) == 0
    assert mean(-out.value, batch.mask) == 0
    assert out.stats["nonfinite_tokens"] == 0
    assert out.stats["entropy"] == 0


@quick
@given(batches, st.sampled_from(["response", "turn", "batch"]))
def test_an_empty_response_changes_nothing_for_the_others(batch, scope):
    objective = make_objective("htpo", entropy_scope=scope, detach_lowest=0.3, detach_highest=0.3)
    empty = rows_of(replace(batch, mask=torch.zeros_like(batch.mask)), slice(0, 1))
    both = TokenBatch(**{name: torch.cat([vars(empty)[name], x]) for name, x in fields_of(batch).items()})
    actual = per_token(objective, both)
    assert_same({name: x[1:] for name, x in actual.items()}, per_token(objective, batch))
    assert all(torch.count_nonzero(x[0]) == 0 for x in actual.values())


@quick
@given(
    st.integers(0, 2**16),
    st.lists(st.integers(0, 12), min_size=1, max_size=9),
    st.booleans(),
    st.sampled_from(["response", "turn"]),
)
def test_tokens_of_equal_entropy_are_all_high(seed, lengths, single, scope):
    """A response of one token too: the release crashes on both."""
    batch = random_batch(seed, [min(n, 1) for n in lengths] if single else lengths, distinct_entropies=1, turns=3)
    out = make_objective("htpo", entropy_scope=scope)(batch)
    assert (out.group[batch.mask] > 0).all()
    assert (out.group[batch.mask] % 2 == 0).all()
    assert torch.equal(out.detached, out.group == 6)  # all tie with the k-th highest
    assert out.value.isfinite().all()


@quick
@given(batches, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
def test_at_least_the_stated_share_of_every_response_is_high_and_more_only_by_ties(batch, fraction):
    out = make_objective("htpo", high_entropy_fraction=fraction)(batch)
    for group, mask, entropy in zip(out.group, batch.mask, batch.entropy):
        if not mask.any():
            continue
        high = entropy[mask & (group % 2 == 0)]
        k = max(round(mask.sum().item() * fraction * 10) // 10, 1)
        assert len(high) >= k
        assert (high > high.min()).sum() < k
        assert (entropy[mask & (group % 2 == 1)] < high.min()).all()


@quick
@given(with_batch_scope, batches)
def test_the_gradient_is_the_slope_and_the_slope_is_weight_times_advantage(described, batch):
    out, gradient = evaluate(make(described), batch)
    advantage = batch.advantage if batch.advantage.dim() == 2 else batch.advantage.unsqueeze(1)
    assert torch.equal(gradient, out.slope)
    torch.testing.assert_close(out.slope, out.weight * advantage)
    assert not out.weight.requires_grad
    assert not out.slope.requires_grad


@quick
@given(batches, st.sampled_from(["paper", "release"]))
def test_with_equal_policies_every_attached_token_has_weight_one(batch, variant):
    """On-policy, r = 1, HTPO is REINFORCE with some tokens left out."""
    out = make_objective("htpo", variant=variant)(replace(batch, old_log_prob=batch.log_prob))
    assert torch.equal(out.weight, (batch.mask & ~out.detached).double())
