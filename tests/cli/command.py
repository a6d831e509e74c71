"""Running the command in a process of its own, and data for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

OWN_DATA = ["--max_steps", "4", "--held_out_prompts", "8", "--eval_samples", "4", "--save_steps", "2"]
OWN_DATA += ["--prompts_per_generation", "8", "--num_generations", "4", "--updates_per_generation", "2"]
SMALL = [*OWN_DATA, "--train_prompts", "200"]


def htpo(*arguments, launcher=(), **options) -> subprocess.CompletedProcess:
    """Run `htpo` to its end."""
    return subprocess.run(
        command(*arguments, launcher=launcher), capture_output=True, text=True, env=one_thread(), **options
    )


def command(*arguments, launcher=()) -> list[str]:
    return [sys.executable, "-m", *launcher, "htpo", *map(str, arguments)]


def one_thread() -> dict[str, str]:
    """The environment: no hub, and one thread, for on a busy machine threads wait for each other."""
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def write_problems(path: Path, problems: list[dict]) -> Path:
    path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    return path


def sums(count: int) -> list[dict]:
    return [{"problem": f"{i}+{i}=", "answer": str(2 * i)} for i in range(count)]
