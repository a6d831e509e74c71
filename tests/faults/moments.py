"""Moments of a run at which it can be killed, or anything else can happen to it."""

import functools
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
from accelerate.optimizer import AcceleratedOptimizer
from transformers import Trainer

from htpo.engines.judging import Judge
from htpo.engines.trl import HTPOTrainer
from htpo.engines.trl.held_out import HeldOut
from htpo.runs import RunDirectory
from htpo.runs import directory as run_directory

MOMENTS: dict[str, tuple[Any, str]] = {
    "checkpoint put in its place": (run_directory, "put_in_place"),
    "record of an update": (RunDirectory, "append_metrics"),
    "loss": (HTPOTrainer, "_compute_loss"),
    "generation": (HTPOTrainer, "_generate_round"),
    "optimiser of a checkpoint": (Trainer, "_save_optimizer_and_scheduler"),
    "rollouts": (pyarrow.parquet, "write_table"),
    "step of the optimiser": (AcceleratedOptimizer, "step"),
    "weights": (Trainer, "save_model"),  # of a checkpoint, the best policy, the last
    "any file put in its place": (os, "replace"),
    "judging": (Judge, "__call__"),
    "folder removed": (shutil, "rmtree"),
    "measurement": (HeldOut, "_measure"),
}
"""What happens in a run, and the function that does it."""


@dataclass(frozen=True)
class Moment:
    """Just before or just after the `count`-th call (from 1) of what `name` names in `MOMENTS`."""

    name: str
    count: int
    after: bool

    def do(self, action: Callable[[], Any]) -> None:
        """Have `action` happen then, in this process."""
        place, function = MOMENTS[self.name]
        original, calls = getattr(place, function), Counter()

        @functools.wraps(original)
        def replaced(*arguments: Any, **named: Any) -> Any:
            calls["made"] += 1
            if calls["made"] == self.count and not self.after:
                action()
            result = original(*arguments, **named)
            if calls["made"] == self.count and self.after:
                action()
            return result

        setattr(place, function, replaced)

    @classmethod
    def draw(cls, seed: int, calls: dict[str, int]) -> "Moment":
        """One of a run that made so many calls; consecutive seeds go through all kinds."""
        chance = random.Random(seed)
        name = list(MOMENTS)[seed % len(MOMENTS)]
        return cls(name, chance.randint(1, calls[name]), chance.random() < 0.5)


def count_calls(file: Path) -> None:
    """Have this process write the moments it goes through to a file, a line each."""
    for name, (place, function) in MOMENTS.items():
        original = getattr(place, function)

        @functools.wraps(original)
        def counted(*arguments: Any, name: str = name, original: Any = original, **named: Any) -> Any:
            with file.open("a") as lines:
                lines.write(name + "\n")
            return original(*arguments, **named)

        setattr(place, function, counted)


def kill() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
