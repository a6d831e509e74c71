"""Training and evaluating the runs of a study, several at once, each in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htpo.study.definition import Run, Start, Study
from htpo.study.directory import StudyDirectory
from htpo.terminal import progress_bar

POLL_SECONDS = 0.1
GRACE_SECONDS = 600.0
"""Between asking runs to end and killing them: they make the updates of the batch under way and write a checkpoint."""


@dataclass(frozen=True)
class Failure:
    """A run, or the evaluation of a policy, that ended without a result."""

    run: Run | Start
    exit_code: int  # minus the signal's number, when one ended it
    reason: str  # the last line it printed

    def __str__(self) -> str:
        return f"{self.run} (exit code {self.exit_code}): {self.reason}"


@dataclass(frozen=True)
class Step:
    """A command that is run for a run or a policy, and where it writes."""

    command: list[str]
    path: Path


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


def evaluate_command(study: Study, subject: Run | Start, directory: StudyDirectory) -> list[str]:
    """The command of an evaluation: from the start, or from its last stored samples when it has been begun."""
    path = directory.evaluation(subject).path
    evaluate = [sys.executable, "-m", "htpo", "eval"]
    if (path / "config.yaml").is_file():
        return [*evaluate, "--resume", f"--output_dir={path}"]
    model = subject.policy if isinstance(subject, Start) else directory.run(subject).path / "model"
    options = {**(study.evaluate or {}), "seed": subject.seed, "output_dir": str(path)}
    return [*evaluate, str(model), *as_flags(options)]


def next_step(study: Study, subject: Run | Start, directory: StudyDirectory) -> Step | None:
    """What is to be done next for a run or a policy; None when it is done."""
    if isinstance(subject, Run) and not directory.is_trained(subject):
        return Step(train_command(study, subject, directory), directory.run(subject).path)
    if study.evaluate is not None and not directory.is_evaluated(subject):
        return Step(evaluate_command(study, subject, directory), directory.evaluation(subject).path)
    return None


def train_all(study: Study, directory: StudyDirectory, parallel: int, starts: Sequence[Start] = ()) -> list[Failure]:
    """Train and evaluate every run that is not done, `parallel` at once; returns those that failed.

    A run that fails does not stop the others. When this process is interrupted or terminated, its runs are ended, too;
    the next call goes on from their last checkpoints.

    Args:
        starts: the policies before training, to be evaluated as the runs are.

    Raises:
        UserError: another process works on this study.
        KeyboardInterrupt: on SIGINT and SIGTERM, once all runs have ended.
    """
    subjects: list[Run | Start] = [*starts, *study.runs()]
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if parallel > 1 else {})
    running: dict[Run | Start, tuple[Step, subprocess.Popen]] = {}
    failures: list[Failure] = []
    with directory.locked() as lock, _terminate_as_interrupt():
        waiting = [subject for subject in subjects if next_step(study, subject, directory)]
        bar = progress_bar("study", len(subjects), "run", initial=len(subjects) - len(waiting))
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    subject = waiting.pop(0)
                    step = next_step(study, subject, directory)
                    assert step is not None
                    running[subject] = step, _start(step, directory.log(subject), environment, lock)
                time.sleep(POLL_SECONDS)
                for subject in [subject for subject, (_, process) in running.items() if process.poll() is not None]:
                    tried, process = running.pop(subject)
                    ahead = next_step(study, subject, directory)
                    if ahead is not None and ahead.path != tried.path:
                        waiting.insert(0, subject)
                        continue
                    if ahead is not None:
                        failures.append(Failure(subject, process.returncode, _last_line(directory.log(subject))))
                    bar.set_postfix({"failed": len(failures)} if failures else {}, refresh=False)
                    bar.update()
        finally:
            _end([process for _, process in running.values()])
            bar.close()
    return failures


def _start(step: Step, log: Path, environment: dict[str, str], lock: int) -> subprocess.Popen:
    if step.path.is_dir() and not (step.path / "config.yaml").is_file():
        shutil.rmtree(step.path)  # what a kill left of a step that had not begun
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        return subprocess.Popen(
            step.command,
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


def _last_line(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
