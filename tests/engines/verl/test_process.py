"""verl's process: it ends with all that it started, and its error is one line."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from htpo.engines.verl.process import last_error, run_verl
from htpo.errors import UserError

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(600)
"""


def child_of(log) -> int:
    while not (log.is_file() and log.read_text().startswith("child ")):
        time.sleep(0.1)
    return int(log.read_text().split()[1])


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Does what it does on a terminal, though a job in the background, and so these tests, may be made deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def is_over(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_it_started(tmp_path, number):
    log, found = tmp_path / "log.txt", []

    def interrupt():
        found.append(child_of(log))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run_verl([sys.executable, "-c", PARENT], {}, log, lambda: None)
    thread.join()
    assert is_over(found[0])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_error_of_the_watch_ends_it(tmp_path):
    log, found = tmp_path / "log.txt", []

    def fail():
        found.append(child_of(log))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_verl([sys.executable, "-c", PARENT], {}, log, fail)
    assert is_over(found[0])


def test_its_output_is_kept_and_its_last_error_is_the_message(tmp_path):
    log = tmp_path / "new" / "log.txt"
    run_verl([sys.executable, "-c", "import os; print('hello', os.environ['A'])"], {"A": "b"}, log, lambda: None)
    with pytest.raises(UserError, match=r"verl stopped \(exit code 1\): ValueError: too big\. All that it said: .*log"):
        run_verl([sys.executable, "-c", "raise ValueError('too big')"], {}, log, lambda: None)
    assert log.read_text().startswith("hello b\nTraceback")
    with pytest.raises(UserError, match="it printed nothing"):
        run_verl([sys.executable, "-c", "import os; os._exit(3)"], {}, log, lambda: None)


RAY = """\x1b[36m(TaskRunnerV1 pid=26103)\x1b[0m step:1 - loss: 3
Traceback (most recent call last):
  File "main_ppo.py", line 3, in main
ray.exceptions.RayTaskError(UserError): \x1b[36mray::TaskRunnerV1.run()\x1b[39m (pid=1, ip=10.0.0.1)
    raise UserError(
htpo.errors.UserError: dynamic sampling drew 64 prompts: too easy
\x1b[36m(TaskRunnerV1 pid=26103)\x1b[0m [repeated 3x across cluster]
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (RAY, "dynamic sampling drew 64 prompts: too easy"),
        ("RuntimeError: CUDA out of memory.\nSystemExit: 1\n", "RuntimeError: CUDA out of memory"),
        ("(WorkerDict pid=3, ip=10.0.0.2) torch.OutOfMemoryError: CUDA\n", "torch.OutOfMemoryError: CUDA"),
        ("Could not override 'data.x'.\nTo append to your config use +data.x=1\n", "Could not override 'data.x'"),
        ("killed\n", "killed"),
        ("", "it printed nothing"),
    ],
)
def test_the_error_is_found_among_what_ray_prints(text, error):
    assert last_error(text) == error


def test_nothing_of_ours_is_left_running():
    assert not [p for p in psutil.Process().children(recursive=True) if "time.sleep(600)" in " ".join(p.cmdline())]
