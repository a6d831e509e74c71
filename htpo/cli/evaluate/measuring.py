"""`htpo eval MODEL`: from options to samples, verdicts and tables; what was stopped goes on."""

import time
from typing import Any

from rich.console import Console

from htpo.cli.evaluate.options import MAY_CHANGE, Evaluation, parse_evaluation
from htpo.cli.evaluate.printing import print_line, print_note, print_results
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, collect
from htpo.evaluate.episodes import EnvironmentProblems
from htpo.runs import writing
from htpo.tasks.task import Problems

INTERRUPTED = 130  # exit code, as shells have it after Ctrl-C


def measure(console: Console, output_dir: str | None, flags: dict[str, Any]) -> int:
    """Sample, judge and store what is not there yet; then print the results. Returns the exit code."""
    resume = flags.pop("resume", False)
    if resume and output_dir is None:
        raise UserError("--resume needs --output_dir: the evaluation to go on with")
    stored = EvaluationDirectory(str(output_dir)).run.config if resume else {}
    wanted = parse_evaluation(stored | flags)
    options, config = wanted.options, wanted.config
    name = options.model.rstrip("/").rsplit("/", 1)[-1]
    directory = EvaluationDirectory(str(output_dir or f"runs/eval-{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    if not resume:
        directory.run.check_free(config)
    backend = wanted.backend()
    tasks = wanted.tasks(conversational=backend.conversational)
    played = [task for task in tasks if isinstance(task, EnvironmentProblems)]
    prompts = {task.name: task.rows["prompt"][:] for task in tasks if not isinstance(task, EnvironmentProblems)}
    if resume:
        directory.check_resumable(config | {name: stored.get(name) for name in MAY_CHANGE}, tasks)
    for each in prompts.values():
        backend.check(each)
    for task in played:
        backend.check_episodes(task.settings.told)
    if backend.announcement:
        print_line(console, backend.announcement)
    generator = backend.start()
    beyond = {name: generator.beyond_context(each) for name, each in prompts.items()}
    if not resume:
        directory.begin(config, tasks)
    _print_plan(console, wanted, tasks, directory, resume)
    longest = generator.longest_context
    if played and longest is not None and longest < options.max_tokens:
        print_note(console, f"the oldest turns of episodes leave what outgrows the {longest} tokens of the context")
    for name, said in beyond.items():
        if said:
            print_note(console, f"{name}: {said}")
    missing = 0
    try:
        with writing(directory.path):
            for task in tasks:
                missing += collect(task, generator, directory.store(task.name), options.samples, progress=task.name)
    except KeyboardInterrupt:
        print_line(console, f"Interrupted. {_how_to_go_on(directory)}")
        return INTERRUPTED
    except UserError as error:
        raise UserError(f"{error}. {_how_to_go_on(directory)}") from error
    for remark in generator.remarks():
        print_line(console, remark)
    if missing:
        console.print(f"[yellow]{missing} samples are missing.[/] {_how_to_go_on(directory)}", soft_wrap=True)
        return 1
    print_results(console, directory, {"options": wanted.may_change, **generator.notes()})
    return 0


def _print_plan(
    console: Console, wanted: Evaluation, tasks: list[Problems], directory: EvaluationDirectory, resume: bool
) -> None:
    options = wanted.options
    for task in tasks:
        print_line(console, task.description, style="cyan")
    problems = sum(len(task.rows) for task in tasks)
    done = f", {directory.stored()} of them stored before" if resume else ""
    what, limit = "responses", f"at most {options.max_tokens} tokens each"
    if len(wanted.environments) == len(tasks):
        what, limit = "episodes", f"the model is shown at most {options.max_tokens} tokens of its turns"
    lines = [
        f"{problems} problems x {options.samples} samples = {problems * options.samples:,} {what}{done}, at "
        f"temperature {options.temperature:g}, top-p {options.top_p:g}, {limit}",
        f"{options.model} by {wanted.backend_name}, into {directory.path}",
    ]
    for line in lines:
        print_line(console, line)


def _how_to_go_on(directory: EvaluationDirectory) -> str:
    return (
        f"{directory.stored()} of {directory.wanted()} samples are stored; go on with "
        f"htpo eval --resume --output_dir {directory.path}"
    )
