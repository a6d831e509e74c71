"""The time of the processes of one piece of work: what each computes, and how long they wait.

A process on a busy machine computes little in much time, and so does one that sleeps. They are told apart by looking
again and again: one that wants to compute gets some share of a core, one that waits gets nothing.

The kernel's own bound, RLIMIT_CPU, counts whole ticks of its clock. On a busy machine, where a process runs for less
than a tick at a time, that can be twice what the process had.
"""

import contextlib
import time
from collections.abc import Iterable

WINDOW_SECONDS = 0.5  # over which waiting is judged; with 100 others on its core a process has its turn within that
IDLE_SHARE = 0.01  # of a core; processes that used less in a window were waiting
_SCHEDULED_TIME = 2  # what the kernel counts by the nanosecond


class Clocks:
    """Times of processes that work for one another, so that while one of them computes none of them waits.

    Attributes:
        computed: seconds of processor time of each process, by its number, at the last look.
        waited: seconds they have all waited.
    """

    def __init__(self) -> None:
        self.computed: dict[int, float] = {}
        self.waited = 0.0
        self._before: dict[int, float] = {}
        self._since = time.monotonic()

    def look(self, processes: Iterable[int]) -> None:
        """Look at the processes with these numbers, which were all started here and not yet waited for."""
        self.computed = {process: processor_seconds(process) for process in processes}
        window = time.monotonic() - self._since
        if window < WINDOW_SECONDS:
            return
        used = sum(seconds - self._before.get(process, 0.0) for process, seconds in self.computed.items())
        if used < IDLE_SHARE * window:
            self.waited += window
        self._since, self._before = self._since + window, self.computed


def processor_seconds(process: int) -> float:
    """Seconds of processor time of all threads of a process so far; 0 where the system does not say (macOS)."""
    with contextlib.suppress(OSError):
        return time.clock_gettime(~process << 3 | _SCHEDULED_TIME)
    return 0.0
