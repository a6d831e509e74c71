"""Many independent requests in several worker processes, each under a hard time bound."""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import wait

from htpo.workers.process import FAILED_STARTS, Event, Reply, Worker

PATIENCE = 10.0  # times the processor time a request may take


def usable_cores() -> int:
    """This process's share of the cores, at least 1: those it may run on, or, beside other processes of one training
    (`LOCAL_WORLD_SIZE`, else `WORLD_SIZE`, as torchrun and accelerate set them), an equal part of their launcher's.

    Processes that are bound to cores of their own thus keep these, and those that share all cores divide them.
    """
    own = launchers = os.cpu_count() or 1  # macOS knows no more
    if hasattr(os, "sched_getaffinity"):
        own = launchers = len(os.sched_getaffinity(0))
        with contextlib.suppress(OSError):  # the launcher may be gone
            launchers = len(os.sched_getaffinity(os.getppid()))
    ranks = os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1"))
    processes = int(ranks) if ranks.isdecimal() else 1
    return own if processes <= 1 else max(1, min(own, max(own, launchers) // processes))


class WorkerPool:
    """Runs requests in `workers` processes of the program `module` (see `program` for what it must answer).

    Args:
        module: dotted name of the worker program.
        workers: number of processes, started at the first need and no more than there are requests.
        timeout: seconds of processor time one request may take before its process is killed: on a busy machine it takes
            longer, and fails no sooner.
        memory_limit_mb: address space of one process, in MiB (Linux; elsewhere the system does not enforce it).
        patience: seconds of wall clock after which a process is killed whatever it did, `PATIENCE` times as many as
            `timeout` by default. No more than `timeout` makes that wall clock.
    """

    def __init__(self, module: str, workers: int, timeout: float, memory_limit_mb: int, patience: float | None = None):
        self.module, self.size, self.timeout, self.memory_limit_mb = module, workers, timeout, memory_limit_mb
        self.patience = PATIENCE * timeout if patience is None else patience
        self._workers: list[Worker] = []
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def run(self, requests: Sequence[list]) -> list[Reply]:
        """One reply per request, in order; a killed process fails its own request only.

        Takes at most `ceil(len(requests) / workers) * patience` seconds, and the starting of processes.

        Raises:
            UserError: when the worker program does not start.
        """
        with self._lock:
            if self._owner != os.getpid():  # a fork of the process that started them: they are not ours to use
                self._workers, self._owner = [], os.getpid()
            try:
                return self._serve(requests)
            except BaseException:  # an interrupted worker would answer the next call with this one's reply
                self._stop()
                raise

    def close(self) -> None:
        """End the processes. Safe to call again; a later `run` starts new ones."""
        with self._lock:
            if self._owner == os.getpid():
                self._stop()

    def _serve(self, requests: Sequence[list]) -> list[Reply]:
        replies: list[Reply | None] = [None] * len(requests)
        waiting = deque(range(len(requests)))
        failed_starts = 0
        while waiting or any(worker.job is not None for worker in self._workers):
            self._assign(requests, waiting)
            for worker, event in self._events(bool(waiting)):
                if event.ends:
                    worker.kill()
                    self._workers.remove(worker)
                if worker.job is not None:
                    replies[worker.job], worker.job = event.reply, None
                elif not worker.ready and event.ends:
                    failed_starts += 1
                    if failed_starts == FAILED_STARTS:
                        raise worker.start_failure(event.reply)
                elif not worker.ready:
                    worker.ready, failed_starts = True, 0
        return replies

    def _assign(self, requests: Sequence[list], waiting: deque[int]) -> None:
        """Start the processes that are missing and give each free one a request."""
        busy = sum(worker.job is not None for worker in self._workers)
        while len(self._workers) < min(self.size, busy + len(waiting)):
            self._workers.append(Worker(self.module, self.memory_limit_mb, self.timeout))
        for worker in self._workers:
            if waiting and worker.ready and worker.job is None and worker.send(requests[waiting[0]]):
                worker.begin(waiting.popleft(), self.timeout, self.patience)

    def _events(self, requests_wait: bool) -> list[tuple[Worker, Event]]:
        """Sleep until a process answers, dies or is late, and say which did what."""
        awaited = [worker for worker in self._workers if requests_wait or worker.job is not None]
        deadlines = [worker.deadline for worker in awaited if worker.job is not None or not worker.ready]
        patience = max(0.0, min(deadlines, default=0.0) - time.monotonic())
        readable = wait([worker.output for worker in awaited], patience)
        events = []
        for worker in awaited:
            event = worker.receive() if worker.output in readable else None
            if event is None and worker.is_late():
                event = Event(Reply(failure="timeout"), ends=True)
            if event is not None:
                events.append((worker, event))
        return events

    def _stop(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def __reduce__(self):
        """A copy, or what arrives in another process, starts workers of its own."""
        return WorkerPool, (self.module, self.size, self.timeout, self.memory_limit_mb, self.patience)
