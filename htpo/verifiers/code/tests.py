"""Tests of programming problems in the formats data sets keep them in, brought to one form."""

import ast
import base64
import binascii
import builtins
import json
import pickletools
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from htpo.verifiers.row import cell

LARGEST_TESTS = 256 * 2**20  # bytes of private tests, decompressed; the largest of LiveCodeBench come near

# What LeetCode's own judge has imported before a solution starts. Built-ins come last: `math` has a `pow` of its own.
LEETCODE_PREAMBLE = """\
import bisect, collections, copy, datetime, functools, heapq, itertools, math, operator, random, re, string, sys, typing
from bisect import *
from collections import *
from copy import *
from functools import *
from heapq import *
from itertools import *
from math import *
from string import *
from typing import *
from builtins import *
"""
CHECKER_COLUMNS = ("checker", "generated_checker")
CHECK = "check"
CALL_OF_CHECK = """
import sys as _sys
print(int(bool(check(*(open(_name).read() for _name in (_sys.argv[1], _sys.argv[3], _sys.argv[2]))))))
"""
STDIN_INSTRUCTION = "The program reads its input from standard input and writes its answer to standard output."
STARTER_INSTRUCTION = "Use this starter code:"
COMPLETE_INSTRUCTION = "Complete this Python code:"
TEST_INSTRUCTION = "Your code must pass tests like this one:"  # the others would teach answers, not programs

