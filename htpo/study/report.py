"""Writing what a study found; made from the stored runs alone, so it can be made again at any time."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from htpo.analysis.subject import Series, StudyTask
from htpo.figures.catalogue import OF_STUDY, saved
from htpo.runs import write_atomically, write_json, writing
from htpo.study.definition import Study
from htpo.study.directory import StudyDirectory
from htpo.study.results import RunsBySeed, collect, finished_runs
from htpo.study.tables import markdown


def write_report(study: Study, directory: StudyDirectory, title: str) -> dict[str, Any]:
    """Write `results.json`, `results.md` and `figures/` of the runs that are done; returns the results.

    Raises:
        UserError: no run is done, or the disk refuses.
    """
    finished = finished_runs(study, directory)
    results = collect(study, finished)
    with writing(directory.path):
        write_json(directory.path / "results.json", results)
        figures = list(_draw(finished, results, directory.path / "figures"))
        shown = "".join(f"\n![{path.stem}](figures/{path.name})\n" for path in figures)
        text = markdown(results, title) + "\n## Figures\n" + shown
        write_atomically(directory.path / "results.md", text)
    return results


def _draw(finished: Mapping[str, RunsBySeed], results: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Draw the figures of every task that can be drawn; gives the PNGs' paths."""
    for task, runs in finished.items():
        series = [Series(method, tuple(by_seed.values())) for method, by_seed in runs.items()]
        suffix = f"-{task.replace(' ', '-')}"  # links do not like spaces
        for _, path in saved(OF_STUDY, StudyTask(series, results["tasks"][task]), task, folder, suffix):
            if isinstance(path, Path):
                yield path
