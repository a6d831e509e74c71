"""Writing what a study found; made from the stored runs alone, so it can be made again at any time."""

import json
from typing import Any

from htpo.runs import writing
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
        text = json.dumps(_without_nan(results), indent=1, allow_nan=False)
        (directory.path / "results.json").write_text(text + "\n", encoding="utf-8")
        figures = draw_figures(results, directory.path / "figures")
        shown = "".join(f"\n![{path.stem}](figures/{path.name.replace(' ', '%20')})\n" for path in figures)
        text = markdown(results, title) + "\n## Figures\n" + shown
        (directory.path / "results.md").write_text(text, encoding="utf-8")
    return results


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
