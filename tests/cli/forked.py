"""`htpo train` in a fork of the test's process: a run of its own, without the seconds that imports take."""

import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from htpo.cli.train import train_from_arguments
from htpo.engines import job
from htpo.errors import UserError

SHORT = {
    "max_steps": "1",
    "train_prompts": "16",
    "held_out_prompts": "4",
    "eval_samples": "0",
    "prompts_per_generation": "4",
    "updates_per_generation": "1",
    "num_generations": "4",
    "max_completion_length": "8",
    "dynamic_sampling": "false",
    "rollout_every": "0",
    "save_strategy": "no",
    "report": "false",
}
"""One update of 16 short responses, a second."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: "ok", "refused" (before anything was loaded), "late" (refused after), "traceback" or "died"."""

    kind: str
    message: str
    printed: str


def train_in_a_fork(arguments: list[str], folder: Path, patches: tuple = (), seconds: int = 120) -> Outcome:
    """Train as SHORT says, with `arguments` over it, and output_dir `folder`/run where they name none.

    Args:
        patches: (object, name, value) to set in the fork alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
    base = [f"--{name}={value}" for name, value in SHORT.items() if f"--{name}" not in given]
    if "--dataset" in given:
        base.remove(f"--train_prompts={SHORT['train_prompts']}")  # it is of generated puzzles
    if "--output_dir" not in given:
        base.append(f"--output_dir={folder / 'run'}")
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        _run([*base, *arguments], folder, patches)
    os.waitpid(child, 0)
    outcome = folder / "outcome.json"
    kind, message = json.loads(outcome.read_text()) if outcome.is_file() else ("died", f"no end in {seconds} s")
    outcome.unlink(missing_ok=True)
    return Outcome(kind, message, (folder / "printed.txt").read_text())


def _run(arguments: list[str], folder: Path, patches: tuple) -> None:
    sys.stdout = sys.stderr = (folder / "printed.txt").open("w", buffering=1)  # pytest holds the real ones
    loading = []
    load = job.Job._tokenizer
    job.Job._tokenizer = lambda started: loading.append(True) or load(started)
    for target, name, value in patches:
        setattr(target, name, value)
    try:
        train_from_arguments(arguments)
        ended = ("ok", "")
    except UserError as error:
        ended = ("late" if loading else "refused", str(error))
    except BaseException as error:
        ended = ("traceback", f"{type(error).__name__}: {error}")
        traceback.print_exc()
    (folder / "outcome.json").write_text(json.dumps(ended))
    sys.stdout.flush()
    os._exit(0)
