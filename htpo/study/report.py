"""Writing what a study found; made from the stored runs alone, so it can be made again at any time."""

from typing import Any

from htpo.runs import write_atomically, write_json, writing
from htpo.study.definition import Study
from htpo.study.directory import StudyDirectory
from htpo.study.figures import draw_figures
from htpo.study.results import collect
from htpo.study.tables import markdown


def write_report(study: Study, directory: StudyDirectory, title: str) -> dict[str, Any]:
    """Write `results.json`, `results.md` and `figures/` of the runs that are done; returns the results.

    Raises:
        UserError: no run is done, or the disk refuses.
    """
    results = collect(study, directory)
    with writing(directory.path):
        write_json(directory.path / "results.json", results)
        figures = draw_figures(results, directory.path / "figures")
        shown = "".join(f"\n![{path.stem}](figures/{path.name.replace(' ', '%20')})\n" for path in figures)
        text = markdown(results, title) + "\n## Figures\n" + shown
        write_atomically(directory.path / "results.md", text)
    return results
