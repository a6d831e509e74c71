"""What `htpo eval` prints: notes, tables that fit a terminal, and where everything lies."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from htpo.evaluate import EvaluationDirectory
from htpo.evaluate.tables import result_tables
from htpo.figures.catalogue import OF_EVALUATIONS, saved

WORTH_A_WORD = (
    ("truncated", 0.1, "were cut off and count as wrong: raise --max_tokens"),
    ("unparsable", 0.2, "hold no answer that could be read: see what the prompt asks for with htpo data show"),
)
"""Measures, what is much of them, and what is said then."""
CUT_OFF_TURNS = 0.1  # a share that is much


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """A line as it stands, unbroken."""
    console.print(escape(text), style=style, highlight=False, soft_wrap=True)


def print_note(console: Console, text: str) -> None:
    """A line that should be seen."""
    console.print(f"[yellow]Note:[/] {escape(text)}", highlight=False, soft_wrap=True)


def print_results(console: Console, directory: EvaluationDirectory, notes: dict[str, Any]) -> None:
    """Write the results of a finished evaluation, and print them.

    Args:
        notes: further entries of `results.json`.
    """
    samples = directory.samples()
    thinking = {name: count for name in samples if (count := directory.store(name).only_reasoning())}
    results = directory.write_results(samples, {**notes, "only_reasoning": thinking} if thinking else notes)
    for table, intervals in result_tables(results):
        _print_measures(console, *table, intervals=intervals)
    for name, found in results.items():
        for share, most, what in WORTH_A_WORD:
            if found[share]["value"] > most and not (found["episodes"] and share == "unparsable"):
                print_note(console, f"{found[share]['value']:.0%} of the responses to {name} {what}")
    for name, found in results.items():
        cut_off = found["episodes"]["cut_off"] if found["episodes"] else None
        if cut_off is not None and cut_off["value"] > CUT_OFF_TURNS:
            print_note(
                console,
                f"{cut_off['value']:.0%} of the turns in {name} were cut off, and often have no action: raise "
                "--max_turn_length",
            )
    for name, found in results.items():
        shortened = found["episodes"]["shortened"]["value"] if found["episodes"] else 0
        if shortened:
            said = f"in {shortened:.0%} of the episodes of {name} the model no longer saw the oldest turns"
            print_note(console, said)
    for name, found in results.items():
        failed = {kind: count for kind, count in found["failures"].items() if found["episodes"] and kind != "truncated"}
        if failed:
            said = ", ".join(f"{kind} {count}" for kind, count in failed.items())
            print_note(console, f"the environment failed episodes of {name}, which are no successes: {said}")
    for name, count in thinking.items():
        what = "held only reasoning: raise --max_tokens, or see the server's reasoning parser"
        print_note(console, f"{count} responses to {name} {what}")
    names = ["results.md", "results.json", "samples"]
    shown = {directory.path.name: samples}
    for _, path in saved(OF_EVALUATIONS, shown, directory.run.config["model"], directory.path / "figures"):
        if isinstance(path, Path):  # one sample per problem has no curve
            names.append(str(path.relative_to(directory.path)))
    for name in names:
        print_line(console, f"{name}: {directory.path / name}")


def print_table(console: Console, header: list[str], rows: list[list[str]]) -> None:
    """A table that folds what is too wide."""
    table = Table(*header, box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_measures(console: Console, header: list[str], rows: list[list[str]], intervals: int) -> None:
    """A table of measures that fits a terminal: intervals stand below the first means, and are left out of the rest."""
    narrow = [[cell.rstrip(")").replace(" (", "\n").replace(" to ", "-") for cell in row[2:]] for row in rows]
    cells = [row[:intervals] + [cell.partition("\n")[0] for cell in row[intervals:]] for row in narrow]
    tasks = [f"{_broken(row[0])}\nn = {row[1]}" for row in rows]
    header = [name.replace(" ", "\n") for name in (_broken(header[0]), *header[2:])]
    print_table(console, header, [[task, *rest] for task, rest in zip(tasks, cells)])


def _broken(task: str) -> str:
    """A task's name in two lines where it has two parts."""
    return task.replace(":", ":\n")
