"""`htpo eval`: which of its three ways of working is asked for."""

import logging
from typing import Any

from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from htpo.cli.evaluate.comparing import compare_directories
from htpo.cli.evaluate.judging_again import judge_directory_again
from htpo.cli.evaluate.measuring import measure
from htpo.cli.options import read_flags
from htpo.cli.train import QUIET
from htpo.evaluate import EvaluationDirectory


def evaluate_from_arguments(arguments: list[str]) -> int:
    """Run `htpo eval [MODEL] [--option value ...]`; returns the exit code: 1 when samples are missing."""
    flags: dict[str, Any] = {}
    if arguments and not arguments[0].startswith("--"):
        flags["model"], *arguments = arguments
    flags |= read_flags(arguments)
    disable_progress_bar()  # transformers' own, one for every file
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.ERROR)
    output_dir, compared, rescored = (flags.pop(name, None) for name in ("output_dir", "compare", "rescore"))
    console = Console()
    if compared is not None:
        return compare_directories(console, compared, output_dir, flags)
    if rescored is not None:
        return judge_directory_again(console, EvaluationDirectory(str(rescored)), output_dir, flags)
    return measure(console, output_dir, flags)
