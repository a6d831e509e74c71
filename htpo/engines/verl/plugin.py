"""What verl's entry point `verl.plugins` loads: it makes the trainer modes, the reward manager and the agent loop of
episodes known, and the CPU where asked to.

verl imports this module and swallows what it raises. A mode that could not be registered is then unknown to verl, which
stops at `trainer.v1.trainer_mode=htpo_sync`; `python -m htpo.engines.verl.plugin` says why. Once loaded, the plugin has
a say in every configuration, see `check_configurations`.
"""

import importlib.util
import os
from functools import wraps
from pathlib import Path
from typing import Any

from htpo.engines.verl import cpu
from htpo.engines.verl.agent_loop import EpisodeAgentLoop
from htpo.engines.verl.episode_data import AGENT
from htpo.engines.verl.nodes import SWITCH, switched_off
from htpo.engines.verl.reward import REWARD_MANAGER, VerifierReward
from htpo.engines.verl.settings import HOST_MODES, MODE_PREFIX, read_settings, refuse_ignored_block
from htpo.engines.verl.trainer import ObjectiveTrainer

RECIPES = Path(__file__).parents[2] / "recipes" / "verl"


def register() -> list[str]:
    """Make the trainer modes known to verl, once or again; returns their names."""
    if cpu.asked_for():
        cpu.register()
    _without_trl()
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY, get_trainer_cls, register_trainer

    names = []
    for mode in HOST_MODES:
        name = MODE_PREFIX + mode
        if name not in TRAINER_REGISTRY:
            host = get_trainer_cls(mode)
            register_trainer(name)(type(f"Objective{host.__name__}", (ObjectiveTrainer, host), {"host_mode": mode}))
        names.append(name)
    _register_reward_manager()
    _register_agent_loop()
    check_configurations()
    return names


def check_configurations() -> None:
    """Have verl's commands refuse a configuration that would go wrong, before they start Ray.

    verl has no hook for that, so its `validate_config`, which they all begin with, is wrapped. It is there too that a
    trainer of verl's own is asked for beside a block `htpo`, which it would not read.
    """
    from verl.utils import config as host

    if hasattr(host.validate_config, "__wrapped__"):
        return

    @wraps(host.validate_config)
    def checked(config: Any, *args: Any, **options: Any) -> Any:
        from omegaconf import OmegaConf

        plain = OmegaConf.to_container(config, resolve=True)
        refuse_ignored_block(plain)
        if plain["trainer"]["v1"]["trainer_mode"].startswith(MODE_PREFIX):
            read_settings(plain)
        return validate(config, *args, **options)

    validate, host.validate_config = host.validate_config, checked


def _register_reward_manager() -> None:
    from verl.experimental.reward_loop.reward_manager import DAPORewardManager
    from verl.experimental.reward_loop.reward_manager import register as register_reward_manager
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER as KNOWN

    if REWARD_MANAGER not in KNOWN:
        register_reward_manager(REWARD_MANAGER)(type("VerifierRewardManager", (VerifierReward, DAPORewardManager), {}))


def _register_agent_loop() -> None:
    from verl.experimental.agent_loop.agent_loop import register as register_agent_loop

    register_agent_loop(AGENT)(EpisodeAgentLoop)


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
    if switched_off(os.environ.get(SWITCH)):
        raise SystemExit(f"verl does not load this plugin: {SWITCH} is {os.environ[SWITCH]}, unset it")
    print("trainer modes:", ", ".join(register()))
    names = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    print("recipes (--config-path pkg://htpo.recipes.verl --config-name NAME):", ", ".join(names))
