"""Held-out problems, measured before, during and after training; the best policy on them is kept."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from datasets import Dataset
from transformers import TrainerCallback

from htpo.engines.trl.recipe import Recipe
from htpo.engines.trl.trainer import HTPOTrainer
from htpo.errors import UserError
from htpo.evaluate import PassRates, evaluate_task
from htpo.runs import RunDirectory
from htpo.tasks import Task

METRIC = "held_out/pass@1"  # logged with the update after which it was measured
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


@dataclass
class HeldOut:
    """Measures the trainer's policy on the same problems with the same seed every time.

    Every process calls it; each measures its share of the problems. `measured` holds the pass rates by update.

    Raises:
        UserError: `eval_every` is set where nothing can be measured.
    """

    recipe: Recipe
    task: Task
    trainer: HTPOTrainer
    tokenizer: object
    directory: RunDirectory
    measured: dict[int, PassRates] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = self.recipe.eval_every
        if every < 0:
            raise UserError(f"eval_every is {every}, needs a number of updates, or 0 for none between")
        if every and self.why_not is not None:
            raise UserError(f"eval_every {every} measures nothing: {self.why_not}; leave it out or see to that")

    @property
    def why_not(self) -> str | None:
        """Why nothing is measured; None where it is."""
        if not self.recipe.held_out_prompts or not self.recipe.eval_samples:
            return "held_out_prompts or eval_samples is 0"
        if self.task.held_out is None:
            return "there are no held-out problems"
        if self.trainer.accelerator.distributed_type in SHARDED:
            return "the model is sharded over processes"
        return None

    @property
    def problems(self) -> Dataset:
        """The problems measured."""
        return self.task.held_out.select(range(min(self.recipe.held_out_prompts, len(self.task.held_out))))

    def before(self) -> PassRates | None:
        """Pass rates before training; read back when a run goes on."""
        return self._measure("before", "evaluation_before.json", read_back=self.recipe.resume)

    def after(self) -> PassRates | None:
        """Pass rates after training; those of the last update where that was measured."""
        step = self.trainer.state.global_step
        if step in self.measured:
            if self.trainer.accelerator.is_main_process:
                self.directory.write_json("evaluation_after.json", self.measured[step].to_json())
            return self.measured[step]
        rates = self._measure("after", "evaluation_after.json")
        if rates is not None and self.measured:
            self._note(step, rates)
        return rates

    def during(self, step: int) -> None:
        """Pass rates after an update; the policy is kept if it is the best so far."""
        rates = self._measure(f"update {step}", self.directory.evaluation_name(step))
        self.trainer._metrics["train"][METRIC].append(rates.pass_at(1))
        self._note(step, rates)

    def read_back(self, step: int) -> None:
        """Take up what was measured up to an update, when a run goes on from there."""
        stored = [self.directory.read_evaluations() if self.trainer.accelerator.is_main_process else {}]
        by_step = broadcast_object_list(stored)[0]
        self.measured = {at: PassRates.from_json(rates) for at, rates in by_step.items() if at <= step}

    @property
    def best(self) -> tuple[int, PassRates] | None:
        """The update with the highest pass@1 measured during training, the earliest of equals, and its rates."""
        return max(self.measured.items(), key=lambda item: (item[1].pass_at(1), -item[0]), default=None)

    def _note(self, step: int, rates: PassRates) -> None:
        self.measured[step] = rates
        if self.best[0] == step:
            self._keep(self.directory.path / "best")
            if self.trainer.accelerator.is_main_process:
                self.directory.write_json("best/held_out.json", {"step": step, "pass@1": rates.pass_at(1)})

    def _keep(self, folder: Path) -> None:
        """Write the policy aside, then put it in the place of the best so far."""
        aside = folder.with_name(f".{folder.name}")
        self.trainer.save_model(str(aside))
        if self.trainer.accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(aside, folder)

    def _measure(self, when: str, name: str, read_back: bool = False) -> PassRates | None:
        if self.why_not is not None:
            return None
        accelerator = self.trainer.accelerator
        stored = [self.directory.read_json(name) if read_back else None]
        if broadcast_object_list(stored)[0] is not None:
            return PassRates.from_json(stored[0])
        problems, rank, processes = self.problems, accelerator.process_index, accelerator.num_processes
        share = range(len(problems) * rank // processes, len(problems) * (rank + 1) // processes)
        parts = [self._measure_share(when, problems.select(share))] if share else []
        rates = PassRates.join(gather_object(parts))
        if accelerator.is_main_process:
            self.directory.write_json(name, rates.to_json())
        return rates

    def _measure_share(self, when: str, problems: Dataset) -> PassRates:
        recipe, args, accelerator = self.recipe, self.trainer.args, self.trainer.accelerator
        return evaluate_task(
            accelerator.unwrap_model(self.trainer.model),
            self.tokenizer,
            problems,
            self.task.verifier,
            samples=recipe.eval_samples,
            max_new_tokens=args.max_completion_length,
            temperature=recipe.eval_temperature,
            top_p=recipe.eval_top_p,
            seed=args.seed + accelerator.process_index,
            template_options=args.chat_template_kwargs,
            progress=f"held-out, {when}" if accelerator.is_main_process else None,
        )


class MeasureEvery(TrainerCallback):
    """Measures held-out problems after every `eval_every`-th update."""

    def __init__(self, held_out: HeldOut, every: int):
        self.held_out, self.every = held_out, every

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0:
            self.held_out.during(state.global_step)
