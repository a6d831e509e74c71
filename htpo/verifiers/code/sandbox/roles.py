"""What an untrusted process does: run a program, call one function, answer calls, or check another process's answers.

No role that runs a solution is told what is expected of it. `check` runs the tests of a dataset, which know that,
and reaches the solution in its own process only through calls whose arguments and results are plain data.
"""

import _sitebuiltins
import atexit
import builtins
import fcntl
import importlib
import io
import json
import os
import sys
import threading
import types
from typing import Any

from htpo.verifiers.code.sandbox.plain_data import LONGEST_MESSAGE, decode, encode

RAISED, SYNTAX, MEMORY = 1, 65, 66  # exit codes
ROLES = ["run", "call", "serve", "check"]
STANDARD_FILES = {
    f"{folder}/{name}": number
    for folder, names in {"/dev": ("stdin", "stdout"), "/dev/fd": "01", "/proc/self/fd": "01"}.items()
    for number, name in enumerate(names)
}
_open, _os_open = open, os.open
_RESULT, _THIRD = 3, 4  # file descriptors: the result, and the socket to a partner


def perform(role: int, work_file: int, result_file: int, third_file: int) -> None:
    """Do one piece of work and end the process. Never returns."""
    status = RAISED
    try:
        sys.set_int_max_str_digits(0)  # a contest's own judge has no such limit
        work = _arrange_files(ROLES[role], work_file, result_file, third_file)
        builtins.exit, builtins.quit = _sitebuiltins.Quitter("exit", ""), _sitebuiltins.Quitter("quit", "")
        {"run": run, "call": call, "serve": serve, "check": check}[ROLES[role]](work)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except MemoryError:
        status = MEMORY
    except BaseException:
        status = RAISED
    os._exit(status & 0xFF)


def run(work: dict[str, Any]) -> None:
    """Run `work["code"]` as the main program, with the standard input and output it was given."""
    try:
        _execute(work, "__main__")
    finally:  # what the end of a program does: threads, then exit functions, then buffers
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()


def call(work: dict[str, Any]) -> None:
    """Define `work["code"]`, call `work["entry"]` of it with `work["arguments"]`, and write the result down."""
    namespace = _execute(work, "solution")
    solution = namespace.get("Solution")
    function = getattr(solution(), work["entry"]) if hasattr(solution, work["entry"]) else namespace[work["entry"]]
    result = json.dumps(encode(function(*work["arguments"])))
    _write_all(_RESULT, result.encode("ascii"))


def serve(work: dict[str, Any]) -> None:
    """Define `work["code"]` and answer the calls that arrive from a checker until it closes."""
    kept: dict[int, Any] = {}

    def keep(value: Any) -> int:
        kept[len(kept)] = value
        return len(kept) - 1

    namespace = _execute(work, "solution")
    lines = _Lines(_THIRD)
    while (line := lines.read()) is not None:
        try:
            root, attribute, *call = decode(json.loads(line), lambda number, _: kept[number])
            target = namespace[root] if isinstance(root, str) else root
            target = target if attribute is None else getattr(target, attribute)
            reply = {"value": encode(target(*call[0], **call[1]) if call else target, keep)}
        except BaseException as error:
            reply = {"raised": type(error).__name__}
        _write_all(_THIRD, json.dumps(reply).encode("ascii") + b"\n")


def check(work: dict[str, Any]) -> None:
    """Run `work["setup"]` and `work["program"]`, in which the names `work["names"]` reach into the solution's process.

    Writes a word down only when all of it ran to the end without an exception.
    """
    partner = Partner(_THIRD)
    namespace: dict[str, Any] = {"__name__": "tests"}
    for module in work["modules"]:
        namespace[module] = importlib.import_module(module)
    exec(compile(work["setup"], "<setup>", "exec"), namespace)
    namespace.update({name: Remote(partner, name) for name in work["names"]})
    exec(compile(work["program"], "<tests>", "exec"), namespace)
    _write_all(_RESULT, b"passed")


