"""The worker program behind `EnvironmentWorkers`: it holds the episodes under way; see `htpo.workers.program`.

Every reply is `{"value": ...}`, or `{"error": ...}` with a line on what the environment raised, and where; beside that,
under `"too_few"`, whether it was `TooFewTasks`.
"""

import functools
import json
import traceback
from collections.abc import Callable
from typing import Any

from htpo.environments.environment import Environment, Observation, TooFewTasks, checked_observation
from htpo.environments.label import make_environment
from htpo.environments.trial import try_environment
from htpo.errors import UserError
from htpo.workers.program import serve

under_way: dict[int, Environment] = {}
resting: list[Environment] = []  # of episodes that have ended, to be reset


def said(handler: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """The handler with whatever it raises told in a line."""

    @functools.wraps(handler)
    def wrapper(*arguments: Any) -> dict[str, Any]:
        try:
            return {"value": handler(*arguments)}
        except UserError as error:
            return {"error": str(error), "too_few": isinstance(error, TooFewTasks)}
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            return {"error": f"{type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"}

    return wrapper


@functools.cache
def environment(path: str, options: str) -> Environment:
    """One that only answers questions about its tasks."""
    return make_environment(path, json.loads(options))


@said
def splits(path: str, options: str) -> list[str]:
    """Names of the sets of tasks."""
    return list(environment(path, options).splits)


@said
def rows(path: str, options: str, split: str | None, count: int | None, seed: int) -> list[dict[str, Any]]:
    """Tasks of a split, by default of the first."""
    asked = environment(path, options)
    split = asked.splits[0] if split is None else split
    if split not in asked.splits:
        raise UserError(f"environment {path!r} has no split {split!r}: give one of {', '.join(asked.splits)}")
    return asked.rows(split, count, seed)


@said
def walkthrough(path: str, options: str, row: dict[str, Any]) -> list[str] | None:
    """Actions that do the task."""
    return environment(path, options).walkthrough(row)


@said
def tried(path: str, options: str, row: dict[str, Any], seed: int) -> list[str]:
    """What is wrong with the environment."""
    return try_environment(make_environment(path, json.loads(options)), row, seed)


@said
def reset(episode: int, path: str, options: str, row: dict[str, Any], seed: int) -> dict[str, Any]:
    """Begin an episode."""
    if not resting:
        resting.append(make_environment(path, json.loads(options)))
    world = resting.pop()
    seen = checked_observation(world.reset(row, seed))
    under_way[episode] = world
    return {"observation": plain(seen, episode), "max_steps": world.max_steps}


@said
def step(episode: int, action: str | None) -> dict[str, Any]:
    """Act; None is an action that was no text."""
    world = under_way.pop(episode)  # one that raises is not used again
    seen = checked_observation(world.step(action))  # type: ignore[arg-type]
    under_way[episode] = world
    return plain(seen, episode)


def plain(seen: Observation, episode: int) -> dict[str, Any]:
    """An observation as JSON; an environment that has done is free for the next episode."""
    if seen.done:
        resting.append(under_way.pop(episode))
    return vars(seen)


def end(episode: int) -> None:
    """Nobody will act in an episode any more."""
    if episode in under_way:
        resting.append(under_way.pop(episode))


if __name__ == "__main__":
    handlers: dict[str, Callable[..., Any]] = {
        "splits": splits,
        "rows": rows,
        "walkthrough": walkthrough,
        "tried": tried,
        "reset": reset,
        "step": step,
        "end": end,
    }
    serve(handlers, warm_up=lambda: None)
