"""The vocabulary of environments: what one can be asked, and what it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from htpo.errors import UserError

FAILURES = {
    "timeout": "the environment took too long over a reset or a step",
    "crash": "the environment raised, died, or ran out of memory",
}
"""How an environment can fail. The episode is over then and counts as no success, with score 0; the run goes on."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Observation:
    """What an environment shows after a reset or a step.

    Attributes:
        text: for the policy to read.
        actions: all that are possible now, where the environment can list them.
        done: whether the episode is over.
        success: whether the task is done, which is what counts as correct.
        score: how well it is done so far, 1 for a success; what partial credit there is stands here alone.
        invalid: the action before was none, or none that is possible here; nothing has changed.
    """

    text: str
    actions: tuple[str, ...] | None = None
    done: bool = False
    success: bool = False
    score: float = 0.0
    invalid: bool = False


class TooFewTasks(UserError):
    """An environment has not as many tasks as it is asked for."""


class Environment(Protocol):
    """One episode at a time of some text world. The constructor takes options, by keyword, that are JSON.

    It runs in a worker process that has others of its kind: what is heavy and never changes belongs into a cache of the
    module. An instance is reset many times, and killed without a word. All it does follows from its options, the row,
    the seed and the actions: an episode whose process has died goes on by its actions given again.

    Attributes:
        splits: names of the sets of tasks, the one to train on first, the one to be measured on last.
        max_steps: after how many actions an episode ends, unless the caller says otherwise.
    """

    splits: Sequence[str]
    max_steps: int

    def rows(self, split: str, count: int | None, seed: int) -> list[dict[str, Any]]:
        """Tasks of a split as JSON, each with an `id` and a `task_type`.

        Args:
            count: how many; None for all, or, where they are made, for as many as the environment likes.
            seed: which ones, where they are made.

        Raises:
            TooFewTasks: there are not so many.
        """

    def reset(self, row: Row, seed: int) -> Observation:
        """Begin an episode of the task in `row`; whatever is drawn by chance follows from `seed`."""

    def step(self, action: str) -> Observation:
        """Act. An action that is unknown, impossible here or no text is `invalid`, and never an exception."""

    def walkthrough(self, row: Row) -> list[str] | None:
        """Actions that do the task, where some are known."""


def checked_observation(seen: Any) -> Observation:
    """What an environment returned, if it is an observation.

    Raises:
        TypeError: it is not, or what it says is of another type than it should be.
    """
    if not isinstance(seen, Observation):
        raise TypeError(f"an environment must return an Observation, not {type(seen).__name__}")
    if not isinstance(seen.text, str):
        raise TypeError(f"an observation's text must be a str, not {type(seen.text).__name__}")
    actions = seen.actions
    if actions is not None and (isinstance(actions, str) or not all(isinstance(each, str) for each in actions)):
        raise TypeError("an observation's actions must be None or several texts")
    score = float(seen.score)
    if not abs(score) < float("inf"):
        raise TypeError(f"an observation's score is {score}, and must be finite")
    done, success, invalid = (_flag(name, getattr(seen, name)) for name in ("done", "success", "invalid"))
    return Observation(seen.text, None if actions is None else tuple(actions), done, success, score, invalid)


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False):
        raise TypeError(f"an observation's {name} is {value!r}, and must be True or False")
    return bool(value)
