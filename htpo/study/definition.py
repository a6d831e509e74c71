"""What a study file says, checked."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htpo.errors import UserError
from htpo.yaml_file import read_yaml

KEYS = {"methods", "tasks", "seeds", "recipe", "options", "reference", "parallel", "evaluate"}
MOST_SEEDS = 1000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]*")
SET_BY_THE_STUDY = {
    "seed": "list `seeds` in the study",
    "output_dir": "give `htpo study --output_dir`",
    "resume": "a study goes on by itself",
}
SET_IN_EVALUATIONS = SET_BY_THE_STUDY | {"model": "what is evaluated is each task's policy, and every run's"}
PROBLEMS = ("dataset", "dataset_config", "dataset_split", "eval_dataset", "eval_split", "train_prompts", "verifier")
MEASUREMENT = ("held_out_prompts", "eval_samples", "eval_temperature", "eval_top_p")
BUDGET = ("max_steps", "num_train_epochs", "prompts_per_generation", "num_generations", "updates_per_generation")
BUDGET += ("num_iterations", "generation_batch_size", "steps_per_generation", "max_completion_length")
SAME_FOR_ALL_METHODS = {"model_name_or_path", *PROBLEMS, *MEASUREMENT, *BUDGET}
"""Options of which a method may have none of its own: methods start from the same policy with the same budget."""


@dataclass(frozen=True)
class Run:
    """One training run of a study."""

    task: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task} / {self.method} / seed {self.seed}"


@dataclass(frozen=True)
class Start:
    """The policy that the runs of a task start from, which is evaluated beside them."""

    task: str
    policy: str  # a folder or a Hugging Face id
    seed: int

    def __str__(self) -> str:
        return f"{self.task} / before training"


@dataclass(frozen=True)
class Study:
    """Methods x tasks x seeds, trained from one recipe."""

    methods: dict[str, dict[str, Any]]  # name -> options of `htpo train`
    tasks: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    recipe: str = "quickstart"
    options: dict[str, Any] | None = None  # of every run
    reference: str | None = None  # the method that the others are compared with; None: all pairs
    parallel: int | None = None  # runs at once; None: as many as the machine carries
    evaluate: dict[str, Any] | None = None  # options of `htpo eval`, by which policies are measured in the end, too

    def runs(self) -> Iterator[Run]:
        """Every run; seed by seed, so that a study cut short has all methods on its first seeds."""
        for seed in self.seeds:
            for task in self.tasks:
                for method in self.methods:
                    yield Run(task, method, seed)

    def options_of(self, task: str, method: str) -> dict[str, Any]:
        """Options of a task's runs with a method, over the recipe's: the method's win, then the task's."""
        return {**(self.options or {}), **self.tasks[task], **self.methods[method]}

    def pairs(self) -> list[tuple[str, str]]:
        """The comparisons as (method, what it is compared with)."""
        names = list(self.methods)
        if self.reference is not None:
            return [(name, self.reference) for name in names if name != self.reference]
        return [(later, earlier) for index, earlier in enumerate(names) for later in names[index + 1 :]]


def read_study(path: Path) -> Study:
    """A study from its YAML file.

    Raises:
        UserError: the file cannot be read, or something in it is unknown, twice there, empty or unusable.
    """
    content = read_yaml(path)
    try:
        return _study(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _study(content: Any) -> Study:
    if not isinstance(content, dict):
        raise UserError(f"must hold methods, tasks and seeds, found {type(content).__name__}")
    for key in content:
        if key not in KEYS:
            raise UserError(f"unknown key {key!r}, there are {', '.join(sorted(KEYS))}")
    methods, tasks = (_named_options(content, key) for key in ("methods", "tasks"))
    for name, options in methods.items():
        for option in options:
            if option in SAME_FOR_ALL_METHODS:
                raise UserError(
                    f"method {name!r} has its own {option}, but methods are compared with the same policy, problems "
                    "and budget: give it under `options` or `tasks`"
                )
    recipe, reference = content.get("recipe", "quickstart"), content.get("reference")
    if not isinstance(recipe, str):
        raise UserError(f"recipe is {recipe!r}, needs a recipe's name or file")
    if reference is not None and not (isinstance(reference, str) and reference in methods):
        raise UserError(f"reference {reference!r} is not one of the methods: {', '.join(methods)}")
    return Study(
        methods=methods,
        tasks=tasks,
        seeds=_seeds(content.get("seeds")),
        recipe=recipe,
        options=_options("options", content.get("options")),
        reference=reference,
        parallel=check_parallel(content.get("parallel")),
        evaluate=_evaluation(content.get("evaluate")),
    )


def check_parallel(value: Any) -> int | None:
    """The value, when it is None or a positive whole number; else a `UserError`."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UserError(f"parallel is {value!r}, needs a number of runs at once, at least 1")
    return value


def _named_options(content: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    given = content.get(key)
    if not isinstance(given, dict) or not given:
        raise UserError(f"needs `{key}`: at least one `name: {{option: value}}`")
    for name in given:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(f"{key}: {name!r} names a folder, too; use letters, digits, spaces and _ . + -")
    return {name: _options(f"{key}: {name}", options) for name, options in given.items()}


def _evaluation(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    options = _options("evaluate", given, SET_IN_EVALUATIONS)
    if "tasks" not in options:
        raise UserError("evaluate needs `tasks`, as in {tasks: [aime24, aime25], samples: 32}")
    return options


def _options(where: str, given: Any, set_by_the_study: Mapping[str, str] = SET_BY_THE_STUDY) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise UserError(f"{where} must hold `option: value` lines, found {given!r}")
    for option, remedy in set_by_the_study.items():
        if option in given:
            raise UserError(f"{where} sets {option}, which the study does: {remedy}")
    return given


def _seeds(given: Any) -> tuple[int, ...]:
    if isinstance(given, int) and not isinstance(given, bool) and 0 < given <= MOST_SEEDS:
        return tuple(range(given))
    usable = isinstance(given, list) and all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in given)
    if not usable or not given:
        raise UserError(f"seeds is {given!r}, needs how many (1 to {MOST_SEEDS:,}) or a list of whole numbers")
    if len(set(given)) < len(given):
        raise UserError(f"seeds has a seed twice: {given}")
    return tuple(given)
