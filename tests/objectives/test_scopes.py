"""Quantiles over the response and over the batch, in every mixture: as the oracle has them, however a batch is cut."""

import math
from fractions import Fraction
from itertools import product

import pytest
import torch

from htpo.objectives import make_objective
from htpo.objectives.axes import Entropy, Position
from htpo.objectives.quantiles import rank_cut
from htpo.objectives.rules import ppo, zero
from htpo.objectives.table import Cell, TableObjective
from tests.objectives import oracle
from tests.objectives.oracle import Options
from tests.objectives.samples import as_responses, evaluate, random_batch, rows_of

LENGTHS = [0, 1, 2, 3, 60, 59, *range(4, 30)]
MIXTURES = list(product(("response", "turn", "batch"), repeat=2))
EXTRA_AXES = {"none": [], "position": ["position"], "covariance": [{"covariance": {"share": 0.05}}]}
EXTRA_AXES["covariance_band"] = [{"covariance_band": {"share": 0.05, "low": 0.1, "high": 2.0}}]


def mixture(axis: str, detach: str, extra=()) -> TableObjective:
    axes = ["difficulty", "correctness", {"entropy": {"scope": axis}}, *extra]
    return make_objective("htpo", entropy_scope=detach, detach_lowest=0.3, detach_highest=0.3, axes=axes)


@pytest.mark.parametrize(("axis", "detach"), MIXTURES)
def test_a_mixture_of_scopes_equals_the_oracle(axis, detach):
    options = Options(entropy_scope=axis, detach_lowest=0.3, detach_highest=0.3)
    for seed, distinct in product((0, 1), (0, 5)):
        batch = random_batch(seed, LENGTHS, distinct_entropies=distinct, turns=7)
        expected = oracle.htpo_tokens(as_responses(batch), options, detach)
        out, gradient = evaluate(mixture(axis, detach), batch)
        assert out.group.tolist() == [[token.group for token in row] for row in expected]
        assert out.detached.tolist() == [[token.detached for token in row] for row in expected]
        value, slope = (torch.tensor([[getattr(t, n) for t in row] for row in expected]) for n in ("value", "gradient"))
        torch.testing.assert_close(out.value, value.double(), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(gradient, slope.double(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("extra", EXTRA_AXES.values(), ids=EXTRA_AXES)
@pytest.mark.parametrize(("axis", "detach"), MIXTURES)
def test_parts_of_a_batch_with_its_cuts_equal_the_whole_in_every_mixture(axis, detach, extra):
    objective, batch = mixture(axis, detach, extra), random_batch(0, LENGTHS, turns=7)
    whole, gradient = evaluate(objective, batch)
    cuts = objective.partition(batch).cuts
    assert {tuple(cut.shape) for cut in cuts.values()} <= {(1, 1)}
    assert bool(cuts) == objective.takes_batch_quantiles
    for size in (1, 5, 16):
        for start in range(0, len(LENGTHS), size):
            rows = slice(start, start + size)
            part, part_gradient = evaluate(objective, rows_of(batch, rows), cuts)
            assert torch.equal(part.group, whole.group[rows])
            assert torch.equal(part.detached, whole.detached[rows])
            torch.testing.assert_close(part.value, whole.value[rows], rtol=1e-12, atol=0)
            torch.testing.assert_close(part_gradient, gradient[rows], rtol=1e-12, atol=0)


def test_two_quantiles_over_one_batch_do_not_share_a_threshold():
    axes = (Entropy(0.2, "batch"), Entropy(0.6, "batch"))
    cells = {levels: Cell(zero if levels == ("low", "high") else ppo) for levels in product(("low", "high"), repeat=2)}
    objective = TableObjective("bands", cells, lambda *x: x, axes)
    batch = random_batch(0, LENGTHS)
    shares = [objective(batch).stats[f"group/G{number}/token_share"].item() for number in range(1, 5)]
    assert shares == pytest.approx([0.4, 0.4, 0.0, 0.2], abs=2e-3)


@pytest.mark.parametrize("share", ["0.1", "0.3", "0.35", "0.7", "1"])
def test_exactly_the_first_share_of_a_response_is_early(share):
    lengths = [*range(1, 60), 90, 100, 180]
    batch = random_batch(0, lengths)
    late = Position(float(share)).level(batch, {}).bool()
    early = [int((mask & ~row).sum()) for mask, row in zip(batch.mask, late, strict=True)]
    assert early == [math.ceil(Fraction(share) * n) for n in lengths]


@pytest.mark.parametrize(("fraction", "rank"), [(1 / 3, 10_000), (0.1234567890123456, 3703), (0.1 + 0.2, 9000)])
def test_a_fraction_of_many_digits_keeps_its_rank_among_many_tokens(fraction, rank):
    tokens = 30_000
    values = torch.arange(tokens, dtype=torch.float64).view(1, -1)
    cut = rank_cut(values, torch.ones(1, tokens, dtype=torch.int8), fraction, "batch", largest=True)
    assert cut.item() == tokens - rank
