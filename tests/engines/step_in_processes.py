"""Run by torchrun: one update on scripted rollouts; the first process saves the parameters and the log."""

import json
import sys

import torch

from tests.engines.tiny import step_once

if __name__ == "__main__":
    model_path, output_dir, options = sys.argv[1:]
    host, parameters = step_once(model_path, output_dir, **json.loads(options))
    if host.accelerator.is_main_process:
        log = host.state.log_history[0]
        torch.save(
            {"parameters": parameters, "processes": host.accelerator.num_processes, "log": log}, f"{output_dir}/step.pt"
        )
