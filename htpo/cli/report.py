"""`htpo report`: from runs or a study to one page."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from htpo.errors import UserError


def run_report(inputs: list[Path], output: Path | None, console: Console | None = None) -> None:
    """Write the page and say where it is.

    Args:
        inputs: run directories, or one of a study or an evaluation.
        output: the page's file; default: `report.html` in the directory.

    Raises:
        UserError: an input cannot be used, or the page cannot be written.
    """
    console = console or Console()
    with console.status("Writing the report ..."):
        from htpo.analysis.subject import find_subject
        from htpo.report import default_path, write_report

        path = output or default_path(inputs)
        if path.is_dir():
            raise UserError(f"output {path} is a folder: give a file, as in {path / 'report.html'}")
        write_report(find_subject(inputs), path)
    console.print(f"report: {escape(str(path))}", soft_wrap=True, highlight=False)


def report_at_the_end(path: Path, console: Console) -> None:
    """Write the page of a run or study that has come to its end; whatever fails here is only said."""
    try:
        run_report([path], None, console)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        again = f"Once that is mended: htpo report {path}"
        console.print(f"[yellow]No report:[/] {escape(reason)}. {escape(again)}", soft_wrap=True, highlight=False)
