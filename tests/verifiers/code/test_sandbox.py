"""The sandbox under attack, at every level this machine has. No attack is tried at the level "none"."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from htpo.errors import UserError
from htpo.verifiers.code.sandbox import cells, system_calls
from htpo.verifiers.code.sandbox.cells import Sandbox, SandboxUnavailable, Work

CONFINED = [level for level in cells.LEVELS if level != "none"]
SECONDS = 0.5


@pytest.fixture(scope="module", params=CONFINED)
def sandbox(request):
    reason = cells.why_unavailable(request.param)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    sandbox = Sandbox(request.param, memory_limit_mb=256)
    yield sandbox
    sandbox.close()


def run(sandbox, code: str, stdin: str = "", seconds: float = SECONDS):
    (end,) = sandbox.run(Work("run", {"preamble": "", "code": code}, stdin.encode()), seconds=seconds)
    return end


def printed(sandbox, code: str) -> str:
    end = run(sandbox, code)
    assert end.status == 0, end
    return end.result.decode()


def processes_of(sandbox) -> list[psutil.Process]:
    """The fork server and everything below it."""
    top = psutil.Process(sandbox._process.pid)
    return [top, *top.children(recursive=True)]


def test_this_machine_has_a_level_that_confines():
    if sys.platform != "linux":
        pytest.skip("confinement needs Linux")
    assert any(cells.why_unavailable(level) is None for level in CONFINED)


def test_a_program_reads_and_writes_and_ends_as_it_would_outside(sandbox):
    end = run(sandbox, "import sys\nprint(sum(map(int, sys.stdin.read().split())))", "1 2\n3\n" * 50_000)
    assert end.result == b"300000\n"
    assert run(sandbox, "print(open(0).read())", "x").result == b"x\n"
    assert run(sandbox, "import os; os.write(1, os.read(0, 9))", "raw").result == b"raw"


@pytest.mark.parametrize(
    "code",
    [
        "if __name__ == '__main__':\n    print(3)",
        "print(3); exit()",
        "import sys; print(3); sys.exit(0)",
        "import atexit; atexit.register(lambda: print(3))",
        "import threading; threading.stack_size(2**26); threading.Thread(target=lambda: print(3)).start()",
        "import resource; resource.setrlimit(resource.RLIMIT_STACK, (2**25, 2**25)); print(3)",
        "import sys; sys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(30000) // 10000)",
        "from __future__ import annotations\nimport dataclasses, json, zlib, ssl, ctypes, unicodedata, lzma; print(3)",
    ],
)
def test_what_honest_programs_do_works(sandbox, code):
    assert printed(sandbox, code) == "3\n"


ENDLESS = {  # attack: how it may end ("timeout", "crash", or None for an ordinary exception)
    "a fork bomb": ("import os\nwhile True:\n  os.fork()", {None}),
    "a stubborn fork bomb": ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", {"timeout"}),
    "a memory bomb": ("x = []\nwhile True: x.append(bytearray(10**6))", {"crash"}),
    "one huge object": ("x = bytearray(10**12)", {"crash"}),
    "endless output": ("while True: print('x' * 1000)", {None}),
    "stubborn output": ("import os\nwhile True:\n  try: os.write(1, b'x' * 9999)\n  except OSError: 0", {"timeout"}),
    "sleep past the limit": ("import time; time.sleep(1000)", {"timeout"}),
    "a busy loop": ("while True: pass", {"timeout"}),
    "ignored signals": (
        "import signal\nfor s in range(1, 65):\n  try: signal.signal(s, signal.SIG_IGN)\n"
        "  except (OSError, ValueError): 0\nwhile True: pass",
        {"timeout"},
    ),
    "endless recursion": ("import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()", {"timeout"}),
    "a null pointer": ("import ctypes; ctypes.string_at(0)", {"crash"}),
    "a full scratch folder": ("i = 0\nwhile True:\n  open(str(i), 'w').write('x' * 999)\n  i += 1", {None}),
    "a huge file": ("f = open('x', 'wb')\nwhile True: f.write(b'x' * 10**6)", {None}),
    "deep code": ("x = " + "(" * 5000 + ")" * 5000, {None}),
    "deeper code": ("x = " + "-" * 100_000 + "1", {None, "crash"}),
}


@pytest.mark.parametrize("attack", ENDLESS)
def test_an_attack_on_resources_ends_in_bounded_time_and_leaves_nothing(sandbox, attack):
    code, failures = ENDLESS[attack]
    before = {process.pid for process in processes_of(sandbox)}
    seconds = SECONDS if failures == {"timeout"} else 4
    end = run(sandbox, code, seconds=seconds)
    assert end.spent < seconds + 1
    assert end.status != 0
    assert end.failure in failures
    assert len(end.result) <= 8 * 2**20
    assert {process.pid for process in processes_of(sandbox)} == before  # no stray process and no zombie
    assert printed(sandbox, "print('still here')") == "still here\n"


def test_a_thread_bomb_is_contained(sandbox):
    code = (
        "import threading, time\nthreading.stack_size(32768)\nn = 0\ntry:\n  while True:\n"
        "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n)"
    )
    end = run(sandbox, code)
    if sandbox.level == "namespaces":
        assert int(end.result) < 64
    else:
        assert end.failure in ("timeout", "crash", None)
    assert printed(sandbox, "print(3)") == "3\n"


FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a unix socket": "import socket; socket.socketpair()",
    "another process": "import os; os.fork()",
    "another program": "import os; os.execv('/bin/sh', ['sh', '-c', 'echo out'])",
    "a subprocess": "import subprocess; subprocess.run(['/bin/echo', 'out'])",
    "the password file": "open('/etc/passwd').read()",
    "processes": "open('/proc/self/environ').read()",
    "the parent's environment": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "the parent's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "killing the parent": "import os; os.kill(os.getppid(), 9)",
    "killing everybody": "import os; os.kill(-1, 9)",
    "killing by owner of a file": "import fcntl, os; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
    "the parent's limits": "import os, resource; resource.prlimit(os.getppid() or 1, resource.RLIMIT_CPU, (1, 1))",
    "the parent's priority": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "the parent's cores": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "writing to the library": "import os; open(os.path.join(os.path.dirname(os.__file__), 'x.py'), 'w')",
    "writing at the top": "open('/x', 'w')",
    "removing the library": "import os; os.unlink(os.__file__)",
    "changing a mode": "import os; os.chmod(os.__file__, 0)",
    "becoming root": "import os; os.setuid(0)",
    "a new root": "import os; os.chroot('/')",
}


@pytest.mark.parametrize("attack", FORBIDDEN)
def test_what_is_outside_cannot_be_reached(sandbox, attack):
    code = f"try:\n    exec({FORBIDDEN[attack]!r})\nexcept OSError as error: print('refused')"
    assert printed(sandbox, code) == "refused\n"


def test_raw_system_calls_are_refused(sandbox):
    numbers = {"ptrace": 101, "process_vm_readv": 310, "mount": 165, "unshare": 272, "bpf": 321, "keyctl": 250}
    numbers |= {"io_uring_setup": 425, "clone3": 435, "userfaultfd": 323, "memfd_create": 319, "truncate": 76}
    if platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    code = f"import ctypes\nprint({{ctypes.CDLL(None).syscall(n, 0, 0, 0, 0) for n in {list(numbers.values())}}})"
    assert printed(sandbox, code) == "{-1}\n"


def test_the_environment_and_the_memory_hold_nothing_of_the_caller(monkeypatch, sandbox):
    monkeypatch.setenv("HTPO_TEST_TOKEN", "sesame-" + "street")
    fresh = Sandbox(sandbox.level, memory_limit_mb=256)
    code = "import os; print(sorted(os.environ)); print(len.__self__ and len(os.environb))"
    assert "TOKEN" not in printed(fresh, code)
    try:
        environment = Path(f"/proc/{fresh._process.pid}/environ").read_text()
    except PermissionError:  # closed to all but root
        environment = ""
    fresh.close()
    assert "sesame" not in environment


def test_a_process_has_no_capability_and_only_the_files_of_its_role(sandbox):
    pids = set()
    watch = threading.Timer(0.3, lambda: pids.add(processes_of(sandbox)[-1].pid) or states.append(state(*pids)))
    states = []

    def state(pid: int) -> dict[str, str]:
        return dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())

    watch.start()
    files = "[f for f in range(2000) if not ctypes.CDLL(None).fcntl(f, 1) < 0]"
    assert run(sandbox, f"import ctypes, time; print({files}); time.sleep(0.6)", seconds=2).result == b"[0, 1, 2]\n"
    watch.join()
    sets = ("CapInh", "CapPrm", "CapEff", "CapAmb") + (("CapBnd",) if os.geteuid() == 0 else ())
    assert {name: int(states[0][name], 16) for name in sets} == dict.fromkeys(sets, 0)
    assert (states[0]["NoNewPrivs"], states[0]["Seccomp"]) == ("1", "2")


def test_a_file_of_the_user_is_neither_read_nor_changed(sandbox, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    tmp_path.chmod(0o777)
    secret.chmod(0o666)
    for code in (f"print(open({str(secret)!r}).read())", f"open({str(secret)!r}, 'w').write('gone')"):
        end = run(sandbox, code)
        assert end.status != 0
        assert b"sesame" not in end.result
    assert secret.read_text() == "sesame"


def test_one_run_leaves_nothing_for_the_next(sandbox):
    run(sandbox, "import builtins, math, sys\nbuiltins.len = math.sqrt = None\nsys.path.append('x')\nopen('left', 'w')")
    code = "import math, os, sys\nprint(len('ab'), math.sqrt(4.0), 'x' in sys.path, os.path.exists('left'))"
    assert printed(sandbox, code) == "2 2.0 False False\n"


def test_hashes_and_random_numbers_are_the_same_in_every_run(sandbox):
    code = "import random; print(hash('a'), random.random(), list({'b', 'c', 'd'}))"
    other = Sandbox(sandbox.level, memory_limit_mb=256)
    assert printed(sandbox, code) == printed(sandbox, code) == printed(other, code)
    other.close()


def test_closing_ends_everything_even_at_work(sandbox):
    fresh = Sandbox(sandbox.level, memory_limit_mb=256)
    everyone = processes_of(fresh)
    fresh.close()
    fresh.close()
    assert psutil.wait_procs(everyone, timeout=5)[1] == []
    with pytest.raises(SandboxUnavailable):
        run(fresh, "print(3)")


def test_the_sandbox_ends_when_its_starter_is_killed_in_the_middle_of_a_run(sandbox):
    code = (
        "from htpo.verifiers.code.sandbox.cells import Sandbox, Work\n"
        f"s = Sandbox({sandbox.level!r}, 256)\nprint(s._process.pid, flush=True)\n"
        "s.run(Work('run', {'preamble': '', 'code': 'import time; time.sleep(99)'}), seconds=99)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    top = psutil.Process(int(starter.stdout.readline()))
    deadline = time.monotonic() + 10
    wanted = 3 if sandbox.level == "namespaces" else 2
    while len(everyone := [top, *top.children(recursive=True)]) < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(everyone) == wanted
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    deadline = time.monotonic() + 10
    while any(process.is_running() and process.status() != "zombie" for process in everyone):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_fork_server_that_is_killed_is_said_so(sandbox):
    fresh = Sandbox(sandbox.level, memory_limit_mb=256)
    fresh._process.kill()
    with pytest.raises(SandboxUnavailable, match="the fork server is gone"):
        run(fresh, "print(3)")


def test_the_level_none_runs_but_has_to_be_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(cells, "why_unavailable", lambda level: None if level == "none" else "not today")
    with pytest.raises(UserError, match=r'namespaces: not today; landlock: not today.*sandbox="none"') as caught:
        cells.choose_level(None)
    assert "\n" not in str(caught.value)
    assert cells.choose_level("none") == "none"
    with pytest.raises(UserError, match="no sandbox for untrusted code works here .landlock: not today."):
        cells.choose_level("landlock")
    with pytest.raises(UserError, match="sandbox='docker' is no level of isolation; use one of namespaces, landlock"):
        cells.choose_level("docker")
    monkeypatch.undo()
    unconfined = Sandbox("none", memory_limit_mb=256)
    assert printed(unconfined, "print(3)") == "3\n"
    assert run(unconfined, "while True: pass").failure == "timeout"
    unconfined.close()


def test_a_level_that_lets_something_through_is_not_taken(monkeypatch):
    def stand_in(level, memory_limit_mb):
        return Sandbox("none", memory_limit_mb)

    monkeypatch.setattr(cells, "Sandbox", stand_in)
    assert "does not hold" in cells.why_unavailable.__wrapped__("landlock")


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_system_call_numbers_are_those_of_the_kernels_headers(column, header):
    if not os.path.exists(header):
        pytest.skip(f"no {header}")
    text = Path(header).read_text()
    numbers = {name: int(number) for name, number in re.findall(r"__NR(?:3264)?_(\w+) (\d+)", text)}
    numbers.setdefault("newfstatat", numbers.get("fstatat"))
    ours = {name: pair[column] for name, pair in system_calls.ALLOWED.items()}
    ours |= {name: rule[0][column] for name, rule in system_calls.CONDITIONAL.items()}
    assert {name: number for name, number in ours.items() if number != numbers.get(name)} == {}


@pytest.mark.parametrize("identity", [["--map-root-user"], ["--map-user=1000", "--map-group=1000"]])
def test_the_sandbox_starts_for_an_ordinary_user_and_for_root_of_an_outer_namespace(identity):
    if cells.why_unavailable("namespaces"):
        pytest.skip("no namespaces")
    code = "import json; from htpo.verifiers.code.sandbox import cells; "
    code += "print(json.dumps(cells.why_unavailable('namespaces')))"
    command = ["unshare", "--user", *identity, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"no nested user namespace: {done.stderr.strip()}")
    assert json.loads(done.stdout) is None
