"""The figure in a run's own folder."""

from pathlib import Path

from htpo.errors import UserError
from htpo.figures.catalogue import OF_RUN, saved
from htpo.runs import RunDirectory, RunRecord


def draw_training_figure(directory: RunDirectory) -> Path:
    """Draw `figures/training.png` and `.svg` from the run's metrics, and the data as `.csv`; returns the PNG's path.

    Raises:
        UserError: the run has no metrics yet.
    """
    run = RunRecord.read(directory)
    options = " ".join(f"{name}={value}" for name, value in (run.config.get("objective_options") or {}).items())
    title = " ".join(
        filter(None, [run.objective.name or run.config.get("objective", "htpo"), options, f"({run.label})"])
    )
    ((_, found),) = saved(OF_RUN, run, title, directory.path / "figures")
    if isinstance(found, str):
        raise UserError(f"{directory.path} has no training metrics to draw ({found}): train at least one update")
    return found
