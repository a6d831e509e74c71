"""A list of attacks, tried at every level that works here: none may learn a secret or turn a verdict."""

import contextlib
import os
import platform
import secrets
from pathlib import Path

import pytest

from htpo.verifiers.code.sandbox import cells, system_calls
from htpo.verifiers.code.sandbox.cells import Sandbox, SandboxUnavailable, Work
from htpo.verifiers.code.worker import TEST_WORKS
from tests.verifiers.code.sandbox_attacks import AROUND, CARRY_HOME, FORGERIES, SEARCH, WAYS_TO_ASK, WITHIN

CONFINED = [level for level in cells.LEVELS if level != "none"]
SECONDS = 0.5
WON = 99  # exit code of a checker that was deceived


class Grader:
    """A sandbox of one level, and a secret that lies wherever a grader and its machine may hold one.

    Attributes:
        secret: what tests expect; also in the caller's environment and in files beside it.
    """

    def __init__(self, level: str, folder: Path):
        self.level, self.folder = level, folder
        self.secret = f"secret-{secrets.token_hex(16)}"
        self.planted = f"htpo-{secrets.token_hex(8)}"
        self.files = [folder / self.planted, folder / "planted.py"]
        if os.access("/dev/shm", os.W_OK):
            self.files.append(Path("/dev/shm") / self.planted)
        for file in self.files:
            file.write_text(f"known = {self.secret!r}\n")
            file.chmod(0o644)
        os.environ["PLANTED"] = self.secret
        try:
            self.sandbox = Sandbox(level, memory_limit_mb=512)
        finally:
            del os.environ["PLANTED"]

    def tests(self, kind: str) -> dict:
        if kind == "stdin":
            return {"kind": "stdin", "tests": [{"input": "", "output": self.secret}]}
        if kind == "call":
            return {"kind": "call", "entry": "f", "tests": [{"arguments": [0], "output": self.secret}]}
        program = f"wanted = {self.secret!r}\nassert f(0) == wanted and f(1) == wanted"
        return {"kind": "check", "names": ["f"], "modules": [], "setup": f"x = {self.secret!r}", "program": program}

    def try_out(self, tests: dict, code: str) -> tuple[bool, bool, list[int]]:
        """Whether the verdict is "right", whether the secret came out in what was written, and the exit codes."""
        ((works, passes),) = TEST_WORKS[tests["kind"]](tests, code, None)
        try:
            ends = self.sandbox.run(*works, seconds=SECONDS)
        except SandboxUnavailable:  # the attack took the sandbox with it: no verdict, and nothing written
            self.sandbox = Sandbox(self.level, memory_limit_mb=512)
            return False, False, []
        leaked = any(self.secret.encode() in end.result for end in ends)
        return passes(ends), leaked, [end.status for end in ends]

    def beside(self, code: str) -> tuple[bytes, bytes]:
        """What a program writes that knows the secret and waits, and what the attack at its side writes meanwhile."""
        waiting = f"import os\nos.write(1, {self.secret!r}.encode())\nos.write(0, b'r')\nos.read(0, 1)"
        works = [Work("run", {"preamble": "", "code": each}) for each in (waiting, f"import os\nos.read(0, 1)\n{code}")]
        first, second = self.sandbox.run(*works, seconds=SECONDS)
        return first.result, second.result

    def close(self) -> None:
        self.sandbox.close()
        for file in self.files:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def grader_of(level, tmp_path_factory):
    reason = cells.why_unavailable(level)
    if reason:
        pytest.skip(f"{level}: {reason}")
    folder = tmp_path_factory.mktemp("planted")
    folder.chmod(0o755)
    grader = Grader(level, folder)
    yield grader
    grader.close()


@pytest.fixture(scope="module", params=CONFINED)
def grader(request, tmp_path_factory):
    with grader_of(request.param, tmp_path_factory) as grader:
        yield grader


@pytest.fixture(scope="module")
def unconfined_grader(tmp_path_factory):
    with grader_of("none", tmp_path_factory) as grader:
        yield grader


def armed(attack: str, grader: Grader, kind: str) -> str:
    attack = attack.replace("FOLDER", str(grader.folder)).replace("PLANTED", grader.planted)
    files = {"stdin": (1,), "call": (), "check": (1, 3)}[kind]
    ending = "carried()" if kind == "stdin" else "def f(*arguments): return carried()"
    return f"{SEARCH}\nFILES = {files}\n{attack}\n{CARRY_HOME}\n{ending}\n"


