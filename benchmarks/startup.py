"""How long one waits: for `htpo --help`, and from `htpo train` to the first update of the quickstart.

    OMP_NUM_THREADS=1 python benchmarks/startup.py [--repeats 5] [--output FILE.json]

Seconds of the clock, and of the CPU in brackets. Before the first update there stand imports, the puzzles, the held-out
problems answered by the policy before training, and the first generation.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HTPO = [sys.executable, "-m", "htpo"]
PATIENCE = 600.0  # seconds


def cpu_of_children() -> float:
    """Seconds of the CPU that ended child processes have used."""
    spent = os.times()
    return spent.children_user + spent.children_system


def help_is_shown() -> None:
    """All of the command's help."""
    subprocess.run([*HTPO, "--help"], stdout=subprocess.DEVNULL, check=True)


def first_update() -> None:
    """`htpo train` until the record of its first update is written; then it is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [*HTPO, "train", "--output_dir", str(run)]
        training = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + PATIENCE
        while not (metrics := run / "metrics.jsonl").exists() or not metrics.read_bytes().endswith(b"\n"):
            if training.poll() is not None or time.monotonic() > until:
                training.kill()
                raise SystemExit(f"no update was made: {training.communicate()[1].decode()[-2000:]}")
            time.sleep(0.02)
        training.kill()
        training.communicate()


def measured(what: Callable[[], None]) -> tuple[float, float]:
    """Seconds of the clock and of the CPU."""
    clock, cpu = time.perf_counter(), cpu_of_children()
    what()
    return time.perf_counter() - clock, cpu_of_children() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a JSON file of every measurement")
    args = parser.parse_args()
    waits: dict[str, list[tuple[float, float]]] = {}
    print("| | seconds, median (range) | CPU seconds, median |\n|---|---|---|")
    for name, what in (("`htpo --help`", help_is_shown), ("first update of the quickstart", first_update)):
        what()  # files are read from the disk once
        waits[name] = [measured(what) for _ in range(args.repeats)]
        clock, cpu = zip(*waits[name])
        print(f"| {name} | {statistics.median(clock):.2f} ({min(clock):.2f} to {max(clock):.2f}) | ", end="")
        print(f"{statistics.median(cpu):.2f} |", flush=True)
    if args.output:
        args.output.write_text(json.dumps(waits, indent=1))
        print(f"\nwritten to {args.output}")


if __name__ == "__main__":
    main()
