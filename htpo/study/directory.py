"""`StudyDirectory`: where everything about one study lies.

study.yaml                        the study and the recipe it was begun with
runs/TASK/METHOD/seed-S/          a run directory each        logs/TASK/METHOD/seed-S.log   what the run printed
evaluations/TASK/METHOD/seed-S/   an evaluation of each, where the study asks for it; TASK/_before/ that of the policy
results.json, results.md, figures/                            the report, made from the runs
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory
from htpo.runs import RunDirectory, locked, write_atomically, writing
from htpo.study.definition import Run, Start, Study
from htpo.yaml_file import read_yaml

DEFINITION = "study.yaml"
BEFORE = "_before"  # in place of a method, whose name never begins so


class StudyDirectory:
    """One study's files. Constructing it touches nothing; `begin` writes the study down."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def run(self, run: Run) -> RunDirectory:
        """The directory of one run."""
        return RunDirectory(self.path / "runs" / _place(run))

    def evaluation(self, subject: Run | Start) -> EvaluationDirectory:
        """The evaluation of what one run trained, or of the policy before."""
        if isinstance(subject, Start):
            return self.evaluation_before(subject.task)
        return EvaluationDirectory(self.path / "evaluations" / _place(subject))

    def evaluation_before(self, task: str) -> EvaluationDirectory:
        """The evaluation of the policy that the runs of a task start from."""
        return EvaluationDirectory(self.path / "evaluations" / task / BEFORE)

    def log(self, subject: Run | Start) -> Path:
        """What one run printed, with its evaluation."""
        place = self.path / "logs" / _place(subject)
        return place.with_name(f"{place.name}.log")

    def is_trained(self, run: Run) -> bool:
        """Whether a run has been trained and measured to its end."""
        summary = self.run(run).read_json("summary.json")
        return summary is not None and "failed" not in summary

    def is_evaluated(self, subject: Run | Start) -> bool:
        """Whether its evaluation has come to its end."""
        return self.evaluation(subject).run.read_json("results.json") is not None

    def is_done(self, run: Run, study: Study) -> bool:
        """Whether a run has been trained and, where the study asks for it, evaluated."""
        return self.is_trained(run) and (study.evaluate is None or self.is_evaluated(run))

    def begin(self, study: Study, recipe_options: dict[str, Any]) -> None:
        """Write down what is studied, or check that it is what was begun here.

        Raises:
            UserError: the folder holds another study, or files that are no study's.
        """
        if (self.path / DEFINITION).is_file():
            self.check_same(study, recipe_options)
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} holds files that are not a study's: choose another --output_dir")
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(_content(study, recipe_options), sort_keys=False)
            write_atomically(self.path / DEFINITION, text)

    def check_same(self, study: Study, recipe_options: dict[str, Any]) -> None:
        """Raise `UserError` unless this very study was begun here; how many runs go at once is not part of it."""
        path = self.path / DEFINITION
        if not path.is_file():
            raise UserError(f"{self.path} holds no study: check --output_dir, or run it without --report-only")
        stored, given = read_yaml(path), yaml.safe_load(yaml.safe_dump(_content(study, recipe_options)))
        if not isinstance(stored, dict):
            raise UserError(f"{path} is not the definition of a study")
        different = sorted(key for key in stored.keys() | given.keys() if stored.get(key) != given.get(key))
        if different:
            raise UserError(
                f"{self.path} holds another study (different: {', '.join(different)}): choose another --output_dir"
            )

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Keep other processes from running this study; gives the lock's file descriptor.

        Runs that inherit the descriptor hold the lock, too, so that those which outlive a killed study are seen.

        Raises:
            UserError: the lock is held.
        """
        with locked(self.path, self._in_use) as descriptor:
            yield descriptor

    def _in_use(self, holder: str) -> str:
        return (
            f"{self.path} is in use by another `htpo study` ({holder}), or by runs that outlived one that was killed: "
            "wait until they end"
        )


def _place(subject: Run | Start) -> Path:
    """Where in a folder for all."""
    if isinstance(subject, Start):
        return Path(subject.task) / BEFORE
    return Path(subject.task) / subject.method / f"seed-{subject.seed}"


def _content(study: Study, recipe_options: dict[str, Any]) -> dict[str, Any]:
    content = asdict(study) | {"seeds": list(study.seeds), "recipe_options": recipe_options}
    del content["parallel"]
    return content
