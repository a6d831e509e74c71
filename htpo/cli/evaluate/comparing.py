"""`htpo eval --compare`: two evaluations of the same problems."""

from typing import Any

from rich.console import Console

from htpo.analysis.subject import short_labels
from htpo.cli.evaluate.printing import print_line, print_note, print_table
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, compare
from htpo.evaluate.tables import comparison_table
from htpo.markdown import markdown_table
from htpo.runs import write_atomically, write_json, writing


def compare_directories(console: Console, compared: Any, output_dir: str | None, flags: dict[str, Any]) -> int:
    """Print the differences between two directories, and store them where `output_dir` says."""
    if not isinstance(compared, list) or len(compared) != 2:
        raise UserError("--compare needs two directories of evaluations: --compare A B")
    if flags:
        raise UserError(f"--{next(iter(flags))} has no effect on --compare: leave it out")
    first, second = (EvaluationDirectory(str(path)) for path in compared)
    rows = compare(first.samples(), second.samples())
    for name in {row["task"]: None for row in rows}:
        if first.tasks[name]["digest"] != second.tasks[name]["digest"]:
            print_note(console, f"prompts or gold answers of {name} differ between the two")
    header, cells = comparison_table(rows, short_labels([first.path, second.path]))
    print_table(console, header, [[cell.replace(" (", "\n(") for cell in row] for row in cells])
    if output_dir is not None:
        directory = EvaluationDirectory(str(output_dir)).path
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            write_json(directory / "comparison.json", {"first": compared[0], "second": compared[1], "rows": rows})
            write_atomically(directory / "comparison.md", markdown_table(header, cells))
        print_line(console, f"comparison.md, comparison.json: {directory}")
    return 0
