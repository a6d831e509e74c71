"""One process that holds episodes, started when it is first asked, and again after it has died."""

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from htpo.workers.pool import PATIENCE
from htpo.workers.process import FAILED_STARTS, Reply, Worker

PROGRAM = "htpo.environments.worker"
_numbers = itertools.count()


class Failed(Exception):
    """The environment failed: `kind` is a key of `FAILURES`, `reason` says more."""

    def __init__(self, kind: str, reason: str):
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class TooFew(Failed):
    """It raised `TooFewTasks`."""


class EnvironmentProcess:
    """A process and who may talk to it: the thread that has entered it as a context.

    Attributes:
        episodes: how many have their place here.
    """

    def __init__(self, memory_limit_mb: int, timeout: float):
        self.memory_limit_mb, self.timeout = memory_limit_mb, timeout
        self.episodes = 0
        self._worker: Worker | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def holds(self, place: "Place") -> bool:
        """Whether the process that runs now is the one that the episode was last in."""
        return self._worker is not None and place.worker is self._worker

    def ask(self, request: list[Any], timeout: float, place: "Place | None" = None) -> Any:
        """The answer to one request, which is about the episode at `place`.

        Raises:
            Failed: the environment raised, died, or took too long.
            UserError: the process does not start.
        """
        worker = self._started()
        if place is not None:
            place.worker = worker
        try:
            event = worker.ask(request, timeout, PATIENCE * timeout)
        except BaseException:  # interrupted; it would answer the next request with this one's reply
            self._kill()
            raise
        if event.ends:
            self._kill()
        if event.reply.failure:
            raise Failed(event.reply.failure, _reason(request[0], event.reply, timeout))
        if "error" in event.reply.value:
            raised = TooFew if event.reply.value.get("too_few") else Failed
            raise raised("crash", event.reply.value["error"])
        return event.reply.value["value"]

    def forget(self, place: "Place") -> None:
        """Free what an episode holds."""
        worker = self._worker
        if worker is None or place.worker is not worker:
            return
        if worker.ask(["end", place.number], self.timeout, PATIENCE * self.timeout).ends:
            self._kill()

    def close(self) -> None:
        """End the process, once no other thread is in it."""
        with self:
            self._kill()

    def _started(self) -> Worker:
        for _ in range(FAILED_STARTS):
            if self._worker is not None:
                return self._worker
            self._worker = worker = Worker(PROGRAM, self.memory_limit_mb, self.timeout)
            event = worker.start()
            if event.ends:
                self._kill()
        if self._worker is None:
            raise worker.start_failure(event.reply)
        return self._worker

    def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()


@dataclass(eq=False)
class Place:
    """Where an episode lives: the process, the worker that knew it last, and its number there."""

    process: EnvironmentProcess
    worker: Worker | None = None
    number: int = field(default_factory=lambda: next(_numbers))


def _reason(request: str, reply: Reply, timeout: float) -> str:
    if reply.failure == "timeout":
        return f"a {request} took more than {timeout:g} s of processor time, or {PATIENCE * timeout:g} s in all"
    return f"its process died in a {request}" + (f" ({reply.value})" if reply.value else "")
