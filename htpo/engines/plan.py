"""What the main job says before it starts and after it ends, in the field's words."""

from collections.abc import Callable
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from htpo.engines.batch_shape import BatchShape
from htpo.figures.run_folder import draw_training_figure
from htpo.objectives import TableObjective
from htpo.runs import ObjectiveTable, RunDirectory, options_in_words
from htpo.statistics import PassRates, change_in_words
from htpo.tasks.prompts import readable

T = TypeVar("T")


def plan_in_words(
    objective: TableObjective,
    batch: BatchShape,
    *,
    policy: str,
    task: str,
    max_rounds: int,
    overlong_buffer: int,
    measured: str,
) -> dict[str, str]:
    """What is about to happen, by topic.

    Args:
        max_rounds: generation rounds of dynamic sampling at most; 0: there is none.
        overlong_buffer: tokens over which the soft overlong punishment falls; 0: there is none.
    """
    scaled = "divided by the group's standard deviation" if objective.scale_rewards == "group" else "not scaled"
    sampling = f"at most {max_rounds} rounds" if max_rounds else "off"
    overlong = f"over the last {overlong_buffer} tokens" if overlong_buffer else "off"
    return {
        "policy": policy,
        "task": task,
        "objective": f"{objective.name} ({options_in_words(objective.options)})",
        "loss": f"{objective.aggregate.__name__.replace('_', ' ')}; advantages group-relative, {scaled}",
        "batch": batch.in_words(),
        "dynamic sampling": f"{sampling}; soft overlong punishment {overlong}",
        "held-out": measured,
    }


def print_plan(console: Console, plan: dict[str, str], objective: TableObjective, output: str) -> None:
    """Print what is about to happen, and where it is written."""
    table = Table.grid(padding=(0, 2))
    for name, value in {**plan, "output": output}.items():
        table.add_row(f"[cyan]{name}[/]", escape(value))
    console.print(table)
    if objective.axes:
        lines = ObjectiveTable.from_json(objective.describe()).lines
        console.print("  " + escape("\n  ".join(lines)), style="dim", highlight=False)


def held_out_summary(before: PassRates | None, after: PassRates | None) -> dict[str, Any]:
    """What the summary says of held-out problems; nothing where they were not measured before and after."""
    if before is None or after is None:
        return {}
    ks = {f"pass@{k}": [before.pass_at(k), after.pass_at(k)] for k in (1, after.samples)}
    return ks | {"verdict": change_in_words("pass@1", after.change_from(before, 1).to_json())}


def attempt(step: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """(what a step of the wrap-up gives, None), or (None, why it gives nothing)."""
    try:
        return step(), None
    except Exception as error:
        return None, error


def figure_summary(directory: RunDirectory) -> str:
    """Draw the run's figure; returns where it is, or why there is none."""
    figure, no_figure = attempt(lambda: str(draw_training_figure(directory)))
    return f"none: {one_line(no_figure)}" if no_figure is not None else str(figure)


def one_line(error: Exception) -> str:
    """The error with its kind."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def print_summary(console: Console, summary: dict[str, Any], before: PassRates | None, after: PassRates | None) -> None:
    """Print what happened: pass rates before and after, two sample answers, time and where everything is."""
    if before is not None and after is not None:
        table = Table(title=f"{after.problems} held-out problems x {after.samples} samples")
        for heading in ("", "before", "after"):
            table.add_column(heading, justify="right")
        for k in sorted({1, after.samples}):
            table.add_row(f"pass@{k}", f"{before.pass_at(k):.3f}", f"{after.pass_at(k):.3f}")
        table.add_row("mean length", f"{before.mean_length:.1f}", f"{after.mean_length:.1f}")
        console.print(table)
        console.print(summary["verdict"])
        for example in after.examples:
            mark = "[green]right[/]" if example["correct"] else "[red]wrong[/]"
            console.print(
                f"  {mark}: {escape(_end_of(readable(example['prompt']), 200))}"
                f"[bold]{escape(_end_of(example['response'], 300))}[/]"
            )
    if "best" in summary:
        best = summary["best"]
        console.print(
            f"best pass@1 during training: {best['pass@1']:.3f} after update {best['step']}, kept in "
            f"{escape(best['model'])}; it was chosen by these problems, so measure it on others",
            soft_wrap=True,
            highlight=False,
        )
    console.print(f"{summary['updates']} updates in {summary['seconds']:.0f} s")
    for name in ("figure", "model", "run"):
        console.print(f"{name}: {escape(str(summary[name]))}", soft_wrap=True, highlight=False)


def _end_of(text: str, length: int) -> str:
    return text if len(text) <= length else f"... {text[-length:]}"
