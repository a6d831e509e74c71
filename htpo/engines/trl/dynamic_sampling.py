"""DAPO's dynamic sampling (2503.14476, section 3.2) in TRL: rounds until prompts with a signal fill a batch."""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file

from htpo.engines.filling import Filling, unfilled_in_words
from htpo.engines.prompt_memory import PromptMemory
from htpo.engines.rewards import NO_SIGNAL, Scores
from htpo.engines.trl.assembly import assemble
from htpo.engines.trl.prompts import PROMPT_ID
from htpo.engines.trl.sampling_entropy import OLD_ENTROPY
from htpo.engines.trl.screening import Sampled, Screening
from htpo.errors import UserError

MEMORY = "prompt_memory.safetensors"  # in a checkpoint: `PromptMemory.in_vain`


class DynamicSampling(Screening):
    """A trainer that replaces prompts without signal (`args.dynamic_sampling`); see `HTPOTrainer`."""

    def __init__(self, *args: Any, **kwargs: Any):
        self._surplus: dict[str, Any] | None = None  # groups with signal that the last batch had no place for
        self._memory: PromptMemory | None = None
        super().__init__(*args, **kwargs)
        if not self.args.dynamic_sampling:
            return
        if not isinstance(self.train_dataset, Dataset):
            raise UserError(
                "dynamic sampling draws prompts by index: use a map-style dataset or dynamic_sampling=False"
            )
        if self.args.settled_prompt_floor < 1:
            self._memory = PromptMemory(len(self.train_dataset), self.args.settled_prompt_floor)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            held_out = self._generate_round(inputs, self.num_generations_eval)
            self._metrics["eval"]["accuracy"].append(_accuracy([held_out.scores]))
            return held_out.batch
        first_metric = {name: len(values) for name, values in self._metrics["train"].items()}
        filling = Filling(
            positions=len(inputs) * self.accelerator.num_processes // self.num_generations,
            group_size=self.num_generations,
            local_rows=len(inputs),
        )
        if not self.args.dynamic_sampling:
            only = self._sample(inputs)
            filling.offer(only.reasons, len(inputs))
            self._log_sampling(filling, [only], first_metric)
            return only.batch
        batches, sampled = [], []
        if self._surplus is not None:
            batches.append(self._surplus)
            filling.take_surplus(len(self._surplus[PROMPT_ID]))
        rows, others = self._prompts_of_the_batch(inputs)
        while rows:
            asked = self._sample(rows)
            batches.append(asked.batch)
            sampled.append(asked)
            filling.count(asked.reasons)
            filling.place(asked.usable, len(asked.usable) // filling.processes * self.num_generations)
            self._remember(rows, asked.reasons)
            rows = []
            if not filling.full and len(sampled) < self.args.max_generation_rounds:
                wanted = filling.next_rows(exact="old_per_token_logps" not in asked.batch)
                rows = self._rows_of(filling.whole_round(others, wanted))
        self._log_sampling(filling, sampled, first_metric)
        if not filling.full:
            self._say_once(unfilled_in_words(filling, len(sampled), self.args.max_generation_rounds), key="unfilled")
        process, padding = self.accelerator.process_index, self._tokenizer.pad_token_id
        left_over = filling.local_surplus(process) if "old_per_token_logps" in batches[-1] else []
        self._surplus = assemble(batches, left_over, padding) if left_over else None
        return assemble(batches, filling.local_sources(process), padding)

    def _prompts_of_the_batch(self, inputs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Iterator[int]]:
        """This process's rows of the first round, and the prompts that may come after them."""
        taken = self._prompt_numbers(inputs)
        if self._surplus is not None:
            taken = torch.cat([taken, self._surplus[PROMPT_ID]])
        others = self._other_prompts(taken)
        if self._memory is None:
            return inputs, others
        turn = self._groups_asked(inputs)
        draws = np.random.default_rng((self.args.seed, self.state.global_step, 1))
        order, passed_over = self._memory.order(turn, others, draws)
        self._metrics["train"]["sampling/prompts_passed_over"].append(len(passed_over))
        return self._rows_of(list(islice(order, len(turn)))), order

    def _groups_asked(self, rows: list[dict[str, Any]]) -> list[int]:
        """The prompt of each group of a round, over all processes."""
        return self.accelerator.gather(self._prompt_numbers(rows))[:: self.num_generations].tolist()

    def _remember(self, rows: list[dict[str, Any]], reasons: list[str | None]) -> None:
        if self._memory is not None:
            self._memory.visit(self._groups_asked(rows), reasons)

    def _log_sampling(self, filling: Filling, sampled: list[Sampled], first_metric: dict[str, int]) -> None:
        """One value per metric for all rounds together, and what dynamic sampling did.

        Means are over a fair sample of answers to the prompts drawn: with screening, the answers that screened.
        """
        metrics = self._metrics["train"]
        weights = np.array([weight for asked in sampled for weight in asked.weights], dtype=float)
        for name, values in metrics.items():
            new = values[first_metric.get(name, 0) :]
            if len(new) != len(weights) or len(new) < 2:
                continue
            if name.endswith(("min", "min_length", "min_terminated_length")):
                joined = min(new)
            elif name.endswith(("max", "max_length", "max_terminated_length")):
                joined = max(new)
            else:
                known = ~np.isnan(new) & (weights > 0)
                joined = np.average(np.array(new)[known], weights=weights[known]) if known.any() else math.nan
            values[-len(new) :] = [float(joined)]
        metrics["accuracy"].append(_accuracy([asked.scores for asked in sampled]))
        metrics["sampling/rounds"].append(len(sampled))
        metrics["sampling/tokens_generated"].append(sum(asked.tokens for asked in sampled))
        metrics["sampling/groups_drawn"].append(filling.drawn)
        for reason in NO_SIGNAL:
            metrics[f"sampling/groups_{reason}"].append(filling.dropped[reason])
        metrics["sampling/filled_share"].append(len(filling.source) / filling.positions)
        if self.args.dynamic_sampling:
            metrics["sampling/groups_from_surplus"].append(filling.taken)
        if self.args.screening_samples:
            metrics["sampling/groups_completed"].append(filling.drawn - filling.dropped.total())
            metrics["sampling/tokens_saved"].append(sum(asked.saved for asked in sampled))

    # --- resume ----------------------------------------------------------------------------------------------------

    def _surplus_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"surplus-{self.accelerator.process_index}.safetensors"

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        checkpoint = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self._surplus is not None:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self._surplus.items()}
            save_file(tensors, self._surplus_file(checkpoint))
        if self._memory is not None and self.args.should_save:
            save_file({"in_vain": torch.from_numpy(self._memory.in_vain)}, checkpoint / MEMORY)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        stored = self._surplus_file(Path(checkpoint))
        device = str(self.args.device)
        self._surplus = load_file(stored, device=device) if stored.is_file() else None
        if self._surplus is not None and (OLD_ENTROPY in self._surplus) != (self.args.entropy_of == "old"):
            raise UserError(
                f"{stored} was not written with entropy_of={self.args.entropy_of}: go on with the entropy_of it was "
                "written with, or remove it"
            )
        if self._memory is not None:
            self._recall(self._memory, Path(checkpoint) / MEMORY)

    def _recall(self, memory: PromptMemory, stored: Path) -> None:
        found = load_file(stored)["in_vain"].numpy() if stored.is_file() else None
        if found is None or len(found) != memory.prompts:
            what = "is missing" if found is None else f"is of {len(found)} prompts, the data has {memory.prompts}"
            raise UserError(
                f"{stored} {what}: go on with the settled_prompt_floor and the data of the checkpoint's run"
            )
        memory.in_vain = found


def _accuracy(judged: list[Scores]) -> float:
    """Share of correct among the scored responses of several rounds; NaN if there are none."""
    known = sum(scores.scored.sum().item() for scores in judged)
    return sum(scores.correct.sum().item() for scores in judged) / known if known else math.nan
