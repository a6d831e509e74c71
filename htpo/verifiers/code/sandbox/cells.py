"""The outside of the sandbox: levels of isolation, and the `Sandbox` that runs work in processes of a fork server."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htpo.errors import UserError
from htpo.verifiers.code.sandbox import roles, zygote
from htpo.verifiers.code.sandbox.zygote import KILL, REQUEST, UNCONFINED, WALL_FACTOR

# Strongest first. What each does, and what it leaves open.
LEVELS = {
    "namespaces": (
        "own user, mount, process, network, IPC and host-name namespaces, a read-only root that holds only Python, a "
        "private scratch folder in memory, a seccomp list of system calls, resource limits; a flaw in the kernel's "
        "allowed calls would get out"
    ),
    "landlock": (
        "Landlock (files: Python is readable, nothing is writable), a seccomp list of system calls, resource limits; "
        "names and sizes of files can be looked up, and only memory bounds the number of threads"
    ),
    "none": (
        "NO sandbox: a process of its own with resource limits; code can read and write your files, use the network "
        "and outlive its time"
    ),
}
STARTUP_SECONDS = 60.0
GRACE_SECONDS = 5.0  # what the fork server may take beyond the time of the work itself

# Prints how many of the things that must fail did not; whether it wrote outside is for the outside to see. `sched`
# shows that modules can be imported: the fork server has not done so itself.
PROBE = """
import os, sched, socket
allowed = 0
for attempt in (lambda: open({canary!r}).read(), socket.socket, os.fork):
    try:
        attempt()
        allowed += 1
    except OSError:
        pass
try:
    with open({canary!r}, "a") as file:
        file.write("changed")
except OSError:
    pass
