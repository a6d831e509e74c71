"""What the driver adds to verl's batch for the objective: workers see parts of it, in micro-batches."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from htpo.engines.verl.group_facts import GroupFacts
from htpo.objectives import TableObjective, TokenBatch
from htpo.objectives.axes import Cuts

CORRECT, GROUP_ACCURACY, CUTS = "htpo_correct", "htpo_group_accuracy", "htpo_cuts"
PER_TOKEN = ("old_log_probs", "advantages", "entropy", "response_mask")
"""verl's fields, (B, T) each, that thresholds over the whole batch are computed from; the entropy is the sampling
policy's."""


def batch_fields(
    objective: TableObjective, facts: GroupFacts, per_token: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """`CORRECT`, (B,) int8, and `GROUP_ACCURACY`, (B,) float32; `CUTS`, (B, thresholds) float32, where there are any.

    Thresholds over the whole batch are the same in each row, in the order of `cut_names`.

    Args:
        per_token: `PER_TOKEN`, padded; None for an objective without `cut_names`.
    """
    fields = {CORRECT: facts.correct.to(torch.int8), GROUP_ACCURACY: facts.group_accuracy}
    if per_token is None:
        return fields
    cuts = objective.partition(before_updates(facts, per_token)).cuts
    row = torch.cat([cuts[name].reshape(1) for name in sorted(cuts)]).float()
    return {**fields, CUTS: row.repeat(len(facts.correct), 1)}


def before_updates(facts: GroupFacts, per_token: Mapping[str, Tensor]) -> TokenBatch:
    """Rows of verl's batch under the policy that sampled them, which is that of its first update.

    Args:
        per_token: `PER_TOKEN`, padded.
    """
    return TokenBatch(
        log_prob=per_token["old_log_probs"],
        old_log_prob=per_token["old_log_probs"],
        advantage=per_token["advantages"],
        entropy=per_token["entropy"],
        mask=per_token["response_mask"].bool(),
        correct=facts.correct,
        group_accuracy=facts.group_accuracy,
    )


def cut_names(objective: TableObjective) -> list[str]:
    """Names of the thresholds that the objective takes over a whole batch, in the order in which they travel."""
    zero, one = torch.zeros(1, 1), torch.ones(1, dtype=torch.bool)
    batch = TokenBatch(zero, zero, zero, zero, mask=one.view(1, 1), correct=one, group_accuracy=torch.zeros(1))
    return sorted(objective.partition(batch).cuts)


def cuts_of(names: Sequence[str], cuts: Tensor | None) -> Cuts:
    """Thresholds by their `cut_names` from rows of `CUTS`; none from None."""
    return {} if cuts is None else dict(zip(names, cuts[0].view(-1, 1, 1), strict=True))
