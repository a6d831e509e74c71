"""By whose entropy tokens are told apart: the option `entropy_of`, which means the same under every engine.

- `current`: that of the policy in training, which moves from update to update. What depends on other responses is taken
  over the update.
- `old`: that of the policy that sampled, known per token once a generation batch is sampled. A token's group is then
  the same in every update made of that batch, and what depends on other responses is taken over the whole batch, that
  is over all those updates.

Both are the same where one update is made of each batch.
"""

from htpo.errors import UserError
from htpo.objectives import TableObjective
from htpo.objectives.axes import Entropy

ENTROPIES = {"current": "the policy in training (the paper's)", "old": "the policy that sampled, for a whole batch"}


def reads_the_current_batch(objective: TableObjective) -> bool:
    """Whether something other than entropies is compared over many responses: covariances, ratios, axes of a user's."""
    others = [axis for axis in objective.axes if getattr(axis, "scope", None) == "batch" and type(axis) is not Entropy]
    return bool(objective.adaptive_clip or others)


def check_entropy_of(objective: TableObjective, entropy_of: str) -> None:
    """Refuse the sampling policy's entropy under an objective that compares the policy in training over the batch.

    Raises:
        UserError: one line that says so.
    """
    if entropy_of == "old" and reads_the_current_batch(objective):
        raise UserError(
            f"entropy_of=old: objective {objective.name!r} looks at the whole batch under the policy in training, so "
            "entropies of another one would not settle its groups: entropy_of=current"
        )
