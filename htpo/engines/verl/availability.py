"""What verl needs of this machine: looked for before anything is loaded."""

import os
from importlib import metadata
from importlib.util import find_spec

from htpo.engines.verl.nodes import PLUGIN, SWITCH, switched_off
from htpo.engines.verl.options import VerlOptions
from htpo.engines.verl.settings import WORKING_VERL, refuse_other_versions
from htpo.errors import UserError

INSTALL = "pip install 'htpo[verl]' in an environment of its own (docs/verl.md)"


def refuse_unavailable(options: VerlOptions, on_cpu: bool) -> None:
    """Raise `UserError` where something is not here, naming it and the remedy."""
    if find_spec("verl") is None:
        raise UserError(f"the engine verl needs verl, which is not installed in this Python: {INSTALL}")
    refuse_other_versions(metadata.version("verl"))
    for package in ("ray", "transfer_queue"):
        if find_spec(package) is None:
            raise UserError(
                f"verl lacks {package}, which its trainer needs: pip install 'verl[verl-core]=={WORKING_VERL}'"
            )
    _plugin()
    _devices(options, on_cpu)


def _plugin() -> None:
    if PLUGIN not in metadata.entry_points(group="verl.plugins").names:
        raise UserError(
            "verl would not find htpo: its entry point is missing, as in a copy that was never installed; pip install "
            "htpo (or pip install -e . in its folder) in this environment"
        )
    if switched_off(os.environ.get(SWITCH)):
        raise UserError(f"{SWITCH}={os.environ[SWITCH]} keeps htpo out of verl: unset it")


def _devices(options: VerlOptions, on_cpu: bool) -> None:
    if options.nodes > 1 and not os.environ.get("RAY_ADDRESS"):
        raise UserError(
            f"nodes={options.nodes} need a Ray cluster: `ray start` on each of them, and RAY_ADDRESS in the environment"
        )
    if on_cpu:
        if options.beta:
            raise UserError(
                f"beta={options.beta:g} needs a reference model, which verl can keep beside a GPU only: leave it at 0, "
                "or take --engine trl"
            )
        return
    if options.devices % options.vllm_tensor_parallel_size:
        raise UserError(
            f"vllm_tensor_parallel_size ({options.vllm_tensor_parallel_size}) does not divide the {options.devices} "
            "GPUs (nodes x gpus_per_node): change one of them"
        )
    other = any(text.startswith("actor_rollout_ref.rollout.name=") for text in options.verl_options)
    if not other and find_spec("vllm") is None:
        raise UserError(
            "verl samples by vLLM, which is not installed: pip install vllm, or --verl_options "
            "actor_rollout_ref.rollout.name=sglang"
        )
