"""verl without an accelerator: for trying a configuration on any machine before it goes to a cluster, not for training.

The plugin makes it known where the environment says `VERL_PLATFORM=cpu`. verl's own code then runs on a CPU, on gloo,
and `actor_rollout_ref.rollout.name=transformers` samples by transformers. What else a configuration must say there is
in docs/verl.md.
"""

import os

from htpo.engines.verl.cpu import platform, rollout, weights

ENVIRONMENT = {"VERL_PLATFORM": platform.NAME}
"""Before the first import of verl: it looks for an accelerator then."""


def asked_for() -> bool:
    """Whether the environment says so."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == platform.NAME


def register() -> None:
    """Make the CPU and the rollout known to verl."""
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")  # under which verl has its engines
    platform.register()
    rollout.register()
    weights.register()
