"""What is drawn at random: the count asked for, every token alike, and the same however the batch is cut."""

from dataclasses import replace

import pytest
import torch

from htpo.objectives import TokenBatch, make_objective
from htpo.objectives.draws import response_seeds, token_lots
from tests.objectives import oracle
from tests.objectives.samples import as_responses, fields_of, random_batch, rows_of

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 40)]
BAND = {"low": 0.05, "high": 5.0}


def drawn(batch: TokenBatch, share: float, cuts=None) -> torch.Tensor:
    return make_objective("clip_cov", share=share, **BAND)(batch, cuts).group == 2


def at_step(batch: TokenBatch, step: int, seed: int = 0) -> TokenBatch:
    return replace(batch, seed=response_seeds(seed, step, torch.arange(len(batch.mask))))


def test_the_numbers_are_those_of_splitmix64():
    batch = random_batch(0, [3, 2], gaps=False)
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # published for the seed 0
    assert [x % 2**64 for x in token_lots(replace(batch, seed=torch.zeros(2).long()))[0].tolist()] == first
    batch = at_step(random_batch(0, LENGTHS), 5)
    expected = torch.tensor([oracle.lots(response) for response in as_responses(batch)])
    assert torch.equal(token_lots(batch)[batch.mask], expected[batch.mask])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("share", [1e-4, 2e-3, 0.026, 0.1, 0.3, 1.0])
def test_exactly_as_many_are_drawn_as_asked_or_lie_in_the_band(share, dtype):
    batch = at_step(random_batch(1, LENGTHS, dtype=dtype), 7)
    lies_in_band = int(drawn(batch, 1.0).sum())
    assert 0 < lies_in_band < batch.mask.sum()
    asked = max(int(round(share * 1e4) * batch.mask.sum() // 10_000), 1)
    assert drawn(batch, share).sum() == min(asked, lies_in_band)
    alike = replace(batch, old_log_prob=torch.full_like(batch.old_log_prob, -0.5))
    assert drawn(alike, share).sum() == min(asked, lies_in_band)


def test_every_token_of_the_band_is_drawn_equally_often():
    batch, updates, share = random_batch(2, LENGTHS), 400, 0.05
    band, often = drawn(batch, 1.0), torch.zeros(batch.mask.shape)
    for step in range(updates):
        often += drawn(at_step(batch, step), share)
    assert (often[~band] == 0).all()
    seen, members = often[band], int(band.sum())
    chance = int(share * batch.mask.sum()) / members
    expected = updates * chance
    chi_square = ((seen - expected) ** 2).sum() / (expected * (1 - chance)) * (members - 1) / members
    assert abs(chi_square - (members - 1)) < 3 * (2 * (members - 1)) ** 0.5


def test_updates_rows_and_runs_draw_differently_and_each_the_same_again():
    batch = random_batch(2, LENGTHS)
    first = drawn(at_step(batch, 0), 0.05)
    assert torch.equal(first, drawn(at_step(batch, 0), 0.05))
    others = [at_step(batch, 1), at_step(batch, 0, seed=1), replace(batch, seed=at_step(batch, 0).seed.flip(0))]
    expected = first.sum() ** 2 / drawn(batch, 1.0).sum()  # in common by chance
    for other in others:
        assert (first & drawn(other, 0.05)).sum() < 2 * expected + 5
    seeds = [at_step(batch, step, seed).seed for step in range(50) for seed in range(50)]
    assert len(torch.cat(seeds).unique()) == 2500 * len(batch.mask)


def test_the_draw_does_not_depend_on_how_the_batch_is_cut_ordered_or_padded():
    batch = at_step(random_batch(3, LENGTHS, gaps=False), 3)
    whole = drawn(batch, 0.05)
    cuts = make_objective("clip_cov", share=0.05, **BAND).partition(batch).cuts
    for size in (1, 7, 20):
        parts = [rows_of(batch, slice(start, start + size)) for start in range(0, len(LENGTHS), size)]
        assert torch.equal(torch.cat([drawn(part, 0.05, cuts) for part in parts]), whole)
    order = torch.randperm(len(LENGTHS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn(rows_of(batch, order), 0.05), whole[order])
    padded = {n: torch.nn.functional.pad(x, (3, 2)) if x.dim() == 2 else x for n, x in fields_of(batch).items()}
    assert torch.equal(drawn(TokenBatch(**padded), 0.05)[:, 3:-2], whole)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0), (3, 4)])
def test_a_batch_without_tokens_draws_none(shape):
    empty = {n: torch.zeros(shape) for n in ("log_prob", "old_log_prob", "entropy")}
    per_row = {"advantage": torch.zeros(shape[0]), "group_accuracy": torch.zeros(shape[0])}
    mask, correct = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape[0], dtype=torch.bool)
    assert not drawn(TokenBatch(**empty, **per_row, mask=mask, correct=correct), 1.0).any()
