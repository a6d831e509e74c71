"""The fork server: a small Python that confines itself, then forks one process for each piece of untrusted work.

Started by `cells.Sandbox` as `python -m htpo.verifiers.code.sandbox.zygote LEVEL MEMORY_MB READABLE...` with an empty
environment and a socket as standard input. It never holds what it passes on: a request is 16 bytes and the open files
of the new process, which reads its work from them itself. So nothing of one piece of work is in the memory of the next.

Requests: `(kind, number, seconds)` packed as `REQUEST`; a role's number comes with three files (the work, the result,
and standard input or the socket to a partner), `KILL` ends process `number`. Reports, one JSON object a line:
`{"ask": "identities"}` while starting, `{"ready": null}` or `{"ready": reason}`, then
`{"number": n, "status": exit code or minus signal, "late": bool, "spent": seconds}`.
"""

import contextlib
import gc
import importlib
import json
import math
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from htpo.verifiers.code.sandbox import roles
from htpo.workers.clocks import WINDOW_SECONDS, Clocks

REQUEST = struct.Struct("=iid")
KILL = -1
WALL_FACTOR = 50  # wall clock a process may take, in units of its processor time: other work slows it down
SHORTEST_LOOK = 0.01  # seconds between two looks at what processes have used
LARGEST_FILE = 8 * 2**20  # bytes of output, and of any file written
LARGEST_STACK = 64 * 2**20
OPEN_FILES = 64
UNCONFINED = 67  # exit code of a process that could not be confined and did nothing

# What solutions import most, so that no process has to. None of these starts a thread.
PRELOADED = """array base64 bisect cmath collections copy datetime decimal enum fractions functools hashlib heapq io
itertools numbers operator queue re statistics string threading typing"""


@dataclass
class _Process:
    number: int
    seconds: float  # of processor time it may use, and that it may wait
    started: float  # monotonic seconds
    late: bool = False

    def is_late(self, computed: float, waited: float) -> bool:
        """Whether it has computed or waited too long, or slept through its time in naps that are too short to see."""
        wall = time.monotonic() - self.started
        return max(computed, waited, wall / WALL_FACTOR) > self.seconds


@dataclass
class _Work:
    """What a new process is to do."""

    role: int
    seconds: float
    files: list[int]


def main() -> None:
    """Confine this process, then serve requests until the socket closes."""
    level, memory_mb, *readable = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
    control = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)  # standard output is /dev/null
    os.environ.clear()
    os.environ.update({"HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"})
    package = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../../.."))
    sys.path[:] = [path for path in sys.path if os.path.realpath(path) != package]
    sys.argv[:] = [""]
    try:
        confine_process = _confine(level, readable, control)
    except OSError as error:
        _report(control, ready=f"{error.strerror or error}")
        return
    try:
        for name in PRELOADED.split():
            importlib.import_module(name)
    except (ImportError, OSError) as error:  # readable for root's capabilities alone, say
        _report(control, ready=f"the standard library cannot be read inside: {error}")
        return
    _report(control, ready=None)
    gc.collect()
    gc.freeze()
    work = _serve(control)
    control.close()
    if work is None:
        return
    try:
        random.seed(0)
        _set_limits(work.seconds, memory_mb)
        confine_process()
    except BaseException:
        os._exit(UNCONFINED)
    roles.perform(work.role, *work.files)


