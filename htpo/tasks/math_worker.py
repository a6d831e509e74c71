"""The worker program behind the math verifier: one JSON request a line in, one JSON reply a line out.

Started by `WorkerPool` as `python -m htpo.tasks.math_worker MEMORY_MB CPU_SECONDS`. The first line it says is "ready";
a request is `[name, *arguments]` with a name of `HANDLERS`; a reply is `{"value": ..., "last": bool}` or
`{"crash": ..., "last": bool}`, where `last` announces that this process has grown and ends. Imports neither torch nor
anything else of the package.
"""

import contextlib
import json
import logging
import os
import re
import resource
import sys
from typing import Any, TextIO

JOBS_PER_PROCESS = 20_000  # SymPy's caches only grow
SCIENTIFIC = re.compile(r"^([+-]?[0-9]+\.?[0-9]*)[eE]([+-]?[0-9]{1,3})$")


def parse_answer(text: str) -> list:
    """The SymPy expressions math-verify reads in `text` taken as one whole answer; empty when it reads none.

    Only the LaTeX reader is used, and only on the whole text: math-verify's fallbacks search for any number inside,
    and would take the set `\\{x | x > 3\\}` for the number 3. `4.5e33` is a number here, not 4.5 times e times 33.
    """
    from math_verify import LatexExtractionConfig, parse

    answer = SCIENTIFIC.sub(r"\1 \\cdot 10^{\2}", whole_answer(text))
    boxed = f"\\boxed{{{answer}}}"
    config = [LatexExtractionConfig(boxed_match_priority=0)]
    found = parse(boxed, config, extraction_mode="first_match", parsing_timeout=None)
    return [expression for expression in found if not isinstance(expression, str)]


def whole_answer(text: str) -> str:
    """`text` on one line (math-verify's patterns stop at a newline), without dollar signs around the whole of it."""
    text = " ".join(text.split())
    while len(text) > 1 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def judge(gold: str, answer: str) -> str:
    """Return "correct", "wrong", or "unparsable" when math-verify reads nothing in the answer."""
    from math_verify import verify

    expressions = parse_answer(answer)
    if not expressions:
        return "unparsable"
    return "correct" if verify(parse_answer(gold), expressions, timeout_seconds=None) else "wrong"


def is_readable(gold: str) -> bool:
    """Whether math-verify reads an expression in a gold answer."""
    return bool(parse_answer(gold))


def last_match(pattern: str, response: str) -> str | None:
    """The group of the pattern's last match in a response; None when it matches nowhere."""
    found = None
    for match in re.finditer(pattern, response):
        found = match
    return None if found is None else found.group(1)


HANDLERS = {"judge": judge, "is_readable": is_readable, "last_match": last_match}


def main() -> None:
    """Serve requests from standard input until it closes."""
    memory_limit, cpu_seconds = int(sys.argv[1]) * 2**20, int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not be read as a reply
    try:
        lower_limit(resource.RLIMIT_CORE, 0)
        lower_limit(resource.RLIMIT_AS, memory_limit)
        logging.disable(logging.CRITICAL)
        judge("\\frac{1}{2}", "0.5")  # imports SymPy and compiles the patterns before the first time-out counts
    except BaseException as error:
        say(replies, crash=f"{type(error).__name__}: {error}", last=True)
        return
    say(replies, value="ready", last=False)
    room = (address_space() + memory_limit) / 2
    for served, line in enumerate(sys.stdin, start=1):
        # Should the parent be killed while this answer is being judged, nobody else would stop the process.
        usage = resource.getrusage(resource.RUSAGE_SELF)
        lower_limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + cpu_seconds)
        name, *arguments = json.loads(line)
        try:
            reply = {"value": HANDLERS[name](*arguments)}
        except Exception as error:
            reply = {"crash": type(error).__name__}
        last = served >= JOBS_PER_PROCESS or address_space() > room
        say(replies, **reply, last=last)
        if last:
            return


def say(replies: TextIO, **reply: Any) -> None:
    """Write one reply."""
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def lower_limit(kind: int, value: int) -> None:
    """Set a soft resource limit, never above the hard one the system has set."""
    hard = resource.getrlimit(kind)[1]
    with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say (anything but Linux)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    main()
