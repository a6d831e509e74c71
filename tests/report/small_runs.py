"""Runs of a few updates, really trained: a tiny random policy on a few prompts of one's own, in this process."""

import json

from htpo.cli.train import train_from_arguments
from htpo.runs import RunDirectory
from tests.engines.tiny import save_tiny_model

BASE = {
    "verifier": "tests.report.small_runs:sometimes_right",
    "max_steps": 1,
    "prompts_per_generation": 4,
    "num_generations": 4,
    "updates_per_generation": 1,
    "per_device_train_batch_size": 8,
    "max_completion_length": 12,
    "held_out_prompts": 2,
    "eval_samples": 2,
    "rollout_every": 1,
    "save_strategy": "no",
    "report": False,
    "bf16": False,
    "gradient_checkpointing": False,
    "max_generation_rounds": 2,
    "seed": 1,
}
SHAPES = {
    "1 update": {},
    "4 updates": {"max_steps": 4, "updates_per_generation": 2},
    "no right answer": {"verifier": "tests.report.small_runs:never_right"},
    "all right": {"verifier": "tests.report.small_runs:always_right"},
    "one prompt": {"prompts_per_generation": 1, "num_generations": 8, "held_out_prompts": 0},
    "one token": {"max_completion_length": 1, "overlong_buffer": 0},
    "no verdict at times": {"verifier": "tests.report.small_runs:sometimes_no_verdict", "dynamic_sampling": False},
}


def sometimes_right(response, row):
    return len(response) % 2 == 0


def never_right(response, row):
    return False


def sometimes_no_verdict(response, row):
    return None if 5 <= len(response) <= 10 else len(response) % 2 == 0


def always_right(response, row):
    return True


def train(folder, objective: str, shape: str) -> RunDirectory:
    """Train a run of this shape and say where it lies."""
    model = save_tiny_model(folder / "model")
    prompts = 1 if shape == "one prompt" else 12
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps({"problem": f"{i}+{i}=", "answer": str(2 * i)}) + "\n" for i in range(prompts)))
    options = BASE | SHAPES[shape]
    given = {"dataset": data, "model_name_or_path": model, "objective": objective, "output_dir": folder / "run"}
    arguments = [part for name, value in (options | given).items() for part in (f"--{name}", str(value))]
    train_from_arguments(arguments)
    return RunDirectory(folder / "run")
