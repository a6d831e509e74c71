"""What is analysed or reported: run directories, a study, evaluations, or a file of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from htpo.analysis.texts import SUFFIXES
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory
from htpo.runs import RunDirectory, RunRecord
from htpo.yaml_file import read_yaml


@dataclass(frozen=True)
class Series:
    """Runs that are shown as one: a single run, or a study's runs of one method on one task, a seed each."""

    label: str
    runs: tuple[RunRecord, ...]
    is_reference: bool = False  # the method that a study compares the others with

    @property
    def only(self) -> str | None:
        """Levels of the one group whose rule was applied; None where all were."""
        return self.runs[0].objective.options.get("only")

    @property
    def counted(self) -> str:
        """The label, with the number of runs where there are several."""
        return self.label if len(self.runs) == 1 else f"{self.label} (n = {len(self.runs)} seeds)"


@dataclass(frozen=True)
class StudyTask:
    """A task of a study: a series for every method, and what came out between them."""

    series: Sequence[Series]
    results: Mapping[str, Any]  # of the task, as in `results.json`


@dataclass(frozen=True)
class Subject:
    """Series by task ("" where there are no tasks), or evaluations by label, or a file of texts."""

    path: Path
    tasks: dict[str, list[Series]] = field(default_factory=dict)
    evaluations: dict[str, EvaluationDirectory] = field(default_factory=dict)
    texts: Path | None = None


def find_subject(paths: Sequence[Path]) -> Subject:
    """Tell runs, a study, evaluations and a file of texts apart.

    Raises:
        UserError: a path is none of them, several are not all runs or all evaluations, or a file of a run cannot be
            read.
    """
    kinds = [_kind(path) for path in paths]
    if len(paths) > 1 and set(kinds) not in ({"run"}, {"evaluation"}):
        listed = ", ".join(f"{path} ({kind})" for path, kind in zip(paths, kinds))
        raise UserError(f"several inputs must all be runs, or all evaluations, and these are not: {listed}")
    if kinds[0] == "texts":
        return Subject(paths[0], texts=paths[0])
    if kinds[0] == "study":
        return _study(paths[0])
    if kinds[0] == "evaluation":
        return Subject(
            paths[0], evaluations={n: EvaluationDirectory(path) for n, path in zip(short_labels(paths), paths)}
        )
    runs = [RunRecord.read(RunDirectory(path), label) for label, path in zip(short_labels(paths), paths)]
    return Subject(paths[0], {"": [Series(run.label, (run,)) for run in runs]})


def _kind(path: Path) -> str:
    if path.is_file() and path.suffix in SUFFIXES:
        return "texts"
    if (path / "tasks.json").is_file():
        return "evaluation"
    if (path / "config.yaml").is_file():
        return "run"
    if (path / "study.yaml").is_file():
        return "study"
    if not path.exists():
        raise UserError(
            f"{path} does not exist: give the directory of a run, study or evaluation, or a .jsonl or .parquet file"
        )
    raise UserError(
        f"{path} is no run (no config.yaml), no study (no study.yaml), no evaluation (no tasks.json) and no file of "
        "texts (.jsonl, .parquet): give what `htpo train`, `htpo study` or `htpo eval` wrote, or texts"
    )


def _study(path: Path) -> Subject:
    tasks: dict[str, dict[str, list[RunRecord]]] = {}
    definition = _definition(path)
    order = list(definition.get("methods") or {})
    for folder in sorted(path.glob("runs/*/*/seed-*"), key=lambda folder: _place(folder, order)):
        if (folder / "config.yaml").is_file():
            run = RunRecord.read(RunDirectory(folder))
            tasks.setdefault(folder.parts[-3], {}).setdefault(folder.parts[-2], []).append(run)
    if not tasks:
        raise UserError(f"{path} holds no runs yet: give the study time, or `htpo study` it first")
    named = {
        task: [Series(name, tuple(runs), name == definition.get("reference")) for name, runs in methods.items()]
        for task, methods in tasks.items()
    }
    return Subject(path, named)


def _definition(path: Path) -> dict:
    content = read_yaml(path / "study.yaml")
    return content if isinstance(content, dict) else {}


def _place(folder: Path, methods: list[str]) -> tuple[str, int, str, int]:
    task, method, seed = folder.parts[-3:]
    number = seed.removeprefix("seed-")
    known = methods.index(method) if method in methods else len(methods)
    return task, known, method, int(number) if number.isdigit() else 0


def short_labels(paths: Sequence[Path]) -> list[str]:
    """Folder names, with as many parents as it takes to tell them apart.

    Raises:
        UserError: a folder is given twice.
    """
    parts = [path.absolute().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(part[-depth:]) for part in parts]
        if len(set(labels)) == len(labels):
            return labels
    raise UserError(f"one is given twice: {', '.join(map(str, paths))}")
