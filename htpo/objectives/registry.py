"""Objectives by name, each with what it says of itself."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from htpo.objectives.registration import register_once
from htpo.objectives.table import TableObjective

Make = Callable[..., TableObjective]


@dataclass(frozen=True)
class Description:
    """What an objective is: for help, reports and its page in the docs."""

    summary: str  # a sentence or two in plain words: the first paragraph of its function's docstring
    details: str  # the paragraphs after it
    source: str  # method, paper by its arXiv number, place
    equation: str  # J of one token
    differs: Mapping[str, str]  # from objectives close to it, by name


OBJECTIVES: dict[str, Make] = {}
DESCRIPTIONS: dict[str, Description] = {}


def register_objective(*, source: str, equation: str, differs: Mapping[str, str]) -> Callable[[Make], Make]:
    """Make an objective known under its function's name.

    The function's arguments are its options, each annotated with its meaning; its docstring begins with a summary in
    plain words. See `Description` for the arguments.

    Raises:
        ValueError: another objective has that name.
    """

    def register(make: Make) -> Make:
        register_once(OBJECTIVES, "objective", make.__name__, make)
        summary, _, details = (inspect.getdoc(make) or "").partition("\n\n")
        DESCRIPTIONS[make.__name__] = Description(" ".join(summary.split()), details, source, equation, differs)
        return make

    return register


def objective_options(name: str) -> dict[str, Any]:
    """The options of an objective and their defaults.

    Raises:
        ValueError: there is no objective of that name.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}, there are {', '.join(OBJECTIVES)}")
    return {key: p.default for key, p in inspect.signature(OBJECTIVES[name]).parameters.items()}


def option_meanings(name: str) -> dict[str, str]:
    """What the options of an objective mean."""
    hints = get_type_hints(OBJECTIVES[name], include_extras=True)
    return {option: hints[option].__metadata__[0] for option in objective_options(name)}


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
    return replace(OBJECTIVES[name](**resolved), options=resolved, summary=DESCRIPTIONS[name].summary)
