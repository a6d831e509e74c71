"""Which engine trains, and which options of a recipe or of the user's it knows."""

from dataclasses import fields
from typing import Any

from htpo.engines.engine import ENGINES, engine_class
from htpo.engines.job_options import JobOptions
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, objective_options

DEFAULT = "trl"


def chosen_engine(*given: dict[str, Any]) -> str:
    """The name of the engine in the first of some options that names one.

    Raises:
        UserError: there is none of that name.
    """
    name = next((str(options["engine"]) for options in given if options.get("engine")), DEFAULT)
    if name not in ENGINES:
        raise UserError(f"no engine {name!r}: there are {', '.join(ENGINES)}")
    return name


def known_to(engine: str) -> set[str]:
    """Names of all options of `htpo train` with an engine, but for those of objectives."""
    kinds = (JobOptions, *engine_class(engine).OPTIONS)
    return {"engine", *(field.name for kind in kinds for field in fields(kind))}


def for_engine(recipe: dict[str, Any], flags: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe's options without those that only other engines know.

    Returns:
        (the options kept, names of those left out).

    Raises:
        UserError: a flag is only another engine's.
    """
    engine = chosen_engine(flags, recipe)
    known = known_to(engine)
    unknown = {*recipe, *flags} - known - {name for objective in OBJECTIVES for name in objective_options(objective)}
    owners = {name: [other for other in ENGINES if other != engine and name in known_to(other)] for name in unknown}
    for name in flags:
        if owners.get(name):
            raise UserError(f"{name} is an option of the engine {' and '.join(owners[name])}; the engine is {engine}")
    left_out = sorted(name for name in recipe if owners.get(name))
    return {name: value for name, value in recipe.items() if name not in left_out}, left_out
