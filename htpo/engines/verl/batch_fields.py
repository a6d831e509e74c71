"""What the driver adds to verl's batch for the objective: workers see parts of it, in micro-batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from htpo.engines.verl.group_facts import GroupFacts
from htpo.errors import UserError
from htpo.objectives import TableObjective, TokenBatch
from htpo.objectives.axes import Cuts
from htpo.playing.verdicts import EPISODE

CORRECT, GROUP_ACCURACY, CUTS = "htpo_correct", "htpo_group_accuracy", "htpo_cuts"
PER_TOKEN = ("old_log_probs", "advantages", "entropy", "response_mask")
"""verl's fields, (B, T) each, that thresholds over the whole batch are computed from; the entropy is the sampling
policy's."""


OF_EPISODES = {"turn": torch.int32, "segment": torch.int8}
"""Fields of a `TokenBatch` that batches of episodes alone have, (B, T) each, by name; as an agent loop left them in the
row's `EPISODE`."""


def field_of(name: str) -> str:
    """The name in verl's batch of one of `OF_EPISODES`."""
    return f"htpo_{name}"


def episode_fields(
    names: Sequence[str], extra_fields: Sequence[Mapping[str, Any]], lengths: Sequence[int], padding: Sequence[bool]
) -> dict[str, Tensor]:
    """Some of `OF_EPISODES`, nested (B, T), by their names in verl's batch.

    Args:
        extra_fields: of each row, as verl's agent loops left them.
        lengths: tokens of each response.
        padding: rows that verl added, of which nothing is trained on: zeros.

    Raises:
        UserError: a row is no episode.
    """
    found = {}
    for name in names:
        rows = []
        for fields, length, added in zip(extra_fields, lengths, padding, strict=True):
            values = [0] * length if added else (fields.get(EPISODE) or {}).get(name)
            if values is None:
                raise UserError(
                    f"the objective tells tokens apart by their {name}, which episodes of an environment alone have "
                    "(docs/verl.md, Episodes)"
                )
            rows.append(torch.tensor(values, dtype=OF_EPISODES[name]))
        found[field_of(name)] = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    return found


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
        per_token: `PER_TOKEN`, padded; of episodes `field_of` what the objective reads, too.
    """
    of_episodes = {name: per_token[field_of(name)] for name in OF_EPISODES if field_of(name) in per_token}
    return TokenBatch(
        log_prob=per_token["old_log_probs"],
        old_log_prob=per_token["old_log_probs"],
        advantage=per_token["advantages"],
        entropy=per_token["entropy"],
        mask=per_token["response_mask"].bool(),
        correct=facts.correct,
        group_accuracy=facts.group_accuracy,
        **of_episodes,
    )


def cut_names(objective: TableObjective) -> list[str]:
    """Names of the thresholds that the objective takes over a whole batch, in the order in which they travel."""
    zero, one = torch.zeros(1, 1), torch.ones(1, dtype=torch.bool)
    of_episodes: dict[str, Any] = {name: torch.ones(1, 1, dtype=kind) for name, kind in OF_EPISODES.items()}
    batch = TokenBatch(
        zero, zero, zero, zero, mask=one.view(1, 1), correct=one, group_accuracy=torch.zeros(1), **of_episodes
    )
    return sorted(objective.partition(batch).cuts)


def cuts_of(names: Sequence[str], cuts: Tensor | None) -> Cuts:
    """Thresholds by their `cut_names` from rows of `CUTS`; none from None."""
    return {} if cuts is None else dict(zip(names, cuts[0].view(-1, 1, 1), strict=True))
