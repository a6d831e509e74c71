"""Which options of `htpo train` belong to the objective, and which of a recipe's apply to the objective chosen."""

from typing import Any

from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, objective_options


def with_flags(recipe: dict[str, Any], flags: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A recipe's options with `flags` over them, the objective's own gathered in `objective_options`.

    Where the flags choose another objective than the recipe's, an option of the recipe's objective is kept if the
    chosen one has it with the same default, and so means the same by it (`clip_high` of htpo and dapo, not of gspo).

    Returns:
        (all options, those of the recipe's objective that were left out).

    Raises:
        UserError: an objective is unknown, or `objective_options` is no mapping.
    """
    published = str(recipe.get("objective", "htpo"))
    chosen = str(flags.get("objective", published))
    theirs, ours = _defaults(published), _defaults(chosen)
    recipe, from_recipe = _apart(recipe, {**theirs, **ours})
    flags, from_flags = _apart(flags, ours)
    dropped = {}
    if chosen != published:
        dropped = {
            name: value
            for name, value in from_recipe.items()
            if name in theirs and not (name in ours and ours[name] == theirs[name])
        }
    own = {name: value for name, value in from_recipe.items() if name not in dropped} | from_flags
    values = recipe | flags
    return (values | {"objective_options": own} if own else values), dropped


def refuse_options_of_other_objectives(values: dict[str, Any], known: set[str]) -> None:
    """Raise UserError at an option that is not `known` but another objective's, saying whose it is."""
    for name in values:
        owners = [objective for objective in OBJECTIVES if name in objective_options(objective)]
        if name not in known and owners:
            chosen = values.get("objective", "htpo")
            raise UserError(f"{name} is an option of {' and '.join(owners)}; the objective is {chosen}")


def _defaults(objective: str) -> dict[str, Any]:
    try:
        return objective_options(objective)
    except ValueError as error:
        raise UserError(str(error)) from error


def _apart(values: dict[str, Any], known: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the other options, those of an objective: listed under `objective_options`, or `known` and beside the rest)."""
    listed = values.get("objective_options") or {}
    if not isinstance(listed, dict):
        raise UserError(f"objective_options must be a mapping, got {listed!r}")
    own = {name: value for name, value in values.items() if name in known}
    others = {name: value for name, value in values.items() if name not in own and name != "objective_options"}
    return others, {**listed, **own}
