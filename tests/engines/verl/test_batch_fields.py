"""Thresholds over the whole batch make every part of it what it is in the whole."""

import pytest
import torch

from htpo.engines.verl.batch_fields import CORRECT, CUTS, GROUP_ACCURACY, batch_fields, cut_names
from htpo.engines.verl.group_facts import GroupFacts
from htpo.objectives import make_objective
from tests.objectives.samples import random_batch, rows_of

OBJECTIVES = {
    "by response": make_objective("htpo"),
    "by batch": make_objective("htpo", entropy_scope="batch", detach_lowest=0.3, detach_highest=0.3),
    "entropy_mask": make_objective("entropy_mask"),
    "dapo": make_objective("dapo"),
}


@pytest.mark.parametrize(
    ("name", "thresholds"), [("by response", 0), ("by batch", 3), ("entropy_mask", 1), ("dapo", 0)]
)
def test_thresholds_travel_where_there_are_any(name, thresholds):
    assert len(cut_names(OBJECTIVES[name])) == thresholds


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_row_s_groups_are_those_it_has_in_the_whole_batch(name):
    objective, batch = OBJECTIVES[name], random_batch(0, [20, 30, 11, 25, 28, 17, 22, 9], dtype=torch.float32)
    tokens = {
        "old_log_probs": batch.old_log_prob,
        "advantages": batch.advantage,
        "entropy": batch.entropy,
        "response_mask": batch.mask.long(),
    }
    facts = GroupFacts(batch.correct, batch.group_accuracy)
    fields = batch_fields(objective, facts, tokens if cut_names(objective) else None)
    assert torch.equal(fields[CORRECT].bool(), batch.correct)
    assert torch.equal(fields[GROUP_ACCURACY], batch.group_accuracy)
    assert {len(value) for value in fields.values()} == {len(batch.mask)}
    whole = objective.partition(batch)
    for row in range(len(batch.mask)):
        cuts = fields[CUTS][row].view(-1, 1, 1) if CUTS in fields else ()
        part = objective.partition(rows_of(batch, slice(row, row + 1)), dict(zip(cut_names(objective), cuts)))
        assert torch.equal(part.group[0], whole.group[row])
        assert torch.equal(part.detached[0], whole.detached[row])