class Partner:
    """The solution's process, as the checker sees it. Anything but a proper answer ends the checker at once."""

    def __init__(self, file: int):
        self._file, self._lines = file, _Lines(file)

    def ask(self, root: Any, attribute: str | None, *call: Any) -> Any:
        """`root`, or an attribute of it, or what calling it with `*call` (arguments, keywords) returns or raises.

        Raises:
            Exception: a built-in one of the type the solution raised, RuntimeError for any other, and for those that
                end a loop of the tests, which would then be over before it has asked anything.
        """
        request = encode([root, attribute, *call], _number_of)
        try:
            _write_all(self._file, json.dumps(request).encode("ascii") + b"\n")
            line = self._lines.read()
            reply = json.loads(line)
            if "raised" in reply:
                kind = getattr(builtins, str(reply["raised"]), None)
                is_error = isinstance(kind, type) and issubclass(kind, Exception)
                ends_loops = kind in (StopIteration, StopAsyncIteration)
                error = kind if is_error and not ends_loops else RuntimeError
            else:
                return decode(reply["value"], lambda number, truth: Remote(self, _Kept(number), truth))
        except BaseException:  # it ended, or wrote what no honest process writes
            os._exit(RAISED)
        raise error("raised by the solution")


class Remote:
    """Something in the solution's process. It can be called, asked for attributes and passed back, and nothing else.

    It is true or false as its owner says, who could as well have returned True. It compares with nothing: only plain
    data can equal what a test expects.
    """

    def __init__(self, partner: Partner, root: Any, truth: bool = True):
        self.__dict__.update(_partner=partner, _root=root, _truth=truth)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._partner.ask(self._root, None, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._partner.ask(self._root, name)

    def __bool__(self) -> bool:
        return self._truth

    def _refuse(self, _: Any) -> Any:
        raise TypeError("the solution returned an object that is no plain data")

    __eq__ = __ne__ = _refuse
    __hash__ = None


class _Kept:
    """The number under which the solution's process keeps an object."""

    def __init__(self, number: int):
        self.number = number


def _number_of(value: Any) -> int:
    if isinstance(value, Remote) and isinstance(value._root, _Kept):
        return value._root.number
    if isinstance(value, _Kept):
        return value.number
    raise TypeError(f"a test passes {type(value).__name__}, which is no plain data")


class _Lines:
    """Lines of a socket, bounded in length."""

    def __init__(self, file: int):
        self._file, self._received = file, bytearray()

    def read(self) -> bytes | None:
        """The next line, or None at the end."""
        while (end := self._received.find(b"\n")) < 0:
            received = os.read(self._file, 2**16)
            if not received or len(self._received) > LONGEST_MESSAGE:
                return None
            self._received += received
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


def _execute(work: dict[str, Any], name: str) -> dict[str, Any]:
    """Run the preamble and the code of a solution as a module called `name`; its namespace."""
    try:
        preamble = compile(work["preamble"], "<preamble>", "exec")
        code = compile(work["code"], "<solution>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        os._exit(SYNTAX)
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(preamble, module.__dict__)
    for stub in work.get("stubs", ()):  # the signature a prompt ends with is no solution
        module.__dict__.pop(stub, None)
    exec(code, module.__dict__)
    return module.__dict__


def _arrange_files(role: str, work_file: int, result_file: int, third_file: int) -> dict[str, Any]:
    """Read the work and put the other two files where the role expects them; close everything else."""
    with open(work_file, "rb") as file:
        work = json.load(file)
    result_file, third_file = (_duplicate_high(file) for file in (result_file, third_file))
    if role == "run":
        os.dup2(third_file, 0)
        os.dup2(result_file, 1)
        os.closerange(3, 64)
    else:
        os.dup2(result_file, _RESULT)
        os.dup2(third_file, _THIRD)
        os.closerange(5, 64)
    # ruff: noqa: SIM115 (they stay open as long as the process lives)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    if role == "run":
        builtins.open = io.open = _open_standard
        os.open = _open_standard_descriptor
    return work


def _open_standard(file: Any, *arguments: Any, **keywords: Any) -> Any:
    """`open` for programs that read `/dev/stdin`, which leads through `/proc`, and that is closed here."""
    number = STANDARD_FILES.get(os.fspath(file)) if isinstance(file, str | os.PathLike) else None
    return _open(file, *arguments, **keywords) if number is None else _open(number, *arguments, closefd=False)


def _open_standard_descriptor(path: Any, *arguments: Any, **keywords: Any) -> int:
    number = STANDARD_FILES.get(path) if isinstance(path, str) else None
    return _os_open(path, *arguments, **keywords) if number is None else os.dup(number)


def _duplicate_high(file: int) -> int:
    return fcntl.fcntl(file, fcntl.F_DUPFD, 16)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
