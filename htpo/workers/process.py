"""One worker process that may be killed at any moment, each job under a hard time bound.

Why not `multiprocessing`, or pebble on top of it: started by spawn or forkserver, their workers run the caller's main
module again. A training script without a `__main__` guard, as most are, would start itself anew in every worker, and
one with a guard would still import torch there; fork is unsafe beside torch's threads. Here a worker is a program of
its own and knows nothing of the caller's. No signal and no thread is used, so any thread may call.
"""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from htpo.errors import UserError
from htpo.workers.clocks import processor_seconds

STARTUP_SECONDS = 120.0
FAILED_STARTS = 3  # in a row, after which there is no point in another


@dataclass(frozen=True)
class Reply:
    """What came of one request: a value, or how it failed ("timeout", or "crash" with what was raised as the value)."""

    value: Any = None
    failure: str | None = None


@dataclass(frozen=True)
class Event:
    """What a process did; `ends` when it is gone or has to go."""

    reply: Reply
    ends: bool


class Worker:
    """One process: `ready` once it has said so, `job` the request it works on, `deadline` (monotonic seconds) when its
    time is to be looked at again."""

    def __init__(self, module: str, memory_limit_mb: int, timeout: float):
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self.module, self.memory_limit_mb = module, memory_limit_mb
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(memory_limit_mb), str(math.ceil(timeout) + 5)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            bufsize=0,
            process_group=0,  # Ctrl-C is for the caller, who then ends its workers
        )
        self.output = self.process.stdout
        self.ready = False
        self.job: int | None = None
        self.deadline = self._last_deadline = time.monotonic() + STARTUP_SECONDS
        self._allowed = 0.0  # processor seconds at which the request under way has taken too long
        self._received = b""

    @property
    def is_idle(self) -> bool:
        """Started, and with nothing to do."""
        return self.ready and self.job is None

    def begin(self, job: int, timeout: float, patience: float) -> None:
        """Count the time of a request from now on."""
        self.job, now = job, time.monotonic()
        self.deadline, self._last_deadline = now + min(timeout, patience), now + patience
        self._allowed = processor_seconds(self.process.pid) + timeout

    def is_late(self) -> bool:
        """Whether its time is over; one that others kept from computing gets what it has left."""
        now = time.monotonic()
        if self.is_idle or now < self.deadline:
            return False
        left = self._allowed - processor_seconds(self.process.pid)
        if not self.ready or left <= 0 or now >= self._last_deadline:
            return True
        self.deadline = min(now + left, self._last_deadline)
        return False

    def send(self, request: list) -> bool:
        """Whether the process took the request; that it has died is then for `receive` to notice."""
        data = memoryview(json.dumps(request).encode("ascii") + b"\n")
        try:
            while data:
                data = data[self.process.stdin.write(data) :]
        except BrokenPipeError:
            return False
        return True

    def receive(self) -> Event | None:
        """What the process says, None while only a part of it is here."""
        received = os.read(self.output.fileno(), 2**20)
        self._received += received
        if not received:
            return Event(Reply(failure="crash"), ends=True)
        if not self._received.endswith(b"\n"):
            return None
        said, self._received = json.loads(self._received), b""
        reply = Reply(said["crash"], "crash") if "crash" in said else Reply(said["value"])
        return Event(reply, ends=said["last"])

    def ask(self, request: list, timeout: float, patience: float) -> Event:
        """What comes of one request, for callers that have nothing else to wait for; an `Event` that `ends` is for the
        caller to follow with `kill`.

        Args:
            timeout: seconds of processor time the request may take.
            patience: seconds of wall clock.
        """
        self.send(request)
        self.begin(0, timeout, patience)
        event = self._await()
        self.job = None
        return event

    def start(self) -> Event:
        """Wait until the process says that it is ready; an `Event` that `ends` says that it is not."""
        event = self._await()
        self.ready = not event.ends
        return event

    def _await(self) -> Event:
        while True:
            if wait([self.output], max(0.0, self.deadline - time.monotonic())):
                event = self.receive()
                if event is not None:
                    return event
            elif self.is_late():
                return Event(Reply(failure="timeout"), ends=True)

    def start_failure(self, reply: Reply) -> UserError:
        """What to raise when a process, again and again, ends before it is ready."""
        reason = reply.value or ("it ended" if reply.failure == "crash" else f"silent for {STARTUP_SECONDS:.0f} s")
        return UserError(
            f"the worker process {self.module} does not start ({reason}): "
            f"is memory_limit_mb={self.memory_limit_mb} enough, and is the package installed for {sys.executable}?"
        )

    def kill(self) -> None:
        """End the process, whatever it is doing, and collect it."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
