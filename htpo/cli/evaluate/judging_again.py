"""`htpo eval --rescore`: stored responses judged again, without a model."""

import time
from typing import Any

from rich.console import Console

from htpo.cli.evaluate.options import JUDGING, parse_evaluation
from htpo.cli.evaluate.printing import print_results
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, judge_again
from htpo.runs import writing

RESCORED_FROM = "rescored_from"


def judge_directory_again(
    console: Console, old: EvaluationDirectory, output_dir: str | None, flags: dict[str, Any]
) -> int:
    """Judge the samples of `old` with the options of its config and `flags`, into a directory of their own."""
    old.samples()  # raises unless it is finished
    for name in flags:
        if name not in JUDGING | {"tasks"}:
            raise UserError(f"--{name} has no effect on --rescore, which generates nothing: leave it out")
    wanted = parse_evaluation({n: v for n, v in old.run.config.items() if n != RESCORED_FROM} | flags)
    if wanted.environments:
        raise UserError(
            f"--rescore: episodes of {', '.join(wanted.environments)} say themselves how they ended; there is nothing "
            "to judge again"
        )
    tasks = wanted.tasks(conversational=False, bare=True)
    if [task.name for task in tasks] != list(old.tasks):
        raise UserError(f"the tasks must be those of {old.path}: {', '.join(old.tasks)}")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    new = EvaluationDirectory(str(output_dir or f"{str(old.path).rstrip('/')}-rescored-{stamp}"))
    new.begin(wanted.config | {RESCORED_FROM: str(old.path)}, tasks)
    with writing(new.path):
        for task in tasks:
            judge_again(task, old.store(task.name), new.store(task.name), progress=task.name)
    print_results(console, new, {RESCORED_FROM: str(old.path)})
    return 0
