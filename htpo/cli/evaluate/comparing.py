"""`htpo eval --compare`: two evaluations of the same problems."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from htpo.analysis.subject import short_labels
from htpo.cli.evaluate.printing import print_table
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, compare
from htpo.evaluate.results import as_markdown
from htpo.runs import write_atomically, write_json, writing
from htpo.statistics import estimate_text, holm, number_text


def compare_directories(console: Console, compared: Any, output_dir: str | None, flags: dict[str, Any]) -> int:
    """Print the differences between two directories, and store them where `output_dir` says."""
    if not isinstance(compared, list) or len(compared) != 2:
        raise UserError("--compare needs two directories of evaluations: --compare A B")
    if flags:
        raise UserError(f"--{next(iter(flags))} has no effect on --compare: leave it out")
    first, second = (EvaluationDirectory(str(path)) for path in compared)
    rows = compare(first.samples(), second.samples())
    adjusted = holm([row["p_value"] for row in rows])
    rows = [{**row, "holm": each} for row, each in zip(rows, adjusted)]
    for name in {row["task"]: None for row in rows}:
        if first.tasks[name]["digest"] != second.tasks[name]["digest"]:
            console.print(f"[yellow]Note:[/] prompts or gold answers of {escape(name)} differ between the two")
    header = ["task", "measure", *short_labels([first.path, second.path]), "difference", "p", "p (Holm)"]
    cells = [
        [
            row["task"],
            row["measure"],
            f"{row['first']:.3f}",
            f"{row['second']:.3f}",
            estimate_text(row, "+.3f"),
            number_text(row["p_value"], ".4f"),
            number_text(row["holm"], ".4f"),
        ]
        for row in rows
    ]
    print_table(console, header, [[cell.replace(" (", "\n(") for cell in row] for row in cells])
    if output_dir is not None:
        directory = EvaluationDirectory(str(output_dir)).path
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            write_json(directory / "comparison.json", {"first": compared[0], "second": compared[1], "rows": rows})
            write_atomically(directory / "comparison.md", as_markdown(header, cells))
        console.print(f"comparison.md, comparison.json: {escape(str(directory))}", soft_wrap=True, highlight=False)
    return 0
