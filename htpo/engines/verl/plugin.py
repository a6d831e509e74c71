"""What verl's entry point `verl.plugins` loads: it makes the trainer modes and the reward manager known, and the CPU
where asked to.

verl imports this module and swallows what it raises. A mode that could not be registered is then unknown to verl, which
stops at `trainer.v1.trainer_mode=htpo_sync`; `python -m htpo.engines.verl.plugin` says why.
"""

import importlib.util
from pathlib import Path

from htpo.engines.verl import cpu
from htpo.engines.verl.reward import REWARD_MANAGER, VerifierReward
from htpo.engines.verl.trainer import ObjectiveTrainer

HOST_MODES = ("sync", "colocate_async", "separate_async")
"""verl's trainer modes; each is known with an objective under the same name behind `htpo_`."""


def register() -> list[str]:
    """Make the trainer modes known to verl, once or again; returns their names."""
    if cpu.asked_for():
        cpu.register()
    _without_trl()
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY, get_trainer_cls, register_trainer

    names = []
    for mode in HOST_MODES:
        name = f"htpo_{mode}"
        if name not in TRAINER_REGISTRY:
            host = get_trainer_cls(mode)
            register_trainer(name)(type(f"Objective{host.__name__}", (ObjectiveTrainer, host), {"host_mode": mode}))
        names.append(name)
    _register_reward_manager()
    return names


def _register_reward_manager() -> None:
    from verl.experimental.reward_loop.reward_manager import DAPORewardManager
    from verl.experimental.reward_loop.reward_manager import register as register_reward_manager
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER as KNOWN

    if REWARD_MANAGER not in KNOWN:
        register_reward_manager(REWARD_MANAGER)(type("VerifierRewardManager", (VerifierReward, DAPORewardManager), {}))


def _without_trl() -> None:
    """Tell verl that there is no TRL, if it is one without the class that verl 0.9.1 asks of any TRL.

    It is that of a critic with TRL's value head; without it no model can be loaded, though no critic is in use.
    """
    trl = importlib.util.find_spec("trl")
    if trl is None or trl.origin is None or (Path(trl.origin).parent / "experimental" / "ppo").is_dir():
        return
    from verl.utils import import_utils

    import_utils.is_trl_available = lambda: False


if importlib.util.find_spec("verl") is not None:
    register()

if __name__ == "__main__":
    if importlib.util.find_spec("verl") is None:
        raise SystemExit("verl is not installed: pip install 'htpo[verl]'")
    print("trainer modes:", ", ".join(register()))
