"""Writing what a study found; made from the stored runs alone, so it can be made again at any time."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from htpo.analysis.left_out import LeftOut
from htpo.analysis.sources import Series
from htpo.figures.pass_at_k import draw_differences, draw_pass_at_k
from htpo.figures.training import draw_training
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
    """Draw `training-TASK`, `pass-at-k-TASK` and `differences-TASK`; gives the PNGs' paths."""
    for task, runs in finished.items():
        found = results["tasks"][task]
        place = task.replace(" ", "-")  # links do not like spaces
        series = [Series(method, tuple(by_seed.values())) for method, by_seed in runs.items()]
        yield draw_training(series, f"{task}: training").save(folder, f"training-{place}")
        with suppress(LeftOut):  # one sample per problem has no curve
            yield draw_pass_at_k(series, f"{task}: held-out pass@k").save(folder, f"pass-at-k-{place}")
        if found["comparisons"]:
            measured = f"{found['problems']} held-out problems per seed x {found['samples']} samples"
            title = f"{task}: difference of pass@k"
            yield draw_differences(found["comparisons"], measured, title).save(folder, f"differences-{place}")
