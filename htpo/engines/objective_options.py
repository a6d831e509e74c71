"""The objective of a run and what it goes by: options that are the same, and checked the same, under every engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import HfArgumentParser

from htpo.engines.entropy_of import ENTROPIES
from htpo.engines.option_rules import as_mappings, check_values
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, TableObjective, make_objective, objective_options
from htpo.option_parsing import parse, refuse


@dataclass
class ObjectiveOptions:
    """The objective, and what tells its tokens apart."""

    objective: str = field(
        default="htpo", metadata={"help": f"Objective by name: {', '.join(OBJECTIVES)} (htpo.objectives)."}
    )
    objective_options: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": 'Options of the objective as JSON, for instance \'{"variant": "release"}\'.'},
    )
    entropy_of: str = field(
        default="current",
        metadata={
            "help": "Whose entropy tells tokens apart: "
            + "; ".join(f"'{name}', that of {words}" for name, words in ENTROPIES.items())
            + "."
        },
    )
    correctness_threshold: float | None = field(
        default=None,
        metadata={"help": "A response is correct when the value of what judges correctness is above this. Default: 0."},
    )
    max_generation_rounds: int = field(
        default=10, metadata={"help": "With dynamic sampling, generation rounds per batch at most."}
    )

    def make_objective(self) -> TableObjective:
        """The objective that these options name.

        Raises:
            UserError: there is none, or it does not take its options.
        """
        options = self.objective_options or {}
        assert isinstance(options, dict), "JSON is read when the options are checked"
        try:
            return make_objective(self.objective, **options)
        except ValueError as error:
            raise UserError(str(error)) from error


def read_block(values: Mapping[str, Any]) -> ObjectiveOptions:
    """`ObjectiveOptions` as a recipe of `htpo train` holds them, the objective's own listed or beside the rest.

    Raises:
        UserError: an option is unknown, another objective's, or has an unusable value; as `htpo train` says it.
    """
    parser = HfArgumentParser((ObjectiveOptions,), allow_abbrev=False)
    parser.error = refuse
    gathered, _ = with_flags(dict(values), {})
    refuse_options_of_other_objectives(gathered, {action.dest for action in parser._actions})
    options: ObjectiveOptions
    (options,) = parse(parser, gathered, "htpo train --options")
    as_mappings(options, ["objective_options"])
    check_values(options)
    return options


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