@pytest.mark.parametrize("kind", TEST_WORKS)
def test_a_secret_within_reach_would_be_seen(grader, kind):
    code = armed(f"known = {grader.secret!r}\ndef seek(): return known", grader, kind)
    assert grader.try_out(grader.tests(kind), code)[:2] == (True, True)


@pytest.mark.parametrize("attack", [*AROUND, *WITHIN])
def test_no_search_finds_what_the_tests_expect(grader, attack):
    code = (AROUND | WITHIN)[attack]
    for kind in TEST_WORKS if attack in WITHIN else ["check"]:
        right, leaked, _ = grader.try_out(grader.tests(kind), armed(code, grader, kind))
        assert not right
        assert not leaked


@pytest.mark.parametrize("attack", AROUND)
def test_nothing_outside_is_reached_nor_changed(grader, attack):
    assert grader.beside(armed(AROUND[attack], grader, "stdin")) == (grader.secret.encode(), b"nothing")


@pytest.mark.parametrize("attack", WITHIN)
def test_without_a_sandbox_the_expected_values_are_still_in_another_process(unconfined_grader, attack):
    if attack == "temporary folders":
        pytest.skip("the level none leaves files open, as it says")
    tests = unconfined_grader.tests("check")
    assert unconfined_grader.try_out(tests, armed(WITHIN[attack], unconfined_grader, "check"))[:2] == (False, False)


# What else runs on the machine (other tests, too) is open at this level, so the attack keeps to the grader's processes.
ONLY_SIBLINGS = """
def parent(process):
    try:
        return int(open(f'/proc/{process}/stat').read().rsplit(')', 1)[1].split()[1])
    except OSError:
        return None
NEAR = [p for p in NEAR if parent(p) == os.getppid()]
assert NEAR
"""

CLOSED = ("open files", "environ", "mem of", "maps of", "replaces", "results of", "copies the memory", "by pidfd")


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux has /proc and closes it")
@pytest.mark.parametrize("attack", [name for name in AROUND if any(part in name for part in CLOSED)])
def test_without_a_sandbox_processes_are_still_closed_to_one_another(unconfined_grader, attack):
    code = armed(AROUND[attack], unconfined_grader, "stdin")
    code = code.replace("NEAR += [os.getppid(), 1]", ONLY_SIBLINGS)
    assert unconfined_grader.beside(code) == (unconfined_grader.secret.encode(), b"nothing")


@pytest.mark.parametrize("attack", FORGERIES)
def test_no_lie_passes_any_way_of_asking(grader, attack):
    asking = "\n".join(
        f"try:\n    exec({way!r}, globals())\n    os._exit({WON})\nexcept BaseException: pass"
        for way in WAYS_TO_ASK.values()
    )
    tests = grader.tests("check")
    tests["program"] = (
        f"import os\nwanted, number = {grader.secret!r}, {secrets.randbelow(10**9)}\n{asking}\nassert False"
    )
    right, _, codes = grader.try_out(tests, f"import os\n{FORGERIES[attack]}")
    assert not right
    assert WON not in codes[:1]
    right, _, _ = grader.try_out(grader.tests("call"), f"import os\n{FORGERIES[attack]}")
    assert not right


@pytest.mark.parametrize("way", WAYS_TO_ASK)
def test_each_way_of_asking_can_be_won(grader, way):
    number = "number" in WAYS_TO_ASK[way]
    tests = grader.tests("check")
    tests["program"] = f"wanted, number = {grader.secret!r}, 17\n{WAYS_TO_ASK[way]}"
    assert grader.try_out(tests, f"def f(*a): return {17 if number else grader.secret!r}")[0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_every_system_call_that_is_not_listed_is_refused(grader):
    tables = [*system_calls.ALLOWED.values(), *(rule[0] for rule in system_calls.CONDITIONAL.values())]
    of_the_kernel = {335, 336}  # uretprobe and uprobe, which end a process that is not being probed
    listed = {numbers[0] for numbers in tables} | of_the_kernel
    code = (
        "import ctypes, sys\nlibc = ctypes.CDLL(None, use_errno=True)\nlet = []\n"
        f"for n in [*(n for n in range(600) if n not in {listed}), *range(0x40000000, 0x40000000 + 600)]:\n"
        "    ctypes.set_errno(0)\n"
        "    if libc.syscall(n, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 38: let.append(n)\n"
        "print(let)"
    )
    (end,) = grader.sandbox.run(Work("run", {"preamble": "", "code": code}), seconds=SECONDS)
    assert end.result == b"[]\n"
