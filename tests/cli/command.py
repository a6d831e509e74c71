"""Running the command: in a fork of the test's process, or in a process of its own; and data for it."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

OWN_DATA = ["--max_steps", "4", "--held_out_prompts", "8", "--eval_samples", "4", "--save_steps", "2"]
OWN_DATA += ["--prompts_per_generation", "8", "--num_generations", "4", "--updates_per_generation", "2"]
OWN_DATA += ["--report", "false"]  # it takes longer to draw than such a run
SMALL = [*OWN_DATA, "--train_prompts", "200"]
TIMES = {"step_time", "train_runtime"}
TWO_PROCESSES = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")


def htpo(*arguments, first: Callable[[], None] | None = None) -> subprocess.CompletedProcess:
    """Run `htpo` to its end in a fork, which spares it the seconds of imports that the test's process has done.

    Args:
        first: called in the fork.
    """
    words = ["htpo", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            become(words, out.fileno(), err.fileno(), first)
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:  # the test's time is up
            os.kill(child, signal.SIGKILL)
            raise
        texts = [file.seek(0) or file.read() for file in (out, err)]
    return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(status), *texts)


def become(words: list[str], out: int, err: int, first: Callable[[], None] | None = None) -> None:
    """Be the command and end; what the test's process has set up is left behind."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        os.environ |= one_thread()
        sys.argv = words
        logging.getLogger().handlers.clear()  # pytest's, which keep what a user would see
        warnings.resetwarnings()
        warnings.simplefilter("ignore", DeprecationWarning)
        if "accelerate" in sys.modules:
            from accelerate.state import AcceleratorState, GradientState

            AcceleratorState._reset_state(True)
            GradientState._reset_state()
        from htpo.cli import main

        if first is not None:
            first()
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def htpo_afresh(*arguments, launcher=()) -> subprocess.CompletedProcess:
    """Run `htpo` to its end as a user does, in an interpreter of its own."""
    return subprocess.run(command(*arguments, launcher=launcher), capture_output=True, text=True, env=one_thread())


def command(*arguments, launcher=()) -> list[str]:
    return [sys.executable, "-m", *launcher, "htpo", *map(str, arguments)]


def one_thread() -> dict[str, str]:
    """The environment: no hub, and one thread, for on a busy machine threads wait for each other."""
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def write_problems(path: Path, problems: list[dict]) -> Path:
    path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    return path


def sums(count: int) -> list[dict]:
    return [{"problem": f"{i}+{i}=", "answer": str(2 * i)} for i in range(count)]


def without_times(records):
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]
