"""Objectives by name, each with what it says of itself."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from htpo.objectives.registration import register_once
from htpo.objectives.table import TableObjective

Make = Callable[..., TableObjective]


@dataclass(frozen=True)
class Description:
    """An objective by name: how it is made, and what it is."""

    make: Make
    summary: str  # a sentence or two for readers who do not know the method


OBJECTIVES: dict[str, Description] = {}
_MAKERS: dict[str, Make] = {}


def register_objective(*, summary: str) -> Callable[[Make], Make]:
    """Make an objective known under its function's name; its options are the function's arguments.

    Raises:
        ValueError: another objective has that name.
    """

    def register(make: Make) -> Make:
        register_once(_MAKERS, "objective", make.__name__, make)
        OBJECTIVES[make.__name__] = Description(make, summary)
        return make

    return register


def objective_options(name: str) -> dict[str, Any]:
    """The options of an objective and their defaults.

    Raises:
        ValueError: there is no objective of that name.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}, there are {', '.join(OBJECTIVES)}")
    return {key: p.default for key, p in inspect.signature(OBJECTIVES[name].make).parameters.items()}


def make_objective(name: str, **options: Any) -> TableObjective:
    """An objective by name, for instance `make_objective("htpo", variant="release")`.

    Raises:
        ValueError: unknown name, unknown option or unusable value; the message names it and what there is.
    """
    defaults = objective_options(name)
    for option in options:
        if option not in defaults:
            owners = [other for other in OBJECTIVES if option in objective_options(other)]
            whose = f" (an option of {' and '.join(owners)})" if owners else ""
            raise ValueError(
                f"objective {name!r} has no option {option!r}{whose}, it has {', '.join(defaults) or 'none'}"
            )
    resolved = {**defaults, **options}
    described = OBJECTIVES[name]
    return replace(described.make(**resolved), options=resolved, summary=described.summary)
