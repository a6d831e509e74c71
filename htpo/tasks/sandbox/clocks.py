"""The time of processes: what they compute the kernel bounds; how long they wait is found here.

A process on a busy machine computes little in much time, and so does one that sleeps. They are told apart by looking
again and again: one that wants to compute gets some share of a core, one that waits gets nothing.
"""

import contextlib
import time
from collections.abc import Iterable

LOOK_SECONDS = 0.5  # between two looks; with 100 others on its core a process has its turn within that
IDLE_SHARE = 0.01  # of a core; who used less since the last look was waiting
_SCHEDULED_TIME = 2  # what the kernel counts by the nanosecond


class WaitingTime:
    """How long processes that work for one another have waited: while one of them computes none of them waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._used: dict[int, float] = {}
        self._looked = time.monotonic()

    @property
    def next_look(self) -> float:
        """When to look again, in monotonic seconds."""
        return self._looked + LOOK_SECONDS

    def look(self, processes: Iterable[int]) -> None:
        """Look at the processes with these numbers, which were all started here and not yet waited for."""
        now = time.monotonic()
        used = {process: processor_seconds(process) for process in processes}
        computed = sum(seconds - self._used.get(process, 0.0) for process, seconds in used.items())
        if computed < IDLE_SHARE * (now - self._looked):
            self.seconds += now - self._looked
        self._looked, self._used = now, used


def processor_seconds(process: int) -> float:
    """Seconds of processor time of all threads of a process so far; 0 where the system does not say (macOS)."""
    with contextlib.suppress(OSError):
        return time.clock_gettime(~process << 3 | _SCHEDULED_TIME)
    return 0.0
