"""Writing what a study found, from the stored runs alone, so that it can be done again at any time; and reading it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from htpo.analysis.subject import Series, StudyTask
from htpo.errors import UserError
from htpo.figures.catalogue import OF_STUDY, saved
from htpo.runs import write_atomically, write_json, writing
from htpo.study.definition import Study
from htpo.study.directory import StudyDirectory
from htpo.study.results import RunsBySeed, collect, finished_runs
from htpo.study.tables import markdown


def write_results(study: Study, directory: StudyDirectory, title: str) -> dict[str, Any]:
    """Write `results.json`, `results.md` and `figures/` of the runs that are done; returns the results.

    Raises:
        UserError: no run is done, or the disk refuses.
    """
    finished = finished_runs(study, directory)
    results = collect(study, directory, finished)
    with writing(directory.path):
        write_json(directory.path / "results.json", results)
        figures = list(_draw(finished, results, directory.path / "figures"))
        shown = "".join(f"\n![{path.stem}](figures/{path.name})\n" for path in figures)
        text = markdown(results, title) + "\n## Figures\n" + shown
        write_atomically(directory.path / "results.md", text)
    return results


def read_results(path: Path) -> dict[str, Any]:
    """What `htpo study` found.

    Raises:
        UserError: it has not written any results, or they cannot be read.
    """
    file = path / "results.json"
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing: `htpo study ... --report-only` writes it") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {' '.join(str(error).split())}") from error
    if any("value" not in rate for task in results["tasks"].values() for rate in task["before"].values()):
        raise UserError(f"{file} is by an earlier version: `htpo study ... --report-only` writes it anew")
    return results


def _draw(finished: Mapping[str, RunsBySeed], results: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Draw the figures of every task that can be drawn; gives the PNGs' paths."""
    for task, runs in finished.items():
        series = [Series(method, tuple(by_seed.values())) for method, by_seed in runs.items()]
        suffix = f"-{task.replace(' ', '-')}"  # links do not like spaces
        for _, path in saved(OF_STUDY, StudyTask(series, results["tasks"][task]), task, folder, suffix):
            if isinstance(path, Path):
                yield path
