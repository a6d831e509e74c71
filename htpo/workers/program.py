"""What every worker program of a `WorkerPool` does: one JSON request a line in, one JSON reply a line out.

Started as `python -m MODULE MEMORY_MB CPU_SECONDS`. The first line it says is "ready"; a request is
`[name, *arguments]` with the name of a handler; a reply is `{"value": ..., "last": bool}` or
`{"crash": ..., "last": bool}`, where `last` announces that this process has grown and ends. Worker programs import
neither torch nor what is not theirs.
"""

import contextlib
import json
import logging
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

JOBS_PER_PROCESS = 20_000  # caches of the libraries behind only grow


def serve(handlers: Mapping[str, Callable[..., Any]], warm_up: Callable[[], object]) -> None:
    """Serve requests from standard input until it closes.

    Args:
        handlers: by name; what one returns must be JSON.
        warm_up: imports and compiles what is slow, before the first time-out counts.
    """
    memory_limit, cpu_seconds = int(sys.argv[1]) * 2**20, int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not be read as a reply
    try:
        lower_limit(resource.RLIMIT_CORE, 0)
        lower_limit(resource.RLIMIT_AS, memory_limit)
        logging.disable(logging.CRITICAL)
        warm_up()
    except BaseException as error:
        say(replies, crash=f"{type(error).__name__}: {error}", last=True)
        return
    say(replies, value="ready", last=False)
    room = (address_space() + memory_limit) / 2
    for served, line in enumerate(sys.stdin, start=1):
        # Should the parent be killed while this answer is being judged, nobody else would stop the process.
        usage = resource.getrusage(resource.RUSAGE_SELF)
        lower_limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + cpu_seconds)
        name, *arguments = json.loads(line)
        try:
            reply = {"value": handlers[name](*arguments)}
        except Exception as error:
            reply = {"crash": type(error).__name__}
        last = served >= JOBS_PER_PROCESS or address_space() > room
        say(replies, **reply, last=last)
        if last:
            return


def say(replies: TextIO, **reply: Any) -> None:
    """Write one reply."""
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def lower_limit(kind: int, value: int) -> None:
    """Set a soft resource limit, never above the hard one the system has set."""
    hard = resource.getrlimit(kind)[1]
    with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say (anything but Linux)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
