"""Answers per second of the math verifier, against math-verify alone in one process.

    OMP_NUM_THREADS=1 python benchmarks/math_throughput.py ../shared/data/math/math500.jsonl [more.jsonl ...]

Every gold answer of the files is answered as a model would: right but written otherwise (`\\dfrac`, spaces), and wrong
(the next row's answer). "ordinary" are the distinct pairs that need judging, after one untimed pass over other pairs;
"group of 8" is each pair eight times, as the samples of one prompt often are. math-verify alone is `parse` and
`verify` with its own settings and time-outs, in one process and one thread.
"""

import argparse
import json
import logging
import os
import platform
import time
from collections.abc import Sequence
from itertools import pairwise

from htpo.verifiers.math.verifier import PLAIN_INTEGER, MathVerifier


def answered(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Distinct pairs of a gold answer and an answer, none of them two plain integers."""
    pairs = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            golds = [str(json.loads(line)["answer"]).strip("$ \n") for line in file]
        golds = [gold for gold in golds if gold]
        pairs += [(gold, gold.replace("\\frac", "\\dfrac").replace(",", ", ") + " ") for gold in golds]
        pairs += list(pairwise(golds))
    return [pair for pair in dict.fromkeys(pairs) if not all(PLAIN_INTEGER.fullmatch(text.strip()) for text in pair)]


def with_verifier(verifier: MathVerifier, pairs: Sequence[tuple[str, str]]) -> tuple[float, int]:
    """Seconds, and how many were judged correct."""
    responses = [f"So the answer is \\boxed{{{answer}}}." for _, answer in pairs]
    rows = [{"answer": gold} for gold, _ in pairs]
    start = time.perf_counter()
    verdicts = verifier.judge(responses, rows)
    return time.perf_counter() - start, sum(verdict.correct for verdict in verdicts)


def with_math_verify(pairs: Sequence[tuple[str, str]]) -> tuple[float, int]:
    """The same for math-verify alone."""
    from math_verify import parse, verify

    correct, start = 0, time.perf_counter()
    for gold, answer in pairs:
        correct += verify(parse(f"${gold}$"), parse(f"So the answer is \\boxed{{{answer}}}."))
    return time.perf_counter() - start, correct


def main() -> None:
    """Measure and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=1000, help="distinct pairs to time")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pairs = answered(options.files)[: options.pairs + 50]
    warm, pairs = pairs[-50:], pairs[:-50]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {len(pairs)} pairs")

    verifier = MathVerifier(workers=options.workers)
    with_verifier(verifier, warm)
    with_math_verify(warm)
    baseline, right = with_math_verify(pairs)
    print(f"math-verify alone, one process: {len(pairs) / baseline:.0f} answers/s ({right} correct)")
    seconds, right = with_verifier(verifier, pairs)
    ours = f"MathVerifier, {options.workers} workers"
    print(f"{ours}, ordinary: {len(pairs) / seconds:.0f} answers/s ({right} correct), x{baseline / seconds:.2f}")
    verifier.close()  # its processes remember what they have read
    with_verifier(verifier, warm)
    seconds, _ = with_verifier(verifier, pairs * 8)
    print(f"{ours}, group of 8: {8 * len(pairs) / seconds:.0f} answers/s, x{8 * baseline / seconds:.2f}")
    print(f"not judged: {dict(verifier.failures)}")
    verifier.close()


if __name__ == "__main__":
    main()