_TEXT_OF_PICKLE = {
    "PROTO", "FRAME", "STOP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip


def normalised_tests(row: dict[str, Any]) -> str:
    """The tests of a row as JSON text, in one of three forms:

    - `{"kind": "stdin", "tests": [{"input": text, "output": text}, ...]}`: a program;
    - `{"kind": "call", "entry": name, "tests": [{"arguments": [...], "output": value}, ...]}`: a function, or a method
      of a class `Solution`; a test may have an `or_output`, which is as good;
    - `{"kind": "check", "names": [...], "stubs": [...], "modules": [...], "setup": code, "program": code}`: code that
      asserts things of the names the solution defines.

    The last two may have a `preamble`: code that runs before the solution. The first may have a `checker`: a program
    that judges an output where several are right, from the column of that name or `generated_checker` (Open R1). It is
    run as `checker.py INPUT EXPECTED OUTPUT` (three files) and prints 1 for a right output, 0 for a wrong one; or it
    defines `check(input, output, expected) -> bool`.

    Read are LiveCodeBench's own columns (`public_test_cases`, `private_test_cases`, `metadata`), lists of such tests in
    `tests` or `official_tests`, LeetCode's `check(candidate)` in `tests["functional"]`, HumanEval (`test`,
    `entry_point`, `prompt` or `problem`), MBPP (`test_list`, `test_imports` or `test_setup_code`), and
    `inputs`, `outputs` and `fn_name` as verl and PRIME keep them in `reward_model.ground_truth`.

    Raises:
        ValueError: in one line that names what is missing or wrong.
    """
    for columns, reader in _READERS.items():
        if all(cell(row, column) is not None for column in columns.split()):
            with _long_integers():
                return json.dumps(_with_checker(reader(row), row))
    wanted = ", ".join(map(repr, _READERS))
    raise ValueError(f"no tests: none of the columns {wanted} is filled (the row has {sorted(row)})")


def _with_checker(tests: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The tests, and the program that judges an output where several are right."""
    column = next((name for name in CHECKER_COLUMNS if row.get(name)), None)
    if column is None:
        return tests
    if tests["kind"] != "stdin":
        raise ValueError(f"{column!r} judges what a program prints, but the tests call functions")
    tree = _tree(row[column], column)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == CHECK]
    return {**tests, "checker": row[column] + (CALL_OF_CHECK if functions else "")}


@contextmanager
def _long_integers() -> Iterator[None]:
    """Integers of any length may be read and written: tests are the user's own data."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def code_prompt(row: dict[str, Any], problem: str) -> str:
    """The problem as a model is asked it, with what it must know of the form of its answer.

    Raises:
        ValueError: when the row has no tests.
    """
    with _long_integers():
        tests = json.loads(normalised_tests(row))
    if isinstance(row.get("starter_code"), str) and row["starter_code"].strip():
        return f"{problem.rstrip()}\n\n{STARTER_INSTRUCTION}\n\n{row['starter_code'].strip()}"
    if row.get("test_list"):
        return f"{problem.rstrip()}\n\n{TEST_INSTRUCTION}\n\n{row['test_list'][0]}"
    if row.get("entry_point"):
        return f"{COMPLETE_INSTRUCTION}\n\n{problem.strip()}"
    if tests["kind"] == "stdin":
        return f"{problem.rstrip()}\n\n{STDIN_INSTRUCTION}"
    return problem.rstrip()


def decode_private_tests(text: str) -> list[Any]:
    """Private tests as LiveCodeBench publishes them: JSON text, or base64 of zlib of a pickle of JSON text.

    Nothing is unpickled. The one string in the pickle is read by its opcodes; a pickle of anything else is refused.

    Raises:
        ValueError: in one line that says what the text is instead.
    """
    if text.lstrip()[:1] in ("[", "{"):
        return _parsed(text, "private_test_cases")
    try:
        compressed = base64.b64decode(text, validate=True)
        expander = zlib.decompressobj()
        pickled = expander.decompress(compressed, LARGEST_TESTS)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"private_test_cases is neither JSON nor base64 of zlib ({error})") from None
    if expander.unconsumed_tail:
        raise ValueError(f"private_test_cases is larger than {LARGEST_TESTS} bytes when decompressed")
    if not expander.eof:
        raise ValueError("private_test_cases is cut off")
    return _parsed(_text_of_pickle(pickled), "private_test_cases")


def _text_of_pickle(pickled: bytes) -> str:
    texts = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name not in _TEXT_OF_PICKLE:
                raise ValueError(f"opcode {opcode.name}")
            if "UNICODE" in opcode.name:
                texts.append(argument)
    except (ValueError, UnicodeError) as error:
        raise ValueError(f"private_test_cases holds a pickle of more than one text ({error}); refused") from None
    if len(texts) != 1:
        raise ValueError(f"private_test_cases holds a pickle of {len(texts)} texts; it must be one")
    return texts[0]


def _live_code_bench(row: dict[str, Any]) -> dict[str, Any]:
    tests = _as_list(row["public_test_cases"], "public_test_cases")
    private = row.get("private_test_cases")
    if private:
        tests = tests + (decode_private_tests(private) if isinstance(private, str) else private)
    metadata = _parsed(row.get("metadata") or "{}", "metadata")
    return _of_test_list(tests, metadata.get("func_name"))


def _test_list(row: dict[str, Any]) -> dict[str, Any]:
    tests = _parsed(row["tests"], "tests")
    if isinstance(tests, dict) and tests.get("kind") in ("stdin", "call", "check"):
        return tests  # they are in this form already
    if isinstance(tests, dict) and isinstance(tests.get("functional"), str):
        return {**_check(tests["functional"], ["Solution"], "", "tests"), "preamble": LEETCODE_PREAMBLE}
    if isinstance(tests, dict) and "inputs" in tests:
        return _inputs_and_outputs(tests)
    return _of_test_list(_as_list(tests, "tests"), row.get("func_name"))


def _of_test_list(tests: list[Any], name: str | None) -> dict[str, Any]:
    """A list of `{"input", "output", "testtype"}` as LiveCodeBench has it."""
    if not tests:
        raise ValueError("the list of tests is empty")
    for number, test in enumerate(tests, start=1):
        if not isinstance(test, dict) or not all(isinstance(test.get(key), str) for key in ("input", "output")):
            raise ValueError(f"test {number} must have an 'input' and an 'output', both text")
    kinds = {test.get("testtype", "stdin") for test in tests}
    if kinds == {"stdin"}:
        return {"kind": "stdin", "tests": [{"input": test["input"], "output": test["output"]} for test in tests]}
    if kinds != {"functional"}:
        raise ValueError(f"tests of kind {sorted(map(str, kinds))}; all must be 'stdin', or all 'functional'")
    if not name:
        raise ValueError("functional tests need the function's name in 'func_name' (LiveCodeBench: in 'metadata')")
    calls = []
    for number, test in enumerate(tests, start=1):
        lines = [line for line in test["input"].split("\n") if line.strip()]
        arguments = [_parsed(line, f"the input of test {number}") for line in lines]
        calls.append({"arguments": arguments, "output": _parsed(test["output"], f"the output of test {number}")})
    return {"kind": "call", "entry": name, "preamble": LEETCODE_PREAMBLE, "tests": calls}


def _ground_truth(row: dict[str, Any]) -> dict[str, Any]:
    truth = _parsed(cell(row, "reward_model.ground_truth"), "reward_model.ground_truth")
    if isinstance(truth, dict) and "inputs" in truth:
        return _inputs_and_outputs(truth)
    return _of_test_list(_as_list(truth, "reward_model.ground_truth"), None)


def _inputs_and_outputs(truth: dict[str, Any]) -> dict[str, Any]:
    """`inputs` and `outputs` side by side. With `fn_name` an input is a list of arguments, or their JSON by line."""
    inputs, outputs, name = truth.get("inputs"), truth.get("outputs"), truth.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise ValueError("'inputs' and 'outputs' must be two lists of one length, not empty")
    if not name:
        texts = [[item if isinstance(item, str) else None for item in side] for side in (inputs, outputs)]
        if None in texts[0] + texts[1]:
            raise ValueError("'inputs' and 'outputs' must be texts when there is no 'fn_name'")
        return {"kind": "stdin", "tests": [{"input": i, "output": o} for i, o in zip(inputs, outputs)]}
    calls = []
    for number, (given, output) in enumerate(zip(inputs, outputs), start=1):
        if isinstance(given, str):
            given = [_parsed(line, f"input {number}") for line in given.split("\n") if line.strip()]
            output = _parsed(output, f"output {number}")
        if not isinstance(given, list):
            raise ValueError(f"input {number} must be the list of arguments of {name!r}")
        calls.append({"arguments": given, "output": output})
        if isinstance(output, list) and len(output) == 1:
            calls[-1]["or_output"] = output[0]  # APPS wraps each output in a list, others do not
    return {"kind": "call", "entry": name, "preamble": LEETCODE_PREAMBLE, "tests": calls}


def _human_eval(row: dict[str, Any]) -> dict[str, Any]:
    """The prompt is the solution's preamble, and what the tests know of its other functions; its stub is neither."""
    entry, prompt = row["entry_point"], next((row[name] for name in ("prompt", "problem") if row.get(name)), "")
    try:
        _parse(prompt)
    except (SyntaxError, TypeError):
        prompt = ""  # words or chat messages, not code
    program = f"{row['test']}\n\ncheck({entry})\n"
    return {**_check(program, [entry], prompt, "test"), "preamble": prompt, "stubs": [entry]}


def _mbpp(row: dict[str, Any]) -> dict[str, Any]:
    imports = row.get("test_imports") or row.get("test_setup_code") or ""
    setup = imports if isinstance(imports, str) else "\n".join(imports)
    program = "\n".join(_as_list(row["test_list"], "test_list"))
    tree = _tree(program, "test_list")
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    set_up = {alias.asname or alias.name for node in ast.walk(_tree(setup, "test_imports")) for alias in _aliases(node)}
    reference = next((row[name] for name in ("code", "answer") if isinstance(row.get(name), str)), "")
    names = used & _defined(reference)  # tells a function that has the name of a built-in one
    names = names or used - set(dir(builtins)) - sys.stdlib_module_names - set_up
    if not names:
        raise ValueError("'test_list' calls no function that a solution could define")
    return _check(program, sorted(names), setup, "test_list")


def _check(program: str, names: list[str], setup: str, column: str) -> dict[str, Any]:
    """Assertions about `names`. Standard modules the program uses without importing them are added to it."""
    tree = _tree(program, column)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = sorted(used & sys.stdlib_module_names - set(names))
    return {"kind": "check", "names": names, "modules": modules, "setup": setup, "program": program, "preamble": ""}


def _defined(code: str) -> set[str]:
    try:
        tree = _parse(code)
    except (SyntaxError, ValueError):
        return set()
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []


def _tree(code: str, column: str) -> ast.Module:
    try:
        return _parse(code)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{column!r} is not Python: {str(error).splitlines()[0]}") from None


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):  # of escapes like '\\w', which data sets are full of
        return ast.parse(code)


def _as_list(value: Any, name: str) -> list[Any]:
    value = _parsed(value, name)
    if not isinstance(value, list):
        raise ValueError(f"{name!r} must be a list, not {type(value).__name__}")
    return value


def _parsed(value: Any, name: str) -> Any:
    """JSON text read; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON ({str(error).splitlines()[0]})") from None


# columns that must be filled: who reads them; the first that fits is taken
_READERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "public_test_cases": _live_code_bench,
    "test entry_point": _human_eval,
    "test_list": _mbpp,
    "tests": _test_list,
    "official_tests": lambda row: _of_test_list(_as_list(row["official_tests"], "official_tests"), None),
    "reward_model.ground_truth": _ground_truth,
}
