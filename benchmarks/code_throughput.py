"""Solutions judged per second by the code verifier, beside one plain subprocess for each test, in one run.

    python benchmarks/code_throughput.py [--solutions 128] [--tests 10] [--repeats 3] [--sandbox namespaces]

Every solution is different text and right, so that all its tests run: a sum of a few numbers (start-up is all there is
to pay), and one with 20 ms of arithmetic. "subprocess" is what is often written instead: `subprocess.run` of a new
Python for each test, as many at once as there are cores, without sandbox or bounds but a time-out. Repeats are
interleaved and the median is shown; "cores busy" is processor time of all processes involved over wall clock and cores.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil

from htpo.verifiers.code.reading import last_code_block
from htpo.verifiers.code.tests import normalised_tests
from htpo.verifiers.code.verifier import CodeVerifier
from htpo.workers.pool import usable_cores

PROGRAMS = {
    "sum": "numbers = input().split()\nprint(sum(map(int, numbers)))  # solution {number}",
    "sum and 20 ms of work": (
        "import time\nend = time.process_time() + 0.02\nwhile time.process_time() < end:\n    pass\n"
        "numbers = input().split()\nprint(sum(map(int, numbers)))  # solution {number}"
    ),
}


def by_subprocess(responses: list[str], tests: list[dict[str, str]]) -> int:
    """Judge with one `subprocess.run` for each test; the number of right solutions."""

    def judge(response: str) -> bool:
        for test in tests:
            command = [sys.executable, "-c", last_code_block(response)]
            done = subprocess.run(command, input=test["input"], capture_output=True, text=True, timeout=10)
            if done.stdout.split() != test["output"].split():
                return False
        return True

    with ThreadPoolExecutor(usable_cores()) as pool:
        return sum(pool.map(judge, responses))


def processor_seconds() -> float:
    """Processor time of this process, of those it has waited for, and of all below it with those they waited for."""
    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return used + sum(sum(process.cpu_times()[:4]) for process in psutil.Process().children(recursive=True))


def measure(judge: Callable[[], int], expected: int) -> tuple[float, float]:
    """Wall seconds and processor seconds of one call, which must find all solutions right."""
    used, start = processor_seconds(), time.perf_counter()
    found = judge()
    wall = time.perf_counter() - start
    if found != expected:
        raise SystemExit(f"{found} of {expected} solutions were judged right: the measurement means nothing")
    return wall, processor_seconds() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solutions", type=int, default=128)
    parser.add_argument("--tests", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sandbox", help="a level by name; the strongest that works when left out")
    args = parser.parse_args()
    tests = [{"input": f"{n} {n + 1} {n + 2}\n", "output": f"{3 * n + 3}\n"} for n in range(args.tests)]
    verifier = CodeVerifier(sandbox=args.sandbox, timeout=10.0)
    rows = [{"tests": normalised_tests({"tests": tests})}] * args.solutions
    print(f"{platform.machine()}, {usable_cores()} cores, Python {platform.python_version()}; {verifier.description}")
    print(f"{args.solutions} solutions x {args.tests} tests, median of {args.repeats} interleaved repeats\n")
    print("| program | judged by | seconds | solutions/s | ms of processor a test | cores busy |")
    print("|---|---|---|---|---|---|")
    for name, program in PROGRAMS.items():
        responses = [f"```python\n{program.format(number=number)}\n```" for number in range(args.solutions)]
        contenders = {
            f"htpo, {verifier.level}": lambda r=responses: sum(v.correct for v in verifier.judge(r, rows)),
            "subprocess": lambda r=responses: by_subprocess(r, tests),
        }
        verifier.judge(responses[:2], rows[:2])  # starts the workers
        spent = {contender: [] for contender in contenders}
        for _ in range(args.repeats):
            for contender, judge in contenders.items():
                spent[contender].append(measure(judge, args.solutions))
        for contender, pairs in spent.items():
            wall, used = (statistics.median(values) for values in zip(*pairs))
            each = 1e3 * used / (args.solutions * args.tests)
            busy = used / wall / usable_cores()
            print(f"| {name} | {contender} | {wall:.1f} | {args.solutions / wall:.1f} | {each:.1f} | {busy:.0%} |")
    verifier.close()


if __name__ == "__main__":
    main()
