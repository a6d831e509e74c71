"""Held-out problems of a training job: which, when, and how a policy at hand is measured on them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset

from htpo.engines.episode_pass_rates import measure_episodes
from htpo.engines.job_options import JobOptions
from htpo.evaluate import ModelGenerator, SamplingOptions, measure_pass_rates
from htpo.evaluate.generators.model import context_of
from htpo.playing.player import Player
from htpo.playing.tasks import TASK
from htpo.runs import RunDirectory
from htpo.statistics import PassRates
from htpo.tasks import Task
from htpo.tasks.task import Problems

BEFORE, AFTER = "evaluation_before.json", "evaluation_after.json"
BATCH_SIZE = 256  # answers generated at once


@dataclass
class HeldOutProblems:
    """The problems of a task that are measured, the same ones with the same seed every time."""

    options: JobOptions
    task: Task
    directory: RunDirectory

    @property
    def why_not(self) -> str | None:
        """Why nothing is measured; None where it is."""
        if not self.options.held_out_prompts or not self.options.eval_samples:
            return "held_out_prompts or eval_samples is 0"
        if self.task.held_out is None:
            return "there are no held-out problems"
        return None

    def in_words(self) -> str:
        """What is measured and when, for the plan."""
        if self.why_not is not None:
            return f"nothing measured: {self.why_not}"
        words = f"{len(self.problems)} problems x {self.options.eval_samples} samples, before and after"
        if self.options.eval_every:
            words += f" and every {self.options.eval_every} updates; the best policy is kept"
        return words

    @property
    def problems(self) -> Dataset:
        """The problems measured."""
        return self.task.held_out.select(range(min(self.options.held_out_prompts, len(self.task.held_out))))

    def pass_rates(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_tokens: int,
        seed: int,
        template_options: Mapping[str, Any] | None,
        problems: Dataset | None = None,
        progress: str | None = None,
    ) -> PassRates:
        """Have a model answer.

        Args:
            max_tokens: of an answer.
            template_options: of the tokenizer's chat template.
            problems: a part of them; all where None.
            progress: title of a progress bar; None shows none.
        """
        options = self.options
        generator = ModelGenerator(
            model,
            tokenizer,
            self._sampling(max_tokens, seed),
            batch_size=BATCH_SIZE,
            template_options=template_options,
        )
        rows = self.problems if problems is None else problems
        share = Problems(self.task.name, rows, self.task.verifier, self.task.description)
        return measure_pass_rates(share, generator, options.eval_samples, progress)

    def success_rates(
        self, player: Player, model: Any, tokenizer: Any, *, seed: int, problems: Dataset, progress: str | None
    ) -> PassRates:
        """Have a model play episodes of the problems, tasks of an environment; arguments as for `pass_rates`.

        As in `htpo eval`, the oldest turns leave what no longer fits into the player's limits or the model's context.
        """
        return measure_episodes(
            replace(player, oldest_leave=True, max_context=context_of(model)),
            model,
            tokenizer,
            [json.loads(task) for task in problems[TASK]],
            self.options.eval_samples,
            self._sampling(player.max_turn_tokens, seed),
            batch_size=BATCH_SIZE,
            progress=progress,
        )

    def _sampling(self, max_tokens: int, seed: int) -> SamplingOptions:
        options = self.options
        return SamplingOptions(
            temperature=options.eval_temperature, top_p=options.eval_top_p, max_tokens=max_tokens, seed=seed
        )
