"""What a method was published with, where options do not say otherwise."""

from htpo.errors import UserError
from htpo.objectives import TableObjective

OVERLONG_BUFFER_SHARE = 0.2
"""Of the response limit over which DAPO's soft overlong punishment falls: 4096 of 20480 tokens."""


def settle_overlong_buffer(objective: TableObjective, given: int | None, limit: int | None) -> int:
    """Tokens over which the soft overlong punishment falls; 0: there is none.

    Args:
        given: by the user; None: as the method was published.
        limit: tokens of a response at most.

    Raises:
        UserError: it is not within the limit.
    """
    if given is None:
        return int(OVERLONG_BUFFER_SHARE * limit) if objective.overlong_shaping and limit is not None else 0
    if given < 0 or (given and (limit is None or given > limit)):
        raise UserError(f"overlong_buffer is {given}, needs 0 to max_completion_length ({limit})")
    return given
