"""What is recorded of a response is what verl's own worker computes of it in the first update."""

from dataclasses import replace

import pytest
import torch

from htpo.engines.verl.batch_fields import CUTS, batch_fields, cut_names, cuts_of, field_of
from htpo.engines.verl.group_facts import GroupFacts
from htpo.engines.verl.rollouts import rollouts_of
from htpo.objectives import TableObjective, make_objective
from tests.engines.verl.test_rollouts import Letters
from tests.engines.verl.worker import (
    as_token_batch,
    fields_of,
    loss_of,
    make_rollouts,
    start_worker,
    train_once,
    verl_batch,
    with_turns,
)

pytestmark = pytest.mark.verl


@pytest.mark.parametrize("layout", ["unpadded", "padded, cut in four"])
@pytest.mark.parametrize(
    ("objective", "entropy_of"),
    [
        (make_objective("htpo", detach_lowest=0.2), "current"),
        (make_objective("htpo", entropy_scope="batch", detach_lowest=0.2), "old"),
        (make_objective("htpo", entropy_scope="turn", detach_lowest=0.2), "current"),
        (make_objective("dapo"), "current"),
    ],
    ids=["htpo", "htpo by batch", "htpo by turn", "dapo"],
)
def test_groups_and_weights_are_those_that_the_worker_computes(objective, entropy_of, layout, tiny_model, monkeypatch):
    drawn = with_turns(make_rollouts(tiny_model))
    sampled = replace(drawn, known=[replace(r, old_log_prob=r.log_prob) for r in drawn.known])  # no update yet
    fields = fields_of(objective, sampled)
    seen = []

    def spy(self, batch, cuts=None, compute=TableObjective.__call__):
        outcome = compute(self, batch, cuts)
        seen.extend(
            (None if outcome.group is None else outcome.group[row][mask].tolist(), outcome.weight[row][mask].tolist())
            for row, mask in enumerate(batch.mask)
        )
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(TableObjective, "__call__", spy)
        train_once(
            start_worker(tiny_model, layout), loss_of(objective, entropy_of), verl_batch(sampled, layout, **fields)
        )
    batch = as_token_batch(sampled)
    tokens = {"old_log_probs": batch.log_prob, "advantages": batch.advantage, "entropy": batch.entropy}
    tokens = {name: value.float() for name, value in tokens.items()} | {"response_mask": batch.mask.long()}
    tokens |= {field_of(name): batch.turn for name in objective.reads}
    rows = len(batch.mask)
    unknown = dict.fromkeys(("reward_model", "extra_info", "extra_fields"), [{}] * rows)
    of_rows = {
        "prompts": sampled.prompts,
        "responses": torch.zeros(batch.mask.shape, dtype=torch.int64),
        "rm_scores": torch.zeros(rows, 1),
    }
    facts = GroupFacts(batch.correct, batch.group_accuracy.float())
    names = cut_names(objective)
    cuts = cuts_of(names, batch_fields(objective, facts, tokens if names else None).get(CUTS))
    keys = [f"{row // 4}_{row % 4}_0" for row in range(rows)]
    kept = rollouts_of(keys, tokens | unknown | of_rows, facts, objective, cuts, Letters())
    assert len(kept) == len(seen) == rows
    for one, (group, weight) in zip(kept, seen, strict=True):
        assert one["group"] == ([0] * len(weight) if group is None else group)
        assert one["weight"] == pytest.approx(weight, abs=1e-5)
    assert len({weight for one in kept for weight in one["weight"]}) > 1 or objective.name == "dapo"
