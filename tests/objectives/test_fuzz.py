"""A short run of `tests.objectives.fuzz`, and that it would find a number that is wrong.

docs/reliability.md has the long run, which is a command.
"""

import random
from dataclasses import replace

import pytest
import torch

from htpo.objectives import OBJECTIVES, TokenBatch, make_objective, sequence_mean
from htpo.objectives.axes import Difficulty
from htpo.objectives.rules import ppo
from htpo.objectives.table import Cell
from tests.objectives import fuzz
from tests.objectives.equations import table_of
from tests.objectives.fuzz import fuzzed_batch, fuzzed_options


def test_fuzzed_batches_through_every_objective_equal_their_equations():
    counts, faults = fuzz.fuzz(list(OBJECTIVES), range(20))
    assert faults == []
    for name, count in counts.items():
        assert count["batches"] == 20
        assert count["tokens"] > 300, name
        assert count["undecided"] + 20 * count["left out"] < 0.1 * count["tokens"], name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_registered_objective_has_its_equation(name):
    assert table_of(name, fuzzed_options(name, random.Random(0), episodes=False)) is not None


def test_a_batch_is_made_from_its_number_alone():
    first, again, other = (fuzzed_batch(number) for number in (5, 5, 6))
    assert repr(first) == repr(again) != repr(other)


def test_the_batches_are_of_every_kind():
    batches = [fuzzed_batch(number) for number in range(200)]
    assert [len(set(kinds)) for kinds in zip(*(b.kinds for b in batches))] == [5, 4, 4, 5]
    assert {b.batch.log_prob.dtype for b in batches} == {torch.float64, torch.float32, torch.bfloat16}
    lengths = [b.batch.mask.sum(1) for b in batches]
    assert any(not n.any() for n in lengths)
    assert any((n == 0).any() and (n == 1).any() and (n > 20).any() for n in lengths)
    assert {b.batch.advantage.dim() for b in batches} == {1, 2}
    assert any(b.batch.turn is not None and (b.batch.turn > 3).any() for b in batches)
    assert any(b.batch.log_ratio().abs().max() > 500 for b in batches if b.batch.mask.any())
    assert any(b.batch.group_accuracy.max() == 1 for b in batches)
    assert any(b.batch.correct.logical_not().all() for b in batches)


# A small change of an objective, each in another part of what is compared.
CHANGES = {
    "the clip range": ("dapo", lambda o: replace(o, clip_high=o.clip_high * 1.001)),
    "the dual clip": ("dapo", lambda o: replace(o, dual_clip=None)),
    "the aggregation": ("dapo", lambda o: replace(o, aggregate=sequence_mean)),
    "the aggregation over micro-batches": (
        "dapo",
        lambda o: replace(o, aggregate=lambda x, mask, denominator: o.aggregate(x, mask)),
    ),
    "the ratio": ("gspo", lambda o: replace(o, ratio_level="token")),
    "a cell's weight": ("htpo", lambda o: replace(o, table=dict.fromkeys(o.table, Cell(ppo, weight=1.001)))),
    "a threshold": ("htpo", lambda o: replace(o, axes=(Difficulty(0.5), *o.axes[1:]))),
    "a share": ("entropy_mask", lambda o: replace(o, axes=(replace(o.axes[0], fraction=0.25),))),
    "a scope": ("entropy_mask", lambda o: replace(o, axes=(replace(o.axes[0], scope="response"),))),
    "the draw": ("clip_cov", lambda o: replace(o, axes=(replace(o.axes[0], low=0.9),))),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_number_that_is_wrong_is_found(what, monkeypatch):
    name, change = CHANGES[what]
    monkeypatch.setattr(fuzz, "make_objective", lambda name, **options: change(make_objective(name, **options)))
    monkeypatch.setattr(fuzz, "fuzzed_options", lambda name, draw, episodes: make_options(name))
    counts, faults = fuzz.fuzz([name], range(30))
    assert counts[name]["wrong"] == len(faults) > 0


def test_sapo_far_from_the_old_policy_keeps_its_gradient_in_float32():
    """Batch 7335 found that it was rounded to 0 where the gate is within rounding of 1."""
    ratio = torch.tensor([[2.0, 12.0, 18.0, 30.0]])
    zeros, ones = torch.zeros_like(ratio), torch.ones(1)
    batch = TokenBatch(ratio.log(), zeros, ones, zeros, ratio > 0, ones > 0, ones)
    slope = make_objective("sapo")(batch).slope.double()
    gate = torch.sigmoid(1 - ratio.double())
    torch.testing.assert_close(slope, 4 * gate * (1 - gate) * ratio, rtol=1e-4, atol=0)


def make_options(name):
    return {**fuzz.objective_options(name), **({"share": 0.2} if name == "clip_cov" else {})}
