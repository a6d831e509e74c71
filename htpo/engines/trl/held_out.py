"""Held-out problems, measured before, during and after training; the best policy on them is kept."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object
from datasets import Dataset
from transformers import TrainerCallback

from htpo.engines.held_out import AFTER, BEFORE, HeldOutProblems
from htpo.engines.trl.playing import SHARDED
from htpo.engines.trl.trainer import HTPOTrainer
from htpo.errors import UserError
from htpo.statistics import PassRates

METRIC = "held_out/pass@1"  # logged with the update after which it was measured
BEST = "best/held_out.json"


@dataclass
class HeldOut(HeldOutProblems):
    """Measures the trainer's policy on the same problems with the same seed every time.

    Every process calls it; each measures its share of the problems.

    Raises:
        UserError: `eval_every` is set where nothing can be measured.
    """

    trainer: HTPOTrainer
    tokenizer: object
    last: tuple[int, PassRates] | None = None  # the last update after which was measured, and what

    def __post_init__(self) -> None:
        every = self.options.eval_every
        if every < 0:
            raise UserError(f"eval_every is {every}, needs a number of updates, or 0 for none between")
        if every and self.why_not is not None:
            raise UserError(f"eval_every {every} measures nothing: {self.why_not}; leave it out or see to that")

    @property
    def why_not(self) -> str | None:
        """Why nothing is measured; None where it is."""
        if super().why_not is not None:
            return super().why_not
        if self.trainer.accelerator.distributed_type in SHARDED:
            return "the model is sharded over processes"
        return None

    def before(self) -> PassRates | None:
        """Pass rates before training; read back when a run goes on."""
        if self.why_not is not None:
            return None
        stored = broadcast_object_list([self.directory.read_json(BEFORE) if self.options.resume else None])[0]
        return self._measure("before", BEFORE) if stored is None else PassRates.from_json(stored)

    def after(self) -> PassRates | None:
        """Pass rates after training; those of the last update where that was measured."""
        if self.why_not is not None:
            return None
        step = self.trainer.state.global_step
        if self.last is not None and self.last[0] == step:
            rates = self.last[1]
            if self.trainer.accelerator.is_main_process:
                self.directory.write_json(AFTER, rates.to_json())
            return rates
        rates = self._measure("after", AFTER)
        if self.options.eval_every:
            self._keep_if_best(step, rates)
        return rates

    def during(self, step: int) -> None:
        """Pass rates after an update; the policy is kept if it is the best so far."""
        rates = self._measure(f"update {step}", self.directory.evaluation_name(step))
        self.trainer._metrics["train"][METRIC].append(rates.pass_at(1))
        self.last = step, rates
        self._keep_if_best(step, rates)

    @property
    def best(self) -> dict[str, Any] | None:
        """{"step", "pass@1"} of the policy in best/, the earliest with the highest pass@1; None before there is one."""
        return self.directory.read_json(BEST)

    def _keep_if_best(self, step: int, rates: PassRates) -> None:
        best = broadcast_object_list([self.best])[0]
        if best is not None and rates.pass_at(1) <= best["pass@1"]:
            return
        self._keep(self.directory.path / "best")
        if self.trainer.accelerator.is_main_process:
            self.directory.write_json(BEST, {"step": step, "pass@1": rates.pass_at(1)})

    def _keep(self, folder: Path) -> None:
        """Write the policy aside, then put it in the place of the best so far."""
        aside = folder.with_name(f".{folder.name}")
        self.trainer.save_model(str(aside))
        if self.trainer.accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(aside, folder)

    def _measure(self, when: str, name: str) -> PassRates:
        accelerator = self.trainer.accelerator
        problems, rank, processes = self.problems, accelerator.process_index, accelerator.num_processes
        share = range(len(problems) * rank // processes, len(problems) * (rank + 1) // processes)
        parts = [self._measure_share(when, problems.select(share))] if share else []
        rates = PassRates.join(gather_object(parts))
        if accelerator.is_main_process:
            self.directory.write_json(name, rates.to_json())
        return rates

    def _measure_share(self, when: str, problems: Dataset) -> PassRates:
        args, accelerator = self.trainer.args, self.trainer.accelerator
        model = accelerator.unwrap_model(self.trainer.model)
        seed = args.seed + accelerator.process_index
        progress = f"held-out, {when}" if accelerator.is_main_process else None
        if self.trainer.player is not None:
            return self.success_rates(
                self.trainer.player, model, self.tokenizer, seed=seed, problems=problems, progress=progress
            )
        return self.pass_rates(
            model,
            self.tokenizer,
            max_tokens=args.max_completion_length,
            seed=seed,
            template_options=args.chat_template_kwargs,
            problems=problems,
            progress=progress,
        )


class MeasureEvery(TrainerCallback):
    """Measures held-out problems after every `eval_every`-th update."""

    def __init__(self, held_out: HeldOut, every: int):
        self.held_out, self.every = held_out, every

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.every == 0:
            self.held_out.during(state.global_step)
