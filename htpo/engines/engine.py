"""What a training job asks of an engine, that is of a trainer that people already use; and which engines there are."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

from htpo.engines.batch_shape import BatchShape
from htpo.engines.job_options import JobOptions
from htpo.objectives import TableObjective
from htpo.runs import RunDirectory
from htpo.statistics import PassRates
from htpo.tasks import Task


@dataclass(frozen=True)
class Checkpoint:
    """A state of a run from which it can go on."""

    folder: Path
    step: int  # of the run's records: those after it will be made again


class Training(Protocol):
    """A policy about to be trained on a task. All processes of a run call the same methods in the same order."""

    parameters: tuple[int, int]  # of the policy: all, and those that are trained
    measured: str  # what is measured on held-out problems, in words for the plan
    disk_needed: int  # bytes that checkpoints will take; 0 without any

    def prepared(self) -> str | None:
        """How to run the training elsewhere, all files written, where that was asked for; None: it runs here."""
        return None

    def before(self) -> PassRates | None:
        """Pass rates on held-out problems before training; None where nothing is measured."""

    def train(self, checkpoint: Path | None) -> int:
        """Train to the end, from a checkpoint's state or from the start, writing metrics, rollouts and checkpoints.

        Returns:
            The number of updates, those before the checkpoint included.
        """

    def save(self, folder: Path) -> None:
        """Write the policy in Hugging Face's layout."""

    def after(self) -> PassRates | None:
        """As `before`, of the policy as it is now."""

    def best(self) -> dict[str, Any] | None:
        """{"step", "pass@1"} of the policy kept in best/; None where none is."""

    def close(self) -> None:
        """Wait for the other processes, and let go of what was held."""


class Engine(Protocol):
    """An engine with the options of a run, checked: nothing is loaded yet.

    It is made of one object for each of `OPTIONS`, and raises `UserError` then for what would be ignored or break late.
    """

    OPTIONS: ClassVar[tuple[type, ...]]  # dataclasses; their fields are options of `htpo train`
    objective: TableObjective
    main: bool  # whether this process is the one that speaks and writes
    processes: int
    policy: str | None  # name or folder of the model, where one is given
    output_dir: str
    seed: int
    template_options: dict[str, Any] | None  # of the chat template
    batch_shape: BatchShape
    max_rounds: int  # generation rounds of dynamic sampling at most; 0 without it
    overlong_buffer: int  # tokens over which the soft overlong punishment falls; 0 without it

    def refuse_unavailable(self) -> None:
        """Raise `UserError` where an option needs what this machine does not have."""

    def remarks(self) -> list[str]:
        """What a user should know of options that are in order, but will not act as they may think."""

    def load_tokenizer(self, policy: str) -> Any:
        """The policy's tokenizer."""

    def plan(self) -> dict[str, str]:
        """What of the engine belongs into the plan, by topic."""
        return {}

    def latest_checkpoint(self, run: RunDirectory) -> tuple[Checkpoint | None, dict[Path, str]]:
        """The last checkpoint of a run that was written whole, or None, and what is wrong with each later one."""

    def prepare(self, options: JobOptions, policy: str, task: Task, tokenizer: Any, run: RunDirectory) -> Training:
        """Load the policy and set up its training."""


ENGINES = {"trl": "htpo.engines.trl.engine:TrlEngine", "verl": "htpo.engines.verl.engine:VerlEngine"}
"""Where each engine's class is. It is imported when asked for: the trainers behind them take seconds to import."""


def engine_class(name: str) -> type[Engine]:
    """The class of an engine of `ENGINES`."""
    module, _, attribute = ENGINES[name].partition(":")
    found: type[Engine] = getattr(import_module(module), attribute)
    return found
