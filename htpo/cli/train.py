"""`htpo train`: from a YAML file and flags to a checked `Job`."""

import logging
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from htpo.cli.built_in import RECIPES, built_in, find_yaml
from htpo.cli.engine_options import DEFAULT, chosen_engine, for_engine
from htpo.cli.options import is_true, read_flags
from htpo.cli.rivals import without_rivals
from htpo.engines.engine import Engine, engine_class
from htpo.engines.job_options import JobOptions
from htpo.engines.objective_options import refuse_options_of_other_objectives, with_flags
from htpo.engines.option_rules import check_values, refuse_without_feature
from htpo.environments import EnvironmentLabel, is_environment
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, objective_options, option_meanings
from htpo.option_parsing import parse, refuse
from htpo.tasks import PUZZLE_FAMILIES
from htpo.yaml_file import read_yaml

NOT_STORED = ("resume", "print_command")
QUIET = ("transformers", "trl", "accelerate", "datasets", "httpx", "huggingface_hub")


def train_from_arguments(arguments: list[str]) -> dict[str, Any]:
    """Run the main job for `htpo train [RECIPE] [--option value ...]`; returns its summary."""
    recipe = None
    if arguments and not arguments[0].startswith("--"):
        recipe, *arguments = arguments
    flags = read_flags(arguments)
    recipe = recipe or _default_recipe(flags)
    values, name = read_recipe(recipe), Path(recipe).stem
    if is_true(flags.get("resume")):
        values = _stored_options(flags) or values
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.ERROR)
    values, of_others = for_engine(values, flags)
    values, replaced = without_rivals(values, flags)
    values, left_out = with_flags(values, flags)
    values.setdefault("output_dir", f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    sys.path.append(str(Path.cwd()))  # where a plugin of the user's own lies

    from htpo.engines.job import Job

    options, engine = parse_train(values)
    console = Console(quiet=not engine.main)
    if replaced:
        console.print(f"Left out of the recipe, replaced or switched off by flags: {', '.join(replaced)}")
    if of_others:
        console.print(
            f"Left out of the recipe, as engine {chosen_engine(values)} has no such options: {', '.join(of_others)}",
            soft_wrap=True,
            highlight=False,
        )
    if left_out:
        console.print(
            f"Left out, as {values['objective']} has none or means another thing by it: {', '.join(left_out)}",
            soft_wrap=True,
            highlight=False,
        )
    resolved = {key: value for key, value in values.items() if key not in NOT_STORED}
    summary = Job(options, engine, resolved, console).run()
    if summary and options.report and engine.main:
        from htpo.cli.report import report_at_the_end

        report_at_the_end(Path(engine.output_dir), console)
    return summary


def _default_recipe(flags: dict[str, Any]) -> str:
    dataset = flags.get("dataset")
    if dataset in (None, *PUZZLE_FAMILIES):
        return "quickstart"
    if not isinstance(dataset, str) or not is_environment(dataset):
        return "own_data"
    name = EnvironmentLabel.parse(dataset).name
    return name if name in built_in(RECIPES) and "model_name_or_path" not in flags else "episodes"


def read_recipe(recipe: str) -> dict[str, Any]:
    """Options of a YAML file, or of a built-in recipe by name."""
    values = read_yaml(find_yaml(recipe, "recipe", RECIPES))
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        found = type(values).__name__ if not isinstance(values, dict) else next(n for n in values if type(n) is not str)
        raise UserError(f"{recipe} must hold `option: value` lines, found {found!r}")
    return values


def parse_train(values: dict[str, Any]) -> tuple[JobOptions, Engine]:
    """The job's options and the engine with its own, of a dictionary of options of `htpo train`."""
    engine = chosen_engine(values)
    values = {name: value for name, value in values.items() if name != "engine"}
    parser = _parser(engine)
    refuse_options_of_other_objectives(values, {action.dest for action in parser._actions})
    options, *engine_options = parse(parser, values, "htpo train --options")
    check_values(options)
    refuse_without_feature(options)
    return options, engine_class(engine)(*engine_options)


def list_options(arguments: list[str]) -> None:
    """Print every option with its default; those of the engine that the arguments name."""
    print(_parser(chosen_engine(read_flags(arguments))).format_help())
    for name in OBJECTIVES:
        meanings = option_meanings(name)
        print(f"options of --objective {name}:" if meanings else f"--objective {name} has no options")
        for option, default in objective_options(name).items():
            shown = "none" if default is None else " ".join(default) if isinstance(default, tuple) else default
            print(f"  --{option} {shown}")
            print(textwrap.fill(meanings[option], 100, initial_indent=" " * 8, subsequent_indent=" " * 8))


def _parser(engine: str = DEFAULT):
    from trl import TrlParser

    parser = TrlParser((JobOptions, *engine_class(engine).OPTIONS), prog="htpo train", allow_abbrev=False)
    parser.error = refuse
    return parser


def _stored_options(flags: dict[str, Any]) -> dict[str, Any] | None:
    if "output_dir" not in flags:
        raise UserError("--resume needs --output_dir: the run to go on with")
    stored = Path(str(flags["output_dir"])) / "config.yaml"
    return read_recipe(str(stored)) if stored.is_file() else None
