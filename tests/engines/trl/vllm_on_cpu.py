"""Runs a module with vLLM's CPU build made fit for training: `python -m tests.engines.trl.vllm_on_cpu htpo train ...`.

That build packs the weights of linear layers after loading and drops them, so that new weights cannot be pushed into a
running engine. Here they stay as they are and go through torch. GPU builds do not pack, so nothing of this is theirs.
"""

import runpy
import sys

import torch
from vllm.model_executor.layers import utils


def keep_weights(layer: torch.nn.Module, remove_weight: bool) -> None:
    """In place of `dispatch_cpu_unquantized_gemm`."""
    layer.cpu_linear = torch.nn.functional.linear


if __name__ == "__main__":
    utils.dispatch_cpu_unquantized_gemm = keep_weights
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
