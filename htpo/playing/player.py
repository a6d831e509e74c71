"""Episodes played by a policy, all living ones a turn at a time in one batch; each becomes one row to train on."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol

from htpo.environments import EnvironmentWorkers, Episode, Observation


@dataclass(frozen=True)
class Turn:
    """What a policy sampled in one go: ids with the end token, if it came to that, and their log-probabilities."""

    ids: list[int]
    log_probs: list[float] | None = None


Sample = Callable[[list[list[int]]], list[Turn]]
"""Goes on with every one of several sequences of ids."""


class Turns(Protocol):
    """An environment's side of an episode as ids, and the policy's as an action (see `TurnTokens`)."""

    def first(self, observation: Observation) -> list[int]:
        """The prompt."""

    def following(self, turn: Sequence[int], observation: Observation) -> list[int]:
        """What stands between a turn of the policy and its next."""

    def action(self, turn: Sequence[int]) -> str | None:
        """The action in a turn of the policy, None where there is none."""

    def text(self, ids: Sequence[int]) -> str:
        """Ids as the policy read them."""

    def written(self, turn: Sequence[int]) -> str:
        """A turn of the policy, to be read by people."""


@dataclass(eq=False)
class EpisodeRow:
    """An episode as one sequence: the prompt, and turns of the policy with what it was shown between them.

    Later turns were sampled after exactly the ids that stand before them here, but for turns that had left (see
    `forgotten`). What is shown after the last turn is not in it, as nothing was sampled from it.

    Attributes:
        sampled: of each id of the response, whether the policy sampled it.
        turn_numbers: of each id of the response, the turn in which it was sampled, from 1; 0 where it was not.
        log_probs: of each id of the response, 0 where it was not sampled; None where the sampler gives none.
        turns: what was sampled, turn by turn.
        shown: what stands after each of them but the last.
        start: the turn, from 0, with which the history begins that the policy is shown next; those before have left.
        forgotten: turn by turn, how many of the oldest had left when it was sampled.
        overflowed: the episode was given up, as another turn would not have fitted.
    """

    episode: Episode
    prompt: list[int]
    response: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    turn_numbers: list[int] = field(default_factory=list)
    log_probs: list[float] | None = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    shown: list[list[int]] = field(default_factory=list)
    start: int = 0
    forgotten: list[int] = field(default_factory=list)
    overflowed: bool = False

    @property
    def context(self) -> list[int]:
        """What the next turn is sampled after: the prompt, and the turns that have not left."""
        return self.prompt + self.history

    @property
    def history(self) -> list[int]:
        """The turns that have not left, each with what it led to, as the ids that they were."""
        pairs = zip_longest(self.turns[self.start :], self.shown[self.start :])
        return [each for turn, shown in pairs for each in (*turn.ids, *(shown or ()))]

    def forget(self) -> bool:
        """Have the oldest turn leave, with what it led to; False where only the last is left, which stays."""
        if self.start >= len(self.turns) - 1:
            return False
        self.start += 1
        return True

    def take(self, turn: Turn) -> None:
        """Append a turn of the policy."""
        self.turns.append(turn)
        self.forgotten.append(self.start)
        self._append(turn.ids, turn.log_probs, sampled=True)

    def show(self, ids: list[int]) -> None:
        """Append what the policy is shown next."""
        self.shown.append(ids)
        self._append(ids, [0.0] * len(ids), sampled=False)

    def _append(self, ids: list[int], log_probs: list[float] | None, *, sampled: bool) -> None:
        self.response += ids
        self.sampled += [sampled] * len(ids)
        self.turn_numbers += [len(self.turns) if sampled else 0] * len(ids)
        self.log_probs = None if self.log_probs is None or log_probs is None else self.log_probs + log_probs


@dataclass(frozen=True)
class Player:
    """Has a policy play episodes.

    An episode ends when the environment says so, after the environment's number of actions, or when what is to be shown
    next and a whole turn no longer fit into `max_tokens` or `max_context`: it is given up then, and no success.

    Where `oldest_leave`, the oldest turns leave before that, each with what it led to, until the others fit; the
    prompt, in which the task stands, and the last turn stay. Such an episode is no longer one sequence, and so is
    nothing to train on.

    Args:
        worlds: where the episodes live.
        turns: what is shown and read, as ids.
        max_turn_tokens: what a turn of the policy is cut off at by the sampler; the action is sought in what there is.
        max_tokens: of the turns that the policy is shown, what is shown between them and the turn to come; None where
            whoever samples counts them.
        max_context: of those and the prompt; None: as many.
        oldest_leave: whether the oldest turns leave what no longer fits.
        history_length: turns that the policy is shown, at most, the last ones; None: all.
    """

    worlds: EnvironmentWorkers
    turns: Turns
    max_turn_tokens: int
    max_tokens: int | None
    max_context: int | None = None
    oldest_leave: bool = False
    history_length: int | None = None

    def play(self, tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int], sample: Sample) -> list[EpisodeRow]:
        """An episode of each task, with its seed of the environment.

        Where an environment fails at its reset, the prompt tells of nothing and the response is empty.
        """
        rows = self.begin(tasks, seeds)
        play_rounds(self.rounds(rows), lambda living: sample([row.context for row in living]))
        return rows

    def begin(self, tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[EpisodeRow]:
        """Episodes that `rounds` goes on with."""
        episodes = self.worlds.reset(tasks, seeds)
        rows = [EpisodeRow(episode, self.turns.first(episode.observation)) for episode in episodes]
        for row in rows:
            if not row.episode.done and self._too_long(row, 0):
                self._give_up(row)
        return rows

    def rounds(self, rows: Sequence[EpisodeRow]) -> "Rounds":
        """Of episodes that were begun, again and again those that want a turn; it is sent the turns.

        None in place of a turn says that there is no room for one: the episode is given up.
        """
        living = [row for row in rows if not row.episode.done and not row.overflowed]
        while living:
            turns = yield living
            played = []
            for row, turn in zip(living, turns, strict=True):
                if turn is None:
                    self._give_up(row)
                else:
                    row.take(turn)
                    played.append((row, turn))
            self.worlds.step([row.episode for row, _ in played], [self.turns.action(turn.ids) for _, turn in played])
            living = [row for row, turn in played if self._goes_on(row, turn)]

    def _goes_on(self, row: EpisodeRow, turn: Turn) -> bool:
        if row.episode.done:
            return False
        shown = self.turns.following(turn.ids, row.episode.observation)
        if not self._makes_room(row, len(shown)):
            self._give_up(row)
            return False
        row.show(shown)
        return True

    def _makes_room(self, row: EpisodeRow, shown: int) -> bool:
        """Have turns leave that are too many, where they may; whether what is shown and another turn fit then."""
        if self.history_length is not None:
            row.start = max(row.start, len(row.turns) - self.history_length)
        while too_long := self._too_long(row, shown):
            if not (self.oldest_leave and row.forget()):
                break
        return not too_long

    def _too_long(self, row: EpisodeRow, shown: int) -> bool:
        """Whether what is shown and another turn do not fit."""
        length = len(row.history) + shown + self.max_turn_tokens
        if self.max_context is not None and len(row.prompt) + length > self.max_context:
            return True
        return self.max_tokens is not None and length > self.max_tokens

    def _give_up(self, row: EpisodeRow) -> None:
        row.overflowed = True
        self.worlds.end([row.episode])


Rounds = Generator[list[EpisodeRow], list[Turn | None], None]
"""Episodes that want a turn, round by round; see `Player.rounds`."""


def play_rounds(rounds: Rounds, sample: Callable[[list[EpisodeRow]], Sequence[Turn | None]]) -> None:
    """Play to the end, with a policy that goes on with every one of several episodes."""
    living = next(rounds, None)
    while living is not None:
        living = next_round(rounds, sample(living))


def next_round(rounds: Rounds, turns: Sequence[Turn | None]) -> list[EpisodeRow] | None:
    """Play a round; those that want another turn, None when all have ended."""
    try:
        return rounds.send(list(turns))
    except StopIteration:
        return None