def _confine(level: str, readable: list[str], control: socket.socket) -> Callable[[], None]:
    """Confine the fork server itself; return what each new process calls to confine itself further.

    At every level of a Linux, the processes that run solutions and tests have no capabilities and cannot be looked
    into: what one of them was told stays with it.
    """
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):  # the starter's own bounds are not for this process
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))
    if sys.platform != "linux":
        if level != "none":
            raise OSError("it needs Linux")
        return lambda: None
    from htpo.verifiers.code.sandbox import landlock, namespaces, privileges, system_calls

    if level == "none":
        privileges.forgo_capabilities()
        privileges.drop_capabilities()
        privileges.become_opaque()
        return lambda: None

    program = system_calls.filter_program()
    if level == "landlock":
        os.chdir("/")
        privileges.forgo_capabilities()
        landlock.allow_only_reading(readable)
        privileges.drop_capabilities()
        privileges.become_opaque()

        def confine_landlocked() -> None:
            privileges.die_with_parent()
            landlock.enter_own_domain()
            system_calls.allow_only_listed_calls(program)

        return confine_landlocked

    if level != "namespaces":
        raise OSError(f"there is no level {level!r}")

    def ask_for_identities() -> None:
        _report(control, ask="identities")
        if control.recv(1) != b"y":
            raise OSError("users and groups cannot be mapped")

    namespaces.enter(ask_for_identities, readable)
    privileges.forgo_capabilities()
    privileges.become_opaque()

    def confine_process() -> None:
        namespaces.enter_scratch()
        os.chdir(namespaces.SCRATCH)
        namespaces.drop_rights()
        privileges.die_with_parent()
        privileges.become_opaque()  # changing the user may have undone it
        system_calls.allow_only_listed_calls(program)

    return confine_process


def _serve(control: socket.socket) -> _Work | None:
    """Fork and watch processes. Returns work in a new process, and None in the fork server when the socket closes."""
    processes: dict[int, _Process] = {}  # by process number; all are of one piece of work
    clocks, next_look = Clocks(), math.inf
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        patience = max(0.0, next_look - time.monotonic()) if processes else None
        readable, _, _ = select.select([control, woken], [], [], patience)
        if woken in readable:
            os.read(woken, 4096)
        if processes and time.monotonic() >= next_look:
            clocks.look(processes)
            for pid, process in processes.items():
                process.late = process.late or process.is_late(clocks.computed[pid], clocks.waited)
                if process.late:
                    _kill(pid)
            least = min(process.seconds - clocks.computed[pid] for pid, process in processes.items())
            next_look = time.monotonic() + max(SHORTEST_LOOK, min(WINDOW_SECONDS, least))
        _reap(control, processes, clocks.waited)
        if control not in readable:
            continue
        message, files, _, _ = socket.recv_fds(control, REQUEST.size, 3)
        if len(message) < REQUEST.size:
            for pid in processes:
                _kill(pid)
            return None
        kind, number, seconds = REQUEST.unpack(message)
        if kind == KILL:
            for pid, process in processes.items():
                if process.number == number:
                    _kill(pid)
            continue
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            os.close(woken)
            os.close(waker)
            return _Work(kind, seconds, files)
        for file in files:
            os.close(file)
        if not processes:
            clocks, next_look = Clocks(), time.monotonic() + min(WINDOW_SECONDS, seconds)
        processes[pid] = _Process(number, seconds, time.monotonic())


def _reap(control: socket.socket, processes: dict[int, _Process], waited: float) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            process = processes.pop(pid, None)  # None: an orphan that process 1 of a namespace inherits
            if process is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                status = os.waitstatus_to_exitcode(status)
                used = usage.ru_utime + usage.ru_stime
                _report(control, number=process.number, status=status, late=process.late, spent=used + waited)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # the group is there once the process has made it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _set_limits(seconds: float, memory_mb: int) -> None:
    """Bound what this process may use. A hard limit the system has set already is never raised."""
    limits = {
        resource.RLIMIT_AS: memory_mb * 2**20,
        resource.RLIMIT_CPU: math.ceil(3 * seconds) + 1,  # should the fork server not be there to look
        resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_STACK: LARGEST_STACK,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        lowered = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError):  # macOS knows RLIMIT_AS but refuses to set it
            resource.setrlimit(kind, (lowered, lowered))


def _report(control: socket.socket, **report: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        control.sendall(json.dumps(report).encode("ascii") + b"\n")


if __name__ == "__main__":
    main()
