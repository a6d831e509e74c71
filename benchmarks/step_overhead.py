"""What an update costs in our trainer beside TRL's own: seconds and memory, side by side in one run.

    OMP_NUM_THREADS=1 python benchmarks/step_overhead.py [--rounds 5] [--generations 6] [--output FILE.json]

Number paths from the quickstart's policy: 32 prompts x 8 samples -> 4 updates, without dynamic sampling, which TRL has
not, at a learning rate of 0, so that all sample from one policy and have the same to do. A contender is a process of
its own; they take turns, in an order that goes round. The first generation of each is left out. Seconds are of the CPU,
of sampling and updates together; memory is the peak of the process beyond what it held when training began.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPTS, SAMPLES, UPDATES = 32, 8, 4
CONTENDERS = ("TRL dapo", "dapo", "htpo")


def trainer_of(contender: str, folder: str, generations: int) -> Any:
    """TRL's trainer with its DAPO loss, or ours with an objective; both with the same batches."""
    from entropy_of import POLICY, right
    from trl import GRPOConfig, GRPOTrainer

    from htpo.engines.trl import HTPOConfig, HTPOTrainer
    from htpo.tasks.puzzles.number_path import number_path_task

    given = {
        "output_dir": folder,
        "per_device_train_batch_size": PROMPTS * SAMPLES // UPDATES,
        "steps_per_generation": UPDATES,
        "num_generations": SAMPLES,
        "max_completion_length": 32,
        "max_steps": generations * UPDATES,
        "learning_rate": 0.0,
        "temperature": 1.0,
        "beta": 0.0,
        "epsilon_high": 0.28,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "seed": 0,
        "disable_tqdm": True,
    }
    train = number_path_task(train_prompts=4096, held_out_prompts=1, seed=0).train
    if contender.startswith("TRL"):
        return GRPOTrainer(str(POLICY), right, GRPOConfig(**given, loss_type="dapo"), train_dataset=train)
    del given["epsilon_high"]  # the objective's own
    args = HTPOConfig(**given, objective=contender, dynamic_sampling=False, overlong_buffer=0)
    return HTPOTrainer(str(POLICY), right, args, train_dataset=train)


def resident_bytes() -> int:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def measure(contender: str, generations: int) -> dict[str, float]:
    """CPU milliseconds an update, and the peak of memory in MB, of one process."""
    from transformers import PrinterCallback, TrainerCallback

    class Marks(TrainerCallback):
        """When each generation had been trained on."""

        def __init__(self) -> None:
            self.cpu: list[float] = []
            self.held = 0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.held = resident_bytes()

        def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            if state.global_step % UPDATES == 0:
                self.cpu.append(time.process_time())

    marks = Marks()
    with tempfile.TemporaryDirectory() as folder:
        host = trainer_of(contender, folder, generations)
        host.remove_callback(PrinterCallback)
        host.add_callback(marks)
        host.train()
    each = [(after - before) / UPDATES for before, after in zip(marks.cpu, marks.cpu[1:])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"ms": 1e3 * statistics.median(each), "MB": (peak - marks.held) / 1e6}


def in_process(contender: str, generations: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--generations", str(generations)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each contender")
    parser.add_argument("--generations", type=int, default=6, help="of each process, at least 2")
    parser.add_argument("--output", type=Path, help="a JSON file of every measurement")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.generations < 2:
        parser.error("--generations needs at least 2: the first is left out")
    if args.contender:
        print(json.dumps(measure(args.contender, args.generations)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for number in range(args.rounds):
        for place in range(len(CONTENDERS)):
            name = CONTENDERS[(number + place) % len(CONTENDERS)]
            found[name].append(in_process(name, args.generations))
            print(f"round {number + 1} of {args.rounds}: {name} {found[name][-1]['ms']:.0f} ms", file=sys.stderr)
    print(f"{args.rounds} processes each, {args.generations - 1} generations counted; {platform.machine()}\n")
    print("| | CPU ms an update | ratio | peak MB | ratio |\n|---|---|---|---|---|")
    plain = found[CONTENDERS[0]]
    for name, runs in found.items():
        row = [name]
        for unit in ("ms", "MB"):
            row.append(spread([run[unit] for run in runs]))
            row.append(spread([run[unit] / beside[unit] for run, beside in zip(runs, plain)]))
        print(f"| {' | '.join(row)} |")
    if args.output:
        args.output.write_text(json.dumps(found, indent=1))
        print(f"\nwritten to {args.output}")


if __name__ == "__main__":
    main()
