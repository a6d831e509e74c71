"""Objectives by name."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from htpo.objectives import baselines as b
from htpo.objectives.htpo import htpo
from htpo.objectives.table import TableObjective

OBJECTIVES: dict[str, Callable[..., TableObjective]] = {
    f.__name__: f
    for f in (
        htpo,
        *(b.dapo, b.grpo, b.dr_grpo, b.gspo, b.sapo, b.cispo, b.bapo),
        *(b.entropy_mask, b.clip_cov, b.kl_cov, b.ppo, b.reinforce),
    )
}


def objective_options(name: str) -> dict[str, Any]:
    """The options of an objective and their defaults.

    Raises:
        ValueError: there is no objective of that name.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}, there are {', '.join(OBJECTIVES)}")
    return {key: p.default for key, p in inspect.signature(OBJECTIVES[name]).parameters.items()}


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
    return replace(OBJECTIVES[name](**resolved), options=resolved)
