"""Training the runs of a study, several at once, each in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from htpo.study.definition import Run, Study
from htpo.study.directory import StudyDirectory
from htpo.terminal import progress_bar

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0  # between asking a run to end and killing it


@dataclass(frozen=True)
class Failure:
    """A run that ended without a result."""

    run: Run
    exit_code: int  # minus the signal's number, when one ended it
    reason: str  # the last line it printed

    def __str__(self) -> str:
        return f"{self.run} (exit code {self.exit_code}): {self.reason}"


def as_flags(options: dict[str, Any]) -> list[str]:
    """Options as flags of `htpo train`, which reads values as YAML."""
    flags: list[str] = []
    for name, value in options.items():
        if isinstance(value, list):
            flags += [f"--{name}", *map(_text, value)]
        else:
            flags.append(f"--{name}={_text(value)}")
    return flags


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def train_command(study: Study, run: Run, directory: StudyDirectory) -> list[str]:
    """The command of a run: from the start, or from its last checkpoint when it has been begun."""
    path = directory.run(run).path
    train = [sys.executable, "-m", "htpo", "train"]
    if (path / "config.yaml").is_file():
        return [*train, "--resume", f"--output_dir={path}"]
    options = {"report": False, **study.options_of(run.task, run.method), "seed": run.seed, "output_dir": str(path)}
    return [*train, study.recipe, *as_flags(options)]


def train_all(study: Study, directory: StudyDirectory, parallel: int) -> list[Failure]:
    """Train every run that is not done, `parallel` at once; returns those that failed.

    A run that fails does not stop the others. When this process is interrupted or terminated, its runs are ended, too;
    the next call goes on from their last checkpoints.

    Raises:
        UserError: another process works on this study.
        KeyboardInterrupt: on SIGINT and SIGTERM, once all runs have ended.
    """
    total = len(list(study.runs()))
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if parallel > 1 else {})
    running: dict[Run, subprocess.Popen] = {}
    failures: list[Failure] = []
    with directory.locked() as lock, _terminate_as_interrupt():
        waiting = [run for run in study.runs() if not directory.is_done(run)]
        bar = progress_bar("study", total, "run", initial=total - len(waiting))
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    run = waiting.pop(0)
                    running[run] = _start(train_command(study, run, directory), run, directory, environment, lock)
                time.sleep(POLL_SECONDS)
                for run in [run for run, process in running.items() if process.poll() is not None]:
                    exit_code = running.pop(run).returncode
                    if not directory.is_done(run):
                        failures.append(Failure(run, exit_code, _last_line(directory, run)))
                    bar.set_postfix({"failed": len(failures)} if failures else {}, refresh=False)
                    bar.update()
        finally:
            _end(running.values())
            bar.close()
    return failures


def _start(
    command: list[str], run: Run, directory: StudyDirectory, environment: dict[str, str], lock: int
) -> subprocess.Popen:
    path, log = directory.run(run).path, directory.log(run)
    if path.is_dir() and not (path / "config.yaml").is_file():
        shutil.rmtree(path)  # what a kill left of a run that had not begun
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[lock],
            start_new_session=True,  # a group of its own, to be ended with the processes it starts
        )


def _end(processes) -> None:
    """Ask processes to end, with all that they started; kill those that do not."""
    alive = [process for process in processes if process.poll() is None]
    _signal(alive, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal([process], signal.SIGKILL)
            process.wait()


def _signal(processes, number: signal.Signals) -> None:
    for process in processes:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            continue  # it has just ended


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt as SIGINT does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _last_line(directory: StudyDirectory, run: Run) -> str:
    text = directory.log(run).read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
