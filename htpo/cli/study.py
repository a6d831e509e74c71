"""`htpo study`: from a study file to checked runs, their training and the report."""

import os
from typing import Any

from rich.console import Console
from rich.markup import escape

from htpo.cli.built_in import STUDIES, find_yaml
from htpo.cli.engine_options import for_engine
from htpo.cli.evaluate.options import parse_evaluation
from htpo.cli.options import read_flags
from htpo.cli.report import report_at_the_end
from htpo.cli.rivals import without_rivals
from htpo.cli.train import parse_train, read_recipe
from htpo.engines.job import starting_policy
from htpo.engines.objective_options import with_flags
from htpo.errors import UserError
from htpo.study import (
    Failure,
    Start,
    Study,
    StudyDirectory,
    as_flags,
    check_parallel,
    plain_words,
    read_study,
    train_all,
    write_results,
)

INTERRUPTED = 130  # exit code, as shells have it after Ctrl-C


def run_study(file: str, output_dir: str | None, parallel: int | None, report_only: bool) -> int:
    """Train what is not done, report, and return the exit code: 1 when a run failed, 130 when interrupted."""
    check_parallel(parallel)
    path = find_yaml(file, "study", STUDIES)
    study = read_study(path)
    recipe_options = read_recipe(study.recipe)
    directory = StudyDirectory(output_dir or f"runs/study-{path.stem}")
    console = Console()
    failures: list[Failure] = []
    if report_only:
        directory.check_same(study, recipe_options)
    else:
        starts = check_options(study, recipe_options)
        directory.begin(study, recipe_options)
        at_once = parallel or study.parallel or _carried()
        _print_plan(console, study, directory, at_once)
        try:
            failures = train_all(study, directory, at_once, starts if study.evaluate is not None else ())
        except KeyboardInterrupt:
            console.print("Interrupted; all runs have ended. The same command goes on from here.")
            return INTERRUPTED
    if failures:
        console.print(f"[red]{len(failures)} runs failed[/] (the last line of each; more in {directory.path}/logs):")
        for failure in failures:
            console.print(f"  {escape(str(failure))}", highlight=False, soft_wrap=True)
    if any(directory.is_done(run, study) for run in study.runs()):
        _report(console, study, directory, path.stem)
    return 1 if failures else 0


def check_options(study: Study, recipe_options: dict[str, Any]) -> list[Start]:
    """Parse the options of every task and method as `htpo train` will, and those of evaluations as `htpo eval`.

    Returns:
        The policy that each task starts from.

    Raises:
        UserError: an option is unknown or unusable, or nothing would be measured; says of which task and method.
    """
    starts = {}
    for task in study.tasks:
        for method in study.methods:
            options = {**study.options_of(task, method), "seed": study.seeds[0], "output_dir": "unused"}
            flags: dict[str, Any] = {}
            for name, value in options.items():
                flags |= read_flags(as_flags({name: value})) if value is not None else {name: None}
            try:
                recipe, _ = for_engine(recipe_options, flags)
                job_options, engine = parse_train(with_flags(without_rivals(recipe, flags)[0], flags)[0])
                if not job_options.held_out_prompts or not job_options.eval_samples:
                    raise UserError("nothing would be measured: held_out_prompts and eval_samples must be above 0")
                starts[task] = Start(task, starting_policy(engine, job_options), study.seeds[0])
            except UserError as error:
                raise UserError(f"{task} / {method}: {error}") from error
    if study.evaluate is not None:
        try:
            parse_evaluation(read_flags(as_flags({"model": "unused", **study.evaluate})))
        except UserError as error:
            raise UserError(f"evaluate: {error}") from error
    return list(starts.values())


def _carried() -> int:
    """Runs at once: one per CPU core, or a single one where they would share an accelerator."""
    import torch

    return 1 if torch.accelerator.is_available() else os.cpu_count() or 1


def _print_plan(console: Console, study: Study, directory: StudyDirectory, at_once: int) -> None:
    done = sum(directory.is_done(run, study) for run in study.runs())
    console.print(
        f"{len(study.methods)} methods x {len(study.tasks)} tasks x {len(study.seeds)} seeds = "
        f"{len(list(study.runs()))} runs ({done} done before), {at_once} at once, in {escape(str(directory.path))}",
        soft_wrap=True,
        highlight=False,
    )


def _report(console: Console, study: Study, directory: StudyDirectory, title: str) -> None:
    results = write_results(study, directory, title)
    for line in plain_words(results):
        console.print(escape(line), soft_wrap=True, highlight=False)
    if results["missing"]:
        console.print(f"[yellow]Not finished:[/] {len(results['missing'])} of {len(list(study.runs()))} runs")
    for name in ("results.md", "results.json", "figures"):
        console.print(f"{name}: {escape(str(directory.path / name))}", soft_wrap=True, highlight=False)
    report_at_the_end(directory.path, console)