print(allowed)
"""


class SandboxUnavailable(Exception):
    """This machine cannot run a level of isolation; the text says why."""


@dataclass(frozen=True)
class Work:
    """One process to be: its role (see `roles`), what it is told, and the standard input of a program."""

    role: str
    told: dict[str, Any]
    stdin: bytes = b""


@dataclass(frozen=True)
class Exit:
    """How a process ended: exit code (minus the signal when one killed it), whether it was late, what it wrote.

    `spent` are the seconds it computed and waited, without those in which others had its core.
    """

    status: int
    late: bool
    spent: float
    result: bytes

    @property
    def failure(self) -> str | None:
        """ "timeout" or "crash" (killed by a signal, or out of memory), None when it ended by itself."""
        if self.late:
            return "timeout"
        return "crash" if self.status < 0 or self.status in (roles.MEMORY, UNCONFINED) else None


class Sandbox:
    """A fork server at one level of isolation. For one thread; work runs one call at a time.

    Args:
        level: a name of `LEVELS`.
        memory_limit_mb: address space of each process, in MiB.

    Raises:
        SandboxUnavailable: when the level does not work on this machine.
    """

    def __init__(self, level: str, memory_limit_mb: int):
        self.level = level
        self._number = 0
        self._control, inside = socket.socketpair()
        command = ["-P", "-S", "-B", "-X", "utf8", "-m", zygote.__name__, level, str(memory_limit_mb)]
        self._process = subprocess.Popen(
            [sys.executable, *command, *readable_folders()],
            stdin=inside,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(Path(__file__).parents[4]), "PYTHONHASHSEED": "0", "LANG": "C.UTF-8"},
            cwd="/",
            process_group=0,
        )
        inside.close()
        self._reports = self._control.makefile("r", encoding="ascii")
        try:
            reason = self._await_start()
        except (OSError, ValueError) as error:
            reason = f"the fork server does not start ({error})"
        if reason is not None:
            self.close()
            raise SandboxUnavailable(reason)

    def run(self, *works: Work, seconds: float) -> list[Exit]:
        """Run the first work, beside the others; when it ends the others are killed. Two works share a socket.

        Each may compute for `seconds` of processor time, wait for as long, and take `WALL_FACTOR` times
        that of wall clock, which only what naps all the time comes to on a machine that is not overrun.

        Raises:
            SandboxUnavailable: when the fork server died or is stuck; this sandbox is then closed.
        """
        results = [_memory_file("result") for _ in works]
        thirds = [_memory_file("stdin", work.stdin) for work in works]
        if len(works) == 2:
            for third, end in zip(thirds, socket.socketpair()):
                os.dup2(end.fileno(), third)
                end.close()
        numbers = [self._number + place for place in range(len(works))]
        self._number += len(works)
        try:
            self._control.settimeout(WALL_FACTOR * seconds + GRACE_SECONDS)
            for work, number, result in zip(works, numbers, results):
                told, third = _memory_file("work", json.dumps(work.told).encode("ascii")), thirds.pop(0)
                message = REQUEST.pack(roles.ROLES.index(work.role), number, seconds)
                try:
                    socket.send_fds(self._control, [message], [told, result, third])
                finally:
                    os.close(told)
                    os.close(third)
            reports = self._await_ends(numbers)
            return [
                Exit(
                    *(reports[number][name] for name in ("status", "late", "spent")),
                    result=os.pread(result, os.fstat(result).st_size, 0),
                )
                for number, result in zip(numbers, results)
            ]
        except (OSError, ValueError) as error:
            self.close()
            raise SandboxUnavailable(f"the fork server is gone ({error})") from None
        finally:
            for file in (*results, *thirds):
                os.close(file)

    def close(self) -> None:
        """End the fork server and everything it started. Safe to call again."""
        self._reports.close()
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _await_start(self) -> str | None:
        """Why the level does not work, None when it does."""
        self._control.settimeout(STARTUP_SECONDS)
        report = self._next_report()
        if report.get("ask") == "identities":
            from htpo.verifiers.code.sandbox import namespaces

            try:
                namespaces.write_identities(self._process.pid)
                self._control.send(b"y")
            except OSError:
                self._control.send(b"n")
            report = self._next_report()
        return report["ready"]

    def _await_ends(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        ended: dict[int, dict[str, Any]] = {}
        while len(ended) < len(numbers):
            report = self._next_report()
            if ended and report["status"] == -signal.SIGKILL and not report["late"]:
                report["status"] = 0  # our doing: what it was there for has ended
            ended[report["number"]] = report
            if report["number"] == numbers[0]:
                for number in numbers[1:]:
                    self._control.send(REQUEST.pack(KILL, number, 0.0))
        return ended

    def _next_report(self) -> dict[str, Any]:
        line = self._reports.readline()
        if not line:
            raise OSError("it ended")
        return json.loads(line)


def readable_folders() -> list[str]:
    """The folders Python's standard library and the system's shared libraries are in; links before what they name."""
    library = Path(os.path.realpath(os.__file__)).parents[1]
    platform_library = Path(os.path.realpath(sys.base_exec_prefix)) / sys.platlibdir
    system = [Path(name) for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64")]
    found: list[Path] = []
    for folder in (*system, library, platform_library):
        if folder.is_dir() and not any(folder.is_relative_to(shown) for shown in found):
            found.append(folder)
    return [str(folder) for folder in found]


@functools.cache
def why_unavailable(level: str) -> str | None:
    """Why a level does not hold on this machine, None when it does; found by trying it, once in a process."""
    with tempfile.NamedTemporaryFile(prefix="htpo-canary-") as canary:
        try:
            sandbox = Sandbox(level, memory_limit_mb=512)
        except SandboxUnavailable as error:
            return str(error)
        try:
            told = {"preamble": "", "code": PROBE.format(canary=canary.name)}
            (end,) = sandbox.run(Work("run", told), seconds=GRACE_SECONDS)
        except SandboxUnavailable as error:
            return str(error)
        finally:
            sandbox.close()
        written = os.path.getsize(canary.name)
    if end.status != 0:
        return f"a process in it does not run (status {end.status})"
    if level != "none" and (end.result.strip() != b"0" or written):
        return "it does not hold: a file, a socket or a process was allowed"
    return None


def choose_level(asked: str | None) -> str:
    """The level asked for, or the strongest that works here.

    Raises:
        UserError: when it does not work here, or none does and "none" was not asked for by name.
    """
    if asked is not None and asked not in LEVELS:
        raise UserError(f"sandbox={asked!r} is no level of isolation; use one of {', '.join(LEVELS)}")
    reasons = {}
    for level in [asked] if asked else [level for level in LEVELS if level != "none"]:
        reason = why_unavailable(level)
        if reason is None:
            return level
        reasons[level] = reason
    listed = "; ".join(f"{level}: {reason}" for level, reason in reasons.items())
    remedy = "" if asked == "none" else '; run on Linux with either, or accept the risk with sandbox="none"'
    raise UserError(f"no sandbox for untrusted code works here ({listed}){remedy}")


def _memory_file(name: str, content: bytes = b"") -> int:
    """A file of no folder, holding `content`, read from its start."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file
