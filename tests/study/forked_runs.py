"""The runs of a study as forks of its process, which spares each the seconds of imports."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

from htpo.study import scheduler
from tests.cli.command import become


class ForkedRun:
    """What the scheduler asks of a `subprocess.Popen` of `python -m htpo ...`, of a fork."""

    def __init__(self, command, *, stdout, env, **_):
        assert command[:3] == [sys.executable, "-m", "htpo"]
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.environ |= env
            become(["htpo", *command[3:]], stdout.fileno(), stdout.fileno())

    def poll(self):
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout=None):
        until = time.monotonic() + timeout if timeout is not None else float("inf")
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("htpo", timeout)
            time.sleep(0.02)
        return self.returncode


def fork_runs() -> None:
    """Have the scheduler of this process start its runs as forks."""
    names = {name: getattr(subprocess, name) for name in ("DEVNULL", "STDOUT", "TimeoutExpired")}
    scheduler.subprocess = SimpleNamespace(Popen=ForkedRun, **names)
