"""A training job: checked options in, a trained policy and a run directory out, whichever the engine."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers.utils.logging import disable_progress_bar

import htpo
from htpo.engines.engine import Checkpoint, Engine, Training
from htpo.engines.environment_task import (
    load_environment_task,
    refuse_beside_others,
    refuse_episode_options,
    refuse_without_episodes,
)
from htpo.engines.job_options import JobOptions
from htpo.engines.launch import silently_single
from htpo.engines.plan import (
    attempt,
    figure_summary,
    held_out_summary,
    one_line,
    plan_in_words,
    print_plan,
    print_summary,
)
from htpo.environments import EnvironmentLabel, is_environment
from htpo.errors import Interrupted, UserError
from htpo.evaluate import check_weights
from htpo.runs import RunDirectory, check_disk_space, writing
from htpo.statistics import PassRates
from htpo.tasks import PUZZLE_FAMILIES, Task, limit_prompt_lengths, load_task
from htpo.tasks.prompts import check_template

BUILT_IN_POLICIES = {
    name: Path(htpo.__file__).parent / "assets" / name for name in (*PUZZLE_FAMILIES, "household", "alfworld")
}


def starting_policy(engine: Engine, options: JobOptions) -> str:
    """Hugging Face id or folder of what a job trains.

    Raises:
        UserError: none is given, and no policy of the package fits the data; or an environment is not alone.
    """
    refuse_beside_others(options)
    name = engine.policy or BUILT_IN_POLICIES.get(_built_in_name(options))
    if name is None:
        raise UserError("no model: give --model_name_or_path (a Hugging Face id or a folder)")
    return str(name)


def _built_in_name(options: JobOptions) -> str:
    """What a policy of the package would be named by: the data, an environment without its split."""
    name = " + ".join(options.dataset)
    return EnvironmentLabel.parse(name).name if is_environment(name) else name


@dataclass
class Job:
    """One training run.

    Args:
        options, engine: as parsed.
        resolved: all options as they were resolved, for the run directory and for resume.
        console: where the plan and the summary go; silent on all processes but the first.
    """

    options: JobOptions
    engine: Engine
    resolved: dict[str, Any]
    console: Console

    def run(self) -> dict[str, Any]:
        """Train, measure before and after, and write everything; returns the summary that was written."""
        directory = RunDirectory(self.engine.output_dir)
        self.engine.refuse_unavailable()
        with directory.taken() if self.engine.main else nullcontext():
            return self._run_in(directory)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _run_in(self, directory: RunDirectory) -> dict[str, Any]:
        started = time.monotonic()
        engine, resume = self.engine, self.options.resume
        if engine.main:
            (directory.check_resumable if resume else directory.check_free)(self.resolved)
            self._say_before_loading()
        disable_progress_bar()  # transformers' own, one for every file
        tokenizer = self._tokenizer()
        task = self._task(tokenizer)
        training = engine.prepare(self.options, self._policy(), task, tokenizer, directory)
        check_disk_space(directory.path, training.disk_needed)
        checkpoint, faults = engine.latest_checkpoint(directory) if resume else (None, {})
        plan = self._plan(task, training)
        if engine.main and resume:
            self._rewind(directory, checkpoint, faults)
        elif engine.main:
            directory.create(self.resolved)
            directory.write_json("objective.json", engine.objective.describe())
            directory.write_json("plan.json", plan)
        print_plan(self.console, plan, engine.objective, str(directory.path))
        with writing(directory.path):
            prepared = training.prepared()
            if prepared is not None:
                self.console.print(escape(prepared), soft_wrap=True, highlight=False)
                task.verifier.close()
                training.close()
                return {}
            before = training.before()
            try:
                updates = training.train(checkpoint.folder if checkpoint else None)
            except Interrupted:
                task.verifier.close()
                training.close()
                raise
            training.save(directory.path / "model")
            after, failed = attempt(training.after)
            task.verifier.close()
            summary = {}
            if engine.main:
                done = {"updates": updates, "seconds": time.monotonic() - started, "best": training.best()}
                summary = self._finish(directory, done, before, after, failed)
            if failed is not None:
                raise failed
        training.close()
        return summary

    def _policy(self) -> str:
        return starting_policy(self.engine, self.options)

    def _policy_name(self) -> str:
        return f"built-in {_built_in_name(self.options)} policy" if self.engine.policy is None else self._policy()

    def _data_name(self) -> str:
        return " + ".join(self.options.dataset)

    def _say_before_loading(self) -> None:
        warning = silently_single(self.engine.processes)
        if warning:
            self.console.print(f"[yellow]Warning:[/] {warning}")
        for remark in self.engine.remarks():
            self.console.print(f"[yellow]Note:[/] {escape(remark)}", soft_wrap=True, highlight=False)
        self.console.print(f"Loading {escape(self._policy_name())} and {escape(self._data_name())} ...")

    def _tokenizer(self) -> Any:
        check_weights(self._policy())
        tokenizer = self.engine.load_tokenizer(self._policy())
        tokenizer.padding_side = "left"
        return tokenizer

    def _task(self, tokenizer: Any) -> Task:
        options, template_options = self.options, self.engine.template_options
        task: Task
        if any(map(is_environment, options.dataset)):
            if options.max_prompt_length is not None:
                raise UserError(
                    f"max_prompt_length={options.max_prompt_length} has no effect on {options.dataset[0]}: leave it out"
                )
            task = load_environment_task(options, self.engine.seed)
        else:
            refuse_episode_options(options)
            refuse_without_episodes(self.engine.objective)
            task = load_task(options, conversational=tokenizer.chat_template is not None, seed=self.engine.seed)
            check_template(task.train[0]["prompt"], tokenizer, template_options)
        if options.max_prompt_length is not None:
            task = limit_prompt_lengths(
                task,
                tokenizer,
                options.max_prompt_length,
                template_options,
                leave_out=options.filter_overlong_prompts,
            )
        needed = self.engine.batch_shape.prompts
        if len(task.train) < needed:
            raise UserError(
                f"{self._data_name()} has {len(task.train)} prompts to train on but a generation batch needs {needed}: "
                f"lower prompts_per_generation or give more data ({task.description})"
            )
        return task

    def _rewind(self, directory: RunDirectory, checkpoint: Checkpoint | None, faults: dict[Path, str]) -> None:
        """Drop what was recorded after the checkpoint, with later ones and their faults: it will be done again."""
        step = checkpoint.step if checkpoint else 0
        for path, fault in faults.items():
            self.console.print(f"[yellow]Note:[/] {path} is dropped: {escape(fault)}", soft_wrap=True, highlight=False)
        directory.rewind(step)
        start = "the start: no complete checkpoint was written"
        if checkpoint is not None:
            start = f"update {step} ({checkpoint.folder})"
        self.console.print(f"Resuming {directory.path} from {start}", soft_wrap=True)

    def _plan(self, task: Task, training: Training) -> dict[str, str]:
        parameters, trained = training.parameters
        batch = self.engine.batch_shape
        if self.options.history_length is not None:  # which bounds what is shown, and not how long an episode is
            batch = replace(batch, max_tokens=None)
        return (
            plan_in_words(
                self.engine.objective,
                batch,
                policy=f"{self._policy_name()} ({parameters:,} parameters, {trained:,} trained)",
                task=task.description,
                max_rounds=self.engine.max_rounds,
                overlong_buffer=self.engine.overlong_buffer,
                measured=training.measured,
            )
            | self.engine.plan()
        )

    def _finish(
        self,
        directory: RunDirectory,
        done: dict[str, Any],
        before: PassRates | None,
        after: PassRates | None,
        failed: Exception | None,
    ) -> dict[str, Any]:
        """The summary, written whatever fails: the training that it sums up is done and the model is kept."""
        summary: dict[str, Any] = {
            "objective": self.engine.objective.describe(),
            "updates": done["updates"],
            "seconds": done["seconds"],
            "run": str(directory.path),
            "model": str(directory.path / "model"),
            "figure": figure_summary(directory),
        }
        if failed is not None:
            summary["failed"] = f"not measured after training: {one_line(failed)}"
            self.console.print(f"[yellow]Note:[/] {escape(summary['failed'])}; the model is kept", soft_wrap=True)
        summary |= held_out_summary(before, after)
        if done["best"] is not None:
            summary["best"] = {**done["best"], "model": str(directory.path / "best")}
        directory.write_json("summary.json", summary)
        print_summary(self.console, summary, before, after)
        return summary
