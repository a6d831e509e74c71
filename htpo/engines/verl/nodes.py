"""Ray's nodes: whether verl's processes find this plugin wherever Ray puts them, and how many share a node's cores."""

import math
import os
from collections.abc import Mapping
from importlib import metadata

from htpo.errors import UserError

SWITCH = "VERL_USE_EXTERNAL_PLUGINS"
"""verl's environment variable that says which plugins it loads: auto (all), none, or names."""
PLUGIN = "htpo"
"""Name of the entry point."""

Installed = Mapping[str, str | None]  # see `installed`


def refuse_lacking_nodes() -> None:
    """Raise UserError unless all nodes of Ray on which verl puts processes have what the driver's has."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    # verl's own choice of nodes; the driver's is the one that has loaded the plugin.
    others = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0 and node["NodeID"] != here
    }
    ask = ray.remote(num_cpus=0, max_retries=0)(installed)
    asked = {
        address: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node, address in others.items()
    }
    found: dict[str, Installed | Exception] = {}
    for address, answer in asked.items():
        try:
            found[address] = ray.get(answer)
        except Exception as error:  # of any kind: the function itself is not found there
            found[address] = error
    refuse_differences(installed(), found)


def share_cores(processes: int) -> None:
    """Tell pools of this process (`usable_cores`) that so many like it, spread over Ray's nodes, have some, too."""
    import ray

    nodes = sum(node["Alive"] for node in ray.nodes()) if ray.is_initialized() else 1
    os.environ.setdefault("LOCAL_WORLD_SIZE", str(math.ceil(processes / nodes)))


def installed() -> Installed:
    """Versions of htpo and verl that are installed, and `SWITCH`; imports neither torch nor verl."""
    return {"htpo": _version("htpo"), "verl": _version("verl"), SWITCH: os.environ.get(SWITCH, "auto")}


def refuse_differences(here: Installed, found: Mapping[str, Installed | Exception]) -> None:
    """Raise UserError unless `installed` is the same on every node, and verl loads plugins there.

    Args:
        found: by a node's address, what `installed` returned there, or the error by which it could not be called.
    """
    for address, there in found.items():
        where = f"the Ray node {address}"
        if isinstance(there, Exception):
            last = str(there).strip().splitlines()[-1:] or [type(there).__name__]
            raise UserError(f"{where} does not find htpo ({last[0].strip()}): pip install 'htpo[verl]' there")
        for package in ("htpo", "verl"):
            if there[package] != here[package]:
                raise UserError(
                    f"{where} has {package} {there[package] or '(none)'}, the driver {here[package]}: "
                    f"pip install {package}=={here[package]} there"
                )
        if switched_off(there[SWITCH]):
            raise UserError(f"{where} keeps verl from loading the plugin: unset {SWITCH} there (it is {there[SWITCH]})")


def switched_off(switch: str | None) -> bool:
    """Whether verl would not load this plugin by that value of `SWITCH`."""
    names = [name.strip() for name in (switch or "auto").strip().lower().split(",")]
    return names != ["auto"] and PLUGIN not in names


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
