"""Run by torchrun: an update on scripted rollouts for each set of options, and a run that keeps its rollouts."""

import json
import sys
from pathlib import Path

import torch

from tests.engines.tiny import evaluated, step_once
from tests.engines.trl.kept_rollouts import train_and_keep

if __name__ == "__main__":
    model_path, output_dir, options_by_name = sys.argv[1:]
    steps = {}
    for name, options in json.loads(options_by_name).items():
        host, parameters = step_once(model_path, output_dir, **options)
        log = host.state.log_history[0] | evaluated(host)
        steps[name] = {"parameters": parameters, "processes": host.accelerator.num_processes, "log": log}
    if host.accelerator.is_main_process:
        torch.save(steps, f"{output_dir}/steps.pt")
    train_and_keep(model_path, Path(output_dir) / "kept")
