"""verl's configuration: what of it was changed, and which checkpoint it makes verl go on from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def checkpoint_to_load(config: Mapping[str, Any]) -> str | None:
    """The folder of the checkpoint that verl will go on from; None where it starts anew."""
    from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

    trainer = config["trainer"]
    if trainer["resume_mode"] == "resume_path":
        return str(trainer["resume_from_path"])
    if trainer["resume_mode"] == "disable":
        return None
    found = find_latest_ckpt_path(os.path.abspath(trainer["default_local_dir"]))
    return None if found is None else str(found)


def changed_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of verl's configuration that differ from its defaults, by their names in a command.

    Those that follow from others, as verl's defaults have it, are left out.
    """
    import verl
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        defaults = compose("ppo_trainer")
    OmegaConf.set_struct(defaults, False)
    said = _flat(OmegaConf.to_container(defaults, resolve=False))
    changed = _differences(_flat(config), defaults)
    given = {name: value for name, value in changed.items() if "${" not in str(said.get(name))}
    for name, value in given.items():
        OmegaConf.update(defaults, name, value)
    return given | _differences(changed, defaults)


def _differences(options: Mapping[str, Any], defaults: Any) -> dict[str, Any]:
    """Those of the options that have another value than in the defaults."""
    from omegaconf import OmegaConf

    values = _flat(OmegaConf.to_container(defaults, resolve=True))
    return {name: value for name, value in options.items() if name not in values or values[name] != value}


def _flat(block: Any, prefix: str = "") -> dict[str, Any]:
    """{"a.b": 1} of {"a": {"b": 1}}."""
    flat: dict[str, Any] = {}
    for name, value in block.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
