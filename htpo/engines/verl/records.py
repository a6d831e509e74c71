"""What a verl run leaves in a run directory, so that whatever reads runs reads it: `+htpo.output_dir`."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from htpo.engines.plan import figure_summary, held_out_summary
from htpo.engines.verl.plan import batch_shape, plan_of, updates_of
from htpo.engines.verl.settings import Settings
from htpo.engines.verl.step_metrics import recorded
from htpo.errors import UserError
from htpo.runs import RunDirectory, write_atomically, writing
from htpo.statistics import PassRates

MADE_OF = ("htpo.", "data.", "algorithm.", "reward.", "actor_rollout_ref.model.path")
"""Options, by how their names begin, that make a run what it is: with others it is another run."""
MAY_CHANGE = ("htpo.output_dir", "htpo.rollout_every", "htpo.rollouts_kept", "htpo.max_generation_rounds")
VERL_CONFIG = "verl_config.yaml"
VERL_STEP = "training/global_step"  # verl's metric of its own count: a step may make several updates


class RunRecords:
    """The run directory of a verl run. Only the driver has one.

    In one that `htpo train` began, which says there what the run is and which may go on, only metrics and rollouts are
    written, and the summary.

    Args:
        config: verl's whole configuration, as plain data.
        options: of it, those that differ from verl's defaults, by their names in a command.
        checkpoint: the folder that verl will go on from; None where it starts anew.

    Raises:
        UserError: the folder cannot be written to, or holds another run or other files.
    """

    def __init__(self, settings: Settings, config: dict[str, Any], options: dict[str, Any], checkpoint: str | None):
        assert settings.output_dir is not None
        self.settings, self.config, self.options = settings, config, options
        self.directory = RunDirectory(os.path.abspath(settings.output_dir))
        self.started = time.monotonic()
        self.updates = 0  # made since the start of the run
        self.begun = self.directory.holds_run and "engine" in self.directory.config  # by `htpo train`
        if not self.begun:
            self._check(checkpoint)

    def begin(self, step: int, *, prompts: int, held_out: int) -> None:
        """Training is about to go on after a step of verl's, 0 being the start.

        Args:
            prompts, held_out: in the training and the validation data.
        """
        directory = self.directory
        with writing(directory.path):
            self.updates = self._updates_until(step)
            if self.begun:
                directory.rewind(self.updates)
                return
            if directory.holds_run:
                directory.rewind(self.updates)
                directory.write_config(self.options)
            else:
                directory.create(self.options)
            config = yaml.safe_dump(self.config, sort_keys=True)
            write_atomically(directory.path / VERL_CONFIG, config)
            directory.write_json("objective.json", self.settings.objective.describe())
            plan = plan_of(self.config, self.settings, prompts=prompts, held_out=held_out)
            directory.write_json("plan.json", plan)

    def wants_rollouts(self, step: int) -> bool:
        """Whether rollouts of this step of verl's are to be kept."""
        every = self.settings.rollout_every
        return every > 0 and (step == 1 or step % every == 0)

    def rollouts(self, kept: Sequence[Mapping[str, Any]]) -> None:
        """Keep rollouts of the batch about to be trained on, by the columns of `htpo.runs.rollouts`."""
        if kept:
            with writing(self.directory.path):
                columns = {name: [row[name] for row in kept] for name in kept[0]}
                self.directory.write_rollouts(self.updates + 1, columns)

    def trained_on(self, rows: int) -> None:
        """Updates are made of a batch of so many rows, padding included."""
        self.updates += updates_of(self.config, rows)

    def step(self, metrics: Mapping[str, Any]) -> None:
        """Write the record of a step of verl's: all that verl and the plugin know of it."""
        with writing(self.directory.path):
            self.directory.append_metrics({"step": self.updates, **recorded(metrics)})

    def measured(self, rates: PassRates, *, last: bool) -> None:
        """Held-out problems were answered.

        Args:
            last: training has come to its end.
        """
        directory = self.directory
        with writing(directory.path):
            name = directory.evaluation_name(self.updates) if self.updates else "evaluation_before.json"
            directory.write_json(name, rates.to_json())
            if last:
                directory.write_json("evaluation_after.json", rates.to_json())

    def finish(self, step: int) -> None:
        """Training came to its end, after a step of verl's."""
        directory = self.directory
        with writing(directory.path):
            directory.write_json("summary.json", {
                "objective": self.settings.objective.describe(),
                "updates": self.updates,
                "seconds": time.monotonic() - self.started,
                "run": str(directory.path),
                "model": self._model(step),
                "figure": figure_summary(directory),
                **held_out_summary(*map(self._rates, ("before", "after"))),
            })  # fmt: skip

    # --- parts -----------------------------------------------------------------------------------------------------

    def _check(self, checkpoint: str | None) -> None:
        directory = self.directory
        if not directory.holds_run:
            directory.check_free(self.options)
            if checkpoint is not None and self.config["trainer"]["resume_mode"] == "auto":
                raise UserError(
                    f"verl would go on from {checkpoint}, and +htpo.output_dir {directory.path} has no run of it: give "
                    "trainer.default_local_dir another folder, or trainer.resume_mode=disable"
                )
        else:
            directory.check_resumable(self.options, may_change=_may_change)
            ended = directory.read_json("summary.json") is not None
            if checkpoint is None and (ended or self.config["trainer"]["resume_mode"] == "disable"):
                raise UserError(
                    f"+htpo.output_dir {directory.path} holds a run, and verl goes on from no checkpoint of it: choose "
                    "another"
                )
        with writing(directory.path):
            directory.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory.path):
                pass

    def _updates_until(self, step: int) -> int:
        """Updates made in verl's steps up to this one; of those without a record as many as the options say."""
        known = {record[VERL_STEP]: record["step"] for record in self.directory.read_metrics()}
        recorded = max((number for number in known if number <= step), default=0)
        shape = batch_shape(self.config)
        return int(known.get(recorded, 0)) + (step - recorded) * shape.updates

    def _rates(self, when: str) -> PassRates | None:
        stored = self.directory.read_json(f"evaluation_{when}.json")
        return None if stored is None else PassRates.from_json(stored)

    def _model(self, step: int) -> str:
        """Where verl put the policy: in Hugging Face's layout where it wrote that (`checkpoint.save_contents`)."""
        folder = Path(os.path.abspath(self.config["trainer"]["default_local_dir"])) / f"global_step_{step}" / "actor"
        if not folder.is_dir():
            return "none: trainer.save_freq wrote no checkpoint of the last step"
        whole = folder / "huggingface"
        return str(whole if any(whole.glob("*.safetensors")) else folder)


def _may_change(name: str) -> bool:
    return name in MAY_CHANGE or not name.startswith(MADE_OF)
