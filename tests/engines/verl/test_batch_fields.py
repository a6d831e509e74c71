"""Thresholds over the whole batch make every part of it what it is in the whole."""

from dataclasses import replace

import pytest
import torch

from htpo.engines.verl.batch_fields import (
    CORRECT,
    CUTS,
    GROUP_ACCURACY,
    batch_fields,
    cut_names,
    cuts_of,
    episode_fields,
    field_of,
)
from htpo.engines.verl.group_facts import GroupFacts
from htpo.errors import UserError
from htpo.objectives import make_objective
from htpo.playing.verdicts import EPISODE
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


def test_turns_are_those_of_the_episodes_and_padding_has_none():
    played = [{EPISODE: {"turn": [1, 1, 0, 2]}}, {EPISODE: {"turn": [1]}}, {EPISODE: {"turn": [1, 1, 0, 2]}}]
    fields = episode_fields(["turn"], played, [4, 1, 7], [False, False, True])
    assert [row.tolist() for row in fields["htpo_turn"].unbind()] == [[1, 1, 0, 2], [1], [0] * 7]
    assert fields["htpo_turn"].dtype == torch.int32
    thought = [{EPISODE: {"segment": [1, 2, 0, 2]}}]
    assert episode_fields(["segment"], thought, [4], [False])["htpo_segment"].values().tolist() == [1, 2, 0, 2]
    assert episode_fields([], played, [4, 1, 7], [False] * 3) == {}
    with pytest.raises(UserError, match="by their turn, which episodes of an environment alone have"):
        episode_fields(["turn"], [{}], [3], [False])


def test_thresholds_over_a_batch_of_episodes_are_those_of_a_table_that_reads_turns():
    objective = make_objective("htpo", axes=["turn", {"entropy": {"scope": "batch"}}], cells={"later high": "ppo"})
    assert len(cut_names(objective)) == 1
    batch = random_batch(0, [20, 30, 11, 25], dtype=torch.float32)
    turn = torch.arange(batch.mask.shape[1]).expand_as(batch.mask).int() // 8 + 1
    batch = replace(batch, turn=turn * batch.mask)
    tokens = {"old_log_probs": batch.old_log_prob, "advantages": batch.advantage, "entropy": batch.entropy}
    tokens |= {"response_mask": batch.mask.long(), field_of("turn"): batch.turn}
    fields = batch_fields(objective, GroupFacts(batch.correct, batch.group_accuracy), tokens)
    cuts = cuts_of(cut_names(objective), fields[CUTS])
    assert torch.equal(objective.partition(batch, cuts).group, objective.partition(batch).group)
