"""One episode, as the caller sees it."""

from dataclasses import dataclass, field
from typing import Any

from htpo.environments.environment import Observation, Row


@dataclass(eq=False)
class Episode:
    """A task under way, or ended.

    Attributes:
        row, seed: the task.
        max_steps: after how many actions it ends.
        observation: what the policy sees now.
        actions: those given so far; None stands for one that was no text.
        invalid: of each action, whether it was not possible.
        failure: a key of `FAILURES` when the environment failed.
        truncated: whether it ended for its number of actions.
    """

    row: Row
    seed: int
    max_steps: int = 0
    observation: Observation = field(default_factory=lambda: Observation(""))
    actions: list[str | None] = field(default_factory=list)
    invalid: list[bool] = field(default_factory=list)
    failure: str | None = None
    truncated: bool = False

    @property
    def done(self) -> bool:
        """Whether there is nothing more to do."""
        return self.observation.done

    @property
    def invalid_actions(self) -> int:
        """How many actions were not possible."""
        return sum(self.invalid)

    @property
    def success(self) -> bool:
        """Whether the task is done."""
        return self.observation.success

    @property
    def score(self) -> float:
        """How well the task is done; 0 when the environment failed."""
        return self.observation.score

    def begun(self, observation: Observation, max_steps: int) -> None:
        """Take in what the reset showed."""
        self.observation, self.max_steps = observation, max_steps

    def acted(self, action: str | None, observation: Observation) -> None:
        """Take in what an action led to."""
        self.actions.append(action)
        self.invalid.append(observation.invalid)
        self.truncated = not observation.done and len(self.actions) >= self.max_steps
        self.observation = _ended(observation) if self.truncated else observation

    def failed(self, failure: str) -> None:
        """The environment has failed."""
        self.failure = failure
        self.observation = Observation("", done=True)


def _ended(seen: Observation) -> Observation:
    return Observation(seen.text, seen.actions, True, seen.success, seen.score, seen.invalid)


def as_text(action: Any) -> str | None:
    """The action, None when it is no text."""
    return action if isinstance(action, str) else None
