"""Making axes and rules known by name, each name once."""

from collections.abc import Callable
from typing import Any


def register_once(registry: dict[str, Any], kind: str, name: str, thing: Callable[..., Any]) -> None:
    """Enter `thing` under `name`, again where its module is loaded again.

    Raises:
        ValueError: another one has that name.
    """
    there = registry.get(name, thing)
    if (there.__module__, there.__qualname__) != (thing.__module__, thing.__qualname__):
        raise ValueError(f"there is {kind} {name!r} of {there.__module__} already: give yours another name")
    registry[name] = thing
