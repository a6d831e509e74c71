"""The main job: a recipe in, a trained policy and a run directory out."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import PrinterCallback, ProgressCallback
from transformers.utils.logging import disable_progress_bar
from trl import ModelConfig, get_peft_config, get_quantization_config

import htpo
from htpo.engines.option_rules import remarks
from htpo.engines.trl.availability import refuse_unavailable
from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.held_out import HeldOut, MeasureEvery
from htpo.engines.trl.launch import silently_single
from htpo.engines.trl.plan import plan_in_words, print_plan, print_summary
from htpo.engines.trl.progress import ProgressBar
from htpo.engines.trl.recipe import Recipe
from htpo.engines.trl.recorder import CheckpointMarker, MetricsWriter, RolloutWriter
from htpo.engines.trl.trainer import HTPOTrainer
from htpo.engines.trl.verifier_reward import PartialCredit, VerifierReward
from htpo.errors import UserError
from htpo.evaluate import load_tokenizer
from htpo.figures.training import draw_training_figure
from htpo.runs import RunDirectory, check_disk_space, writing
from htpo.statistics import change_in_words
from htpo.tasks import Task, limit_prompt_lengths, load_task
from htpo.tasks.prompts import as_sent, check_template

BUILT_IN_POLICIES = {name: Path(htpo.__file__).parent / "assets" / name for name in htpo.tasks.PUZZLE_FAMILIES}
CHECKPOINT_COPIES = 4  # a parameter in a checkpoint: itself, its gradient's two moments, and slack for the rest


@dataclass
class Job:
    """One training run from a checked recipe.

    Args:
        recipe, config, model: the options, as parsed.
        resolved: all options as they were resolved, for the run directory and for resume.
        console: where the plan and the summary go; silent on all processes but the first.
    """

    recipe: Recipe
    config: HTPOConfig
    model: ModelConfig
    resolved: dict[str, Any]
    console: Console

    def run(self) -> dict[str, Any]:
        """Train, measure before and after, and write everything; returns the summary that was written."""
        started = time.monotonic()
        main = self.config.process_index == 0
        directory = RunDirectory(self.config.output_dir)
        refuse_unavailable(self.config, self.model)
        if main:
            (directory.check_resumable if self.recipe.resume else directory.check_free)(self.resolved)
            self._warn_if_single()
            for remark in remarks(self.config):
                self.console.print(f"[yellow]Note:[/] {escape(remark)}", soft_wrap=True, highlight=False)
            self.console.print(f"Loading {escape(self._policy_name())} and {escape(self._data_name())} ...")
        disable_progress_bar()  # transformers' own, one for every file
        tokenizer = self._tokenizer()
        task = self._task(tokenizer)
        trainer = self._trainer(task, tokenizer, directory)
        held_out = HeldOut(self.recipe, task, trainer, tokenizer, directory)
        if self.recipe.eval_every:
            trainer.add_callback(MeasureEvery(held_out, self.recipe.eval_every))
        self._check_disk(trainer)
        checkpoint = directory.latest_complete_checkpoint() if self.recipe.resume else None
        plan = self._plan(task, trainer, held_out)
        if main and self.recipe.resume:
            self._rewind(directory, checkpoint)
        elif main:
            directory.create(self.resolved)
            directory.write_json("objective.json", trainer.objective.describe())
            directory.write_json("plan.json", plan)
        print_plan(self.console, plan, trainer.objective, str(directory.path))
        with writing(directory.path):
            before = held_out.before()
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            trainer.save_model(str(directory.path / "model"))
            after, failed = _attempt(held_out.after)
            task.verifier.close()
            summary = self._finish(trainer, held_out, before, after, failed, time.monotonic() - started) if main else {}
            if failed is not None:
                raise failed
        trainer.accelerator.wait_for_everyone()
        trainer.accelerator.end_training()
        return summary

    # --- parts -----------------------------------------------------------------------------------------------------

    def _policy(self) -> str:
        name = self.model.model_name_or_path or BUILT_IN_POLICIES.get(self._data_name())
        if name is None:
            raise UserError("no model: give --model_name_or_path (a Hugging Face id or a folder)")
        return str(name)

    def _policy_name(self) -> str:
        built_in = self.model.model_name_or_path is None
        return f"built-in {self._data_name()} policy" if built_in else self._policy()

    def _data_name(self) -> str:
        return " + ".join(self.recipe.dataset)

    def _tokenizer(self):
        tokenizer = load_tokenizer(self._policy(), self.model.model_revision, self.config.trust_remote_code)
        tokenizer.padding_side = "left"
        return tokenizer

    def _task(self, tokenizer) -> Task:
        recipe = self.recipe
        task = load_task(recipe, conversational=tokenizer.chat_template is not None, seed=self.config.seed)
        check_template(task.train[0]["prompt"], tokenizer, self.config.chat_template_kwargs)
        if recipe.max_prompt_length is not None:
            task = limit_prompt_lengths(
                task,
                tokenizer,
                recipe.max_prompt_length,
                self.config.chat_template_kwargs,
                leave_out=recipe.filter_overlong_prompts,
            )
        needed = self.config.generation_batch_size // self.config.num_generations
        if len(task.train) < needed:
            raise UserError(
                f"{self._data_name()} has {len(task.train)} prompts to train on but a generation batch needs {needed}: "
                f"lower prompts_per_generation or give more data ({task.description})"
            )
        return task

    def _warn_if_single(self) -> None:
        warning = silently_single(self.config.world_size)
        if warning:
            self.console.print(f"[yellow]Warning:[/] {warning}")

    def _rewind(self, directory: RunDirectory, checkpoint: Path | None) -> None:
        """Drop what was recorded after the checkpoint: it will be done again."""
        for path in directory.incomplete_checkpoints():
            self.console.print(f"[yellow]Note:[/] {path} was cut short while being written; it is not used")
        step = _step_of(checkpoint)
        directory.truncate_metrics(step)
        directory.truncate_rollouts(step)
        directory.truncate_evaluations(step)
        start = f"update {step} ({checkpoint})" if checkpoint else "the start: no complete checkpoint was written"
        self.console.print(f"Resuming {directory.path} from {start}")

    def _trainer(self, task: Task, tokenizer, directory: RunDirectory) -> HTPOTrainer:
        init = {"revision": self.model.model_revision, "dtype": self.model.dtype}
        if self.model.attn_implementation:
            init["attn_implementation"] = self.model.attn_implementation
        self.config.model_init_kwargs = {**init, **(self.config.model_init_kwargs or {})}
        recorder = RolloutWriter(
            directory, tokenizer, self.recipe.rollout_every, self.recipe.rollouts_kept, self.config.seed
        )
        reward = VerifierReward(
            task.verifier,
            task.train.column_names,
            as_sent=lambda prompt: as_sent(prompt, tokenizer, self.config.chat_template_kwargs),
            answer_column=self.recipe.answer_column,
        )
        self.config.correctness_reward = [reward.__name__]
        partial = [PartialCredit(reward)] if getattr(task.verifier, "graded", False) else []
        try:
            trainer = HTPOTrainer(
                self._policy(),
                [reward, *partial],
                self.config,
                train_dataset=task.train,
                processing_class=tokenizer,
                quantization_config=get_quantization_config(self.model),
                peft_config=get_peft_config(self.model),
                callbacks=[MetricsWriter(directory), CheckpointMarker(directory), ProgressBar()],
                rollout_recorder=recorder,
            )
        except (OSError, ValueError, ImportError, TypeError, NotImplementedError) as error:
            raise UserError(f"cannot set up training of {self._policy()}: {' '.join(str(error).split())}") from error
        self._check_adapter(trainer)
        reward.ends = {*trainer.eos_token_ids}
        for host_display in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(host_display)
        return trainer

    def _check_adapter(self, trainer: HTPOTrainer) -> None:
        """Refuse names of layers that the adapter silently leaves out."""
        names = [name for name, _ in (*trainer.model.named_modules(), *trainer.model.named_parameters())]
        for option in ("lora_modules_to_save", "lora_target_parameters"):
            for layer in getattr(self.model, option) or []:
                if not any(re.search(rf"(^|\.){re.escape(layer)}(\.|$)", name) for name in names):
                    raise UserError(f"{option} {layer}: the model has no such layer")

    def _check_disk(self, trainer: HTPOTrainer) -> None:
        if str(getattr(self.config.save_strategy, "value", self.config.save_strategy)) == "no":
            return
        size = sum(p.numel() * p.element_size() for p in trainer.model.parameters() if p.requires_grad)
        kept = self.config.save_total_limit or 2
        best = 2 * size if self.recipe.eval_every else 0  # the best so far, and the next one beside it
        check_disk_space(Path(self.config.output_dir), CHECKPOINT_COPIES * size * (kept + 1) + best)

    def _plan(self, task: Task, trainer: HTPOTrainer, held_out: HeldOut) -> dict[str, str]:
        parameters = sum(p.numel() for p in trainer.model.parameters())
        trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        measured = f"nothing measured: {held_out.why_not}"
        if held_out.why_not is None:
            measured = f"{len(held_out.problems)} problems x {self.recipe.eval_samples} samples, before and after"
            if self.recipe.eval_every:
                measured += f" and every {self.recipe.eval_every} updates; the best policy is kept"
        return plan_in_words(
            self.config,
            trainer.objective,
            policy=f"{self._policy_name()} ({parameters:,} parameters, {trained:,} trained)",
            task=task.description,
            measured=measured,
        )

    def _finish(
        self, trainer, held_out: HeldOut, before, after, failed: Exception | None, seconds: float
    ) -> dict[str, Any]:
        """The summary, written whatever fails: the training that it sums up is done and the model is kept."""
        directory = held_out.directory
        figure, no_figure = _attempt(lambda: str(draw_training_figure(directory)))
        summary = {
            "objective": trainer.objective.describe(),
            "updates": trainer.state.global_step,
            "seconds": seconds,
            "run": str(directory.path),
            "model": str(directory.path / "model"),
            "figure": figure if no_figure is None else f"none: {_one_line(no_figure)}",
        }
        if failed is not None:
            summary["failed"] = f"not measured after training: {_one_line(failed)}"
            self.console.print(f"[yellow]Note:[/] {escape(summary['failed'])}; the model is kept", soft_wrap=True)
        if before is not None and after is not None:
            summary |= {
                "pass@1": [before.pass_at(1), after.pass_at(1)],
                f"pass@{after.samples}": [before.pass_at(after.samples), after.pass_at(after.samples)],
                "verdict": change_in_words("pass@1", after.change_from(before, 1).to_json()),
            }
        if held_out.best is not None:
            summary["best"] = {**held_out.best, "model": str(directory.path / "best")}
        directory.write_json("summary.json", summary)
        print_summary(self.console, summary, before, after)
        return summary


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def _attempt(step: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """(what a step of the wrap-up gives, None), or (None, why it gives nothing)."""
    try:
        return step(), None
    except Exception as error:
        return None, error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
