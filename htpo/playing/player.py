"""Episodes played by a policy, all living ones a turn at a time in one batch; each becomes one row to train on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from htpo.environments import EnvironmentWorkers, Episode
from htpo.playing.turn_tokens import TurnTokens


@dataclass(frozen=True)
class Turn:
    """What a policy sampled in one go: ids with the end token, if it came to that, and their log-probabilities."""

    ids: list[int]
    log_probs: list[float] | None = None


Sample = Callable[[list[list[int]]], list[Turn]]
"""Goes on with every one of several sequences of ids."""


@dataclass(eq=False)
class EpisodeRow:
    """An episode as one sequence: the prompt, and turns of the policy with what it was shown between them.

    Later turns were sampled after exactly the ids that stand before them here. What is shown after the last turn is not
    in it, as nothing was sampled from it.

    Attributes:
        sampled: of each id of the response, whether the policy sampled it.
        log_probs: of each id of the response, 0 where it was not sampled; None where the sampler gives none.
        overflowed: the episode was given up, as another turn would not have fitted.
    """

    episode: Episode
    prompt: list[int]
    response: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    log_probs: list[float] | None = field(default_factory=list)
    overflowed: bool = False

    def take(self, turn: Turn) -> None:
        """Append a turn of the policy."""
        self._append(turn.ids, turn.log_probs, sampled=True)

    def show(self, ids: list[int]) -> None:
        """Append what the policy is shown next."""
        self._append(ids, [0.0] * len(ids), sampled=False)

    def _append(self, ids: list[int], log_probs: list[float] | None, *, sampled: bool) -> None:
        self.response += ids
        self.sampled += [sampled] * len(ids)
        self.log_probs = None if self.log_probs is None or log_probs is None else self.log_probs + log_probs


@dataclass(frozen=True)
class Player:
    """Has a policy play episodes.

    An episode ends when the environment says so, after the environment's number of actions, or when what is to be shown
    next and a whole turn no longer fit into `max_tokens`: it is given up then, and no success. Old turns cannot leave
    instead, as later ones were sampled after them and an episode is one sequence.

    Args:
        worlds: where the episodes live.
        turns: what is shown and read, as ids.
        max_turn_tokens: what a turn of the policy is cut off at by the sampler; the action is sought in what there is.
        max_tokens: of all turns and what is shown between them.
    """

    worlds: EnvironmentWorkers
    turns: TurnTokens
    max_turn_tokens: int
    max_tokens: int

    def play(self, tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int], sample: Sample) -> list[EpisodeRow]:
        """An episode of each task, with its seed of the environment.

        Where an environment fails at its reset, the prompt tells of nothing and the response is empty.
        """
        episodes = self.worlds.reset(tasks, seeds)
        rows = [EpisodeRow(episode, self.turns.first(episode.observation)) for episode in episodes]
        living = [row for row in rows if not row.episode.done]
        while living:
            sampled = sample([row.prompt + row.response for row in living])
            for row, turn in zip(living, sampled, strict=True):
                row.take(turn)
            self.worlds.step([row.episode for row in living], [self.turns.action(turn.ids) for turn in sampled])
            living = [row for row, turn in zip(living, sampled, strict=True) if self._goes_on(row, turn)]
        return rows

    def _goes_on(self, row: EpisodeRow, turn: Turn) -> bool:
        if row.episode.done:
            return False
        shown = self.turns.following(turn.ids, row.episode.observation)
        if len(row.response) + len(shown) + self.max_turn_tokens > self.max_tokens:
            row.overflowed = True
            self.worlds.end([row.episode])
            return False
        row.show(shown)
        return True
