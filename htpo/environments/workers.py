"""Episodes in worker processes, several at once; what breaks one of them harms no other, nor the run."""

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self
from weakref import WeakKeyDictionary

from htpo.environments.environment import Observation, Row, TooFewTasks
from htpo.environments.episode import Episode, as_text
from htpo.environments.label import EnvironmentLabel
from htpo.environments.process import EnvironmentProcess, Failed, Place, TooFew
from htpo.errors import UserError
from htpo.workers.pool import usable_cores

logger = logging.getLogger(__name__)


class EnvironmentWorkers:
    """Runs episodes of one environment.

    An episode lives in one process, and is nothing but its row, its seed and its actions: when its process has died, of
    another episode or for its own growth, another takes it over by doing the same again. So what an episode shows
    depends neither on how many processes there are nor on what happens in them. Any thread may call, several at once.

    Args:
        environment: a name of `ENVIRONMENTS`, or `package.module:Class`.
        options: of the class, as JSON.
        workers: number of processes, each started at the first need; by default one for every usable core.
        max_steps: after how many actions an episode ends; by default the environment's own.
        reset_timeout, step_timeout: seconds of processor time for one reset or step, after which its process is killed;
            or ten times as many by the clock on the wall.
        memory_limit_mb: address space of one process, in MiB (Linux).

    Attributes:
        failures: episodes that the environment failed, by kind.

    Raises:
        UserError: there is no such environment, or the options are no JSON.
    """

    def __init__(
        self,
        environment: str,
        options: Mapping[str, Any] | None = None,
        workers: int | None = None,
        max_steps: int | None = None,
        reset_timeout: float = 30.0,
        step_timeout: float = 10.0,
        memory_limit_mb: int = 4096,
    ):
        self._arguments = (environment, options, workers, max_steps, reset_timeout, step_timeout, memory_limit_mb)
        label = EnvironmentLabel.parse(environment)
        if max_steps is not None and max_steps < 1:
            raise UserError(f"max_steps is {max_steps}, needs at least 1")
        self.name, self.max_steps = label.name, max_steps
        try:
            self._asked = [label.path, json.dumps(dict(options or {}))]
        except (TypeError, ValueError) as error:
            raise UserError(f"the options of environment {label.name} are no JSON: {error}") from None
        self._timeouts = {"reset": reset_timeout, "step": step_timeout}
        size = usable_cores() if workers is None else workers
        if size < 1:
            raise UserError(f"workers is {size}, needs at least 1")
        self._processes = [EnvironmentProcess(memory_limit_mb, max(reset_timeout, step_timeout)) for _ in range(size)]
        self._places: WeakKeyDictionary[Episode, Place] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self.failures: Counter[str] = Counter()

    def splits(self) -> list[str]:
        """Names of the sets of tasks (see `Environment`). Raises `UserError` where the environment cannot be made."""
        splits: list[str] = self._answer(["splits", *self._asked])
        return splits

    def rows(self, split: str | None = None, count: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Tasks of a split (see `Environment.rows`), by default of the first.

        Raises:
            TooFewTasks: there are not `count`.
            UserError: the environment cannot be made, or has no such split.
        """
        rows: list[dict[str, Any]] = self._answer(["rows", *self._asked, split, count, seed])
        return rows

    def walkthrough(self, row: Row) -> list[str] | None:
        """Actions that do the task, where some are known.

        Raises:
            UserError: the environment failed over it.
        """
        walkthrough: list[str] | None = self._answer(["walkthrough", *self._asked, dict(row)])
        return walkthrough

    def try_on(self, row: Row) -> None:
        """Raise UserError, with what is wrong, when the environment does not keep the word of an `Environment`."""
        wrong = self._answer(["tried", *self._asked, dict(row), 0])
        if wrong:
            raise UserError(f"environment {self.name}: {'; '.join(wrong)}")

    def reset(self, rows: Sequence[Row], seeds: Sequence[int]) -> list[Episode]:
        """Begin an episode of each row, with its seed. One that fails is over at once."""
        episodes = [Episode(dict(row), seed) for row, seed in zip(rows, seeds, strict=True)]
        for episode in episodes:
            self._settle(episode)
        self._each([(episode, None) for episode in episodes], self._begin)
        return episodes

    def step(self, episodes: Sequence[Episode], actions: Sequence[Any]) -> None:
        """Act in each of the episodes, and put what follows into it.

        Raises:
            ValueError: an episode is over.
        """
        for number, episode in enumerate(episodes):
            if episode.done:
                raise ValueError(f"episode {number} is over, after {len(episode.actions)} actions")
        self._each([(episode, as_text(action)) for episode, action in zip(episodes, actions, strict=True)], self._act)

    def end(self, episodes: Sequence[Episode]) -> None:
        """Give up episodes that are under way; those that are over have left already."""
        self._each([(episode, None) for episode in episodes if episode in self._places], self._leave)

    def close(self) -> None:
        """End the processes; a later call starts new ones. Safe to call again."""
        if self._owner == os.getpid():
            for process in self._processes:
                process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        """A copy, or what arrives in another process, starts processes of its own."""
        return EnvironmentWorkers, self._arguments

    def _answer(self, request: list[Any]) -> Any:
        self._disown()
        try:
            with self._processes[0] as process:
                return process.ask(request, self._timeouts["reset"])
        except Failed as failed:
            raised = TooFewTasks if isinstance(failed, TooFew) else UserError
            raise raised(f"environment {self.name}: {failed.reason}") from None

    def _disown(self) -> None:
        """In a fork of the process that started them, the processes are not ours to use."""
        if self._owner != os.getpid():
            self.__init__(*self._arguments)  # type: ignore[misc]

    def _settle(self, episode: Episode) -> None:
        """Give an episode the process with the fewest."""
        self._disown()
        with self._lock:
            home = min(self._processes, key=lambda process: process.episodes)
            home.episodes += 1
            self._places[episode] = Place(home)

    def _each(self, asked: list[tuple[Episode, str | None]], do: Any) -> None:
        """Do it in every episode, those of different processes at the same time."""
        groups: dict[EnvironmentProcess, list[tuple[Episode, str | None]]] = {}
        for episode, action in asked:
            groups.setdefault(self._places[episode].process, []).append((episode, action))

        def in_turn(group: list[tuple[Episode, str | None]]) -> None:
            for episode, action in group:
                do(episode, action)

        if len(groups) < 2:
            for group in groups.values():
                in_turn(group)
            return
        with ThreadPoolExecutor(len(groups)) as threads:
            list(threads.map(in_turn, groups.values()))

    def _begin(self, episode: Episode, _: None) -> None:
        with self._places[episode].process as process:
            self._attempt(episode, lambda: episode.begun(*self._reset(process, episode)))

    def _act(self, episode: Episode, action: str | None) -> None:
        place = self._places[episode]
        with place.process as process:
            self._attempt(episode, lambda: episode.acted(action, self._step(process, episode, action)))
            if episode.truncated:  # the environment does not know that it is over
                process.forget(place)

    def _leave(self, episode: Episode, _: None) -> None:
        with self._places[episode].process as process:
            process.forget(self._places[episode])
            self._part(episode)

    def _attempt(self, episode: Episode, do: Any) -> None:
        try:
            do()
        except Failed as failed:
            episode.failed(failed.kind)
            self.failures[failed.kind] += 1
            if self.failures.total() == 1:
                logger.warning("environment %s failed an episode (logged once): %s", self.name, failed.reason)
        if episode.done:
            self._part(episode)

    def _part(self, episode: Episode) -> None:
        with self._lock:
            self._places.pop(episode).process.episodes -= 1

    def _reset(self, process: EnvironmentProcess, episode: Episode) -> tuple[Observation, int]:
        place = self._places[episode]
        request = ["reset", place.number, *self._asked, episode.row, episode.seed]
        said = process.ask(request, self._timeouts["reset"], place)
        return observation(said["observation"]), self.max_steps or said["max_steps"]

    def _step(self, process: EnvironmentProcess, episode: Episode, action: str | None) -> Observation:
        place = self._places[episode]
        if not process.holds(place):
            self._do_again(process, episode)
        return observation(process.ask(["step", place.number, action], self._timeouts["step"], place))

    def _do_again(self, process: EnvironmentProcess, episode: Episode) -> None:
        """Bring an episode to where it was, in a process that does not know it."""
        place = self._places[episode]
        seen, _ = self._reset(process, episode)
        for action in episode.actions:
            seen = observation(process.ask(["step", place.number, action], self._timeouts["step"], place))
        if seen != episode.observation:
            raise Failed("crash", "the same row, seed and actions did not lead to the same observation again")


def observation(said: Mapping[str, Any]) -> Observation:
    """An observation as the worker sends it."""
    return Observation(**{**said, "actions": None if said["actions"] is None else tuple(said["actions"])})
