"""Whether an environment keeps its word, tried before a run."""

from collections.abc import Sequence
from typing import Any

from htpo.environments.environment import Environment, Observation, Row, checked_observation

NO_ACTIONS: Sequence[Any] = ("", "\ud800 no such action \x00", None)
TRIED_STEPS = 3


def try_environment(environment: Environment, row: Row, seed: int) -> list[str]:
    """What is wrong with the environment, in a line each.

    It is reset twice, and takes the same few actions each time, some of which are none.
    """
    first, second = _tried(environment, row, seed), _tried(environment, row, seed)
    wrong = []
    if first[0].done:
        wrong.append("an episode is over before the first action")
    if first != second:
        wrong.append("the same row, seed and actions do not lead to the same observations")
    if any(seen.success and not seen.done for seen in first):
        wrong.append("an observation is a success, and the episode goes on")
    return wrong


def _tried(environment: Environment, row: Row, seed: int) -> list[Observation]:
    seen = [checked_observation(environment.reset(row, seed))]
    for action in NO_ACTIONS:
        if not seen[-1].done:
            seen.append(checked_observation(environment.step(action)))
    for _ in range(TRIED_STEPS):
        if seen[-1].actions and not seen[-1].done:
            seen.append(checked_observation(environment.step(seen[-1].actions[0])))
    return seen
