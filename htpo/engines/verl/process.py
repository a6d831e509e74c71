"""verl's trainer as a child process: its output in a file, an end with all that it started, its error in one line."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from htpo.errors import UserError

LOOK_EVERY = 1.0  # seconds
PATIENCE = 20.0  # seconds for Ray to end by itself
TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*m")
RAY_PREFIX = re.compile(r"^\((?:\w|::|\.)+ pid=\d+(?:, ip=[\d.]+)?\) ?")
ERROR = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Verdict|Exit))(?:: (.+))?$")
OF_HYDRA = re.compile(r"^(?:Could not override|Key |Error merging|LexerNoViableAltException|mismatched input)")


def run_verl(command: Sequence[str], environment: dict[str, str], log: Path, watch: Callable[[], None]) -> None:
    """Run it to its end. Whatever ends this process (Ctrl-C, SIGTERM, an error of `watch`) ends it and Ray, too.

    Args:
        environment: added to this process's own.
        log: what it prints is added to this file.
        watch: called about once a second.

    Raises:
        UserError: it failed; with the last error that it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.is_file() else 0
    own = {"PYTHONUNBUFFERED": "1", "HYDRA_FULL_ERROR": "1", **environment}
    with log.open("ab") as output, _ended_by_sigterm():
        process = subprocess.Popen(
            command,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us alone, and we end it in order
        )
        try:
            while True:
                try:
                    code = process.wait(LOOK_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    watch()
        except BaseException:
            _end(process)
            raise
        watch()
    if code:
        with log.open("rb") as file:
            file.seek(start)
            said = last_error(file.read().decode("utf-8", "replace"))
        raise UserError(f"verl stopped (exit code {code}): {said}. All that it said: {log}")


def last_error(text: str) -> str:
    """The last error in what verl printed, in one line, or else its last line."""
    found, last = "", ""
    for raw in text.splitlines():
        line = RAY_PREFIX.sub("", TERMINAL_CODES.sub("", raw)).strip()
        if not line:
            continue
        last = line
        error = ERROR.match(line)
        if error and error[1] != "SystemExit":
            found = error[2] if error[1] == "UserError" and error[2] else line
        elif OF_HYDRA.match(line):
            found = line
    return (found or last or "it printed nothing").rstrip(".")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it as Ctrl-C would, so that Ray is shut down; then whatever of its processes is left."""
    started = _descendants(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(started, PATIENCE / 4)
    for each in left:
        _quietly(each.terminate)
    _, left = psutil.wait_procs(left, PATIENCE / 4)
    for each in left:
        _quietly(each.kill)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _quietly(action: Callable[[], Any]) -> None:
    with suppress(psutil.NoSuchProcess):
        action()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM leaves by an exception, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
