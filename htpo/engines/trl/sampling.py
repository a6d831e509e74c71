"""`SignalSampling`: the trainer's first half. Which prompts make a batch, what answers to them are worth, and whether
they teach anything."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from trl import GRPOTrainer

from htpo.engines.filling import Filling
from htpo.engines.rewards import NO_SIGNAL, Scores, score, without_signal
from htpo.engines.trl.assembly import assemble
from htpo.engines.trl.judgements import JUDGEMENT, judgements_of, pack
from htpo.engines.trl.sampler import EpochSeededRepeatSampler
from htpo.engines.trl.token_batch import policy_mask
from htpo.errors import UserError
from htpo.objectives import group_relative_advantage
from htpo.objectives.axes import AXES

logger = logging.getLogger(__name__)

PROMPT_ID = "prompt_id"  # among the host's tensors: the row of the training data, which tells prompts apart; else -1
ROW_NUMBER = "htpo_row_number"  # the same as a column of the training data; the user may have a prompt_id of their own
VERDICTS = {-1.0, 0.0, 1.0}  # what a reward that says right or wrong consists of


class SignalSampling(GRPOTrainer):
    """`GRPOTrainer` whose batches know correctness, leave out what could not be scored, and are filled with prompts
    that carry a signal. The arguments are those of `HTPOTrainer`.

    Attributes:
        shaping: number of reward functions, at the end of the list, that shape the reward by length.
    """

    shaping: int

    def _prepare_sampling(self) -> None:
        """What construction adds once the host has set itself up."""
        self._rewards: Tensor | None = None  # (N, F) over all processes, of the round under way
        self._surplus: dict[str, Any] | None = None  # groups with signal that the last batch had no place for
        self._correctness = self._find_correctness()
        if self.args.dynamic_sampling and not isinstance(self.train_dataset, Dataset):
            raise UserError(
                "dynamic sampling draws prompts by index: use a map-style dataset or dynamic_sampling=False"
            )
        if isinstance(self.train_dataset, Dataset):
            numbered = self.train_dataset.remove_columns(
                [c for c in [ROW_NUMBER] if c in self.train_dataset.column_names]
            )
            self.train_dataset = numbered.add_column(ROW_NUMBER, np.arange(len(numbered)))
            self._refuse_empty_prompts()

    def _refuse_empty_prompts(self) -> None:
        """A prompt without a token breaks the model's forward pass; where the tokenizer begins all texts, none is."""
        prompts = self.train_dataset["prompt"] if "prompt" in self.train_dataset.column_names else []
        row = next((number for number, prompt in enumerate(prompts, start=1) if prompt == ""), None)
        if row is not None and not self._tokenizer(text="")["input_ids"]:
            raise UserError(f"row {row} of the training data has an empty prompt: remove such rows")

    def _find_correctness(self) -> list[int]:
        """Columns of the reward functions that judge correctness."""
        given = self.reward_func_names[: len(self.reward_func_names) - self.shaping]
        named = self.args.correctness_reward
        if named is None and len(given) > 1:
            if self._reads_correctness():
                raise UserError(
                    f"which of the reward functions {', '.join(given)} judges correctness? Name it in "
                    "correctness_reward (several, if each judges its own kind of task and returns None for the others)"
                )
            self._say_once(f"{given[0]!r} is taken to judge correctness; name another in correctness_reward")
        names = named or given[:1]
        for name in names:
            if name not in given:
                raise UserError(f"correctness_reward {name!r} is not one of the reward functions {given}")
            if named and given.count(name) > 1:
                raise UserError(f"correctness_reward {name!r} is the name of several reward functions: rename them")
        return [given.index(name) for name in names]

    def _reads_correctness(self) -> bool:
        """Whether more than a logged number depends on it; axes of the user's own may read it."""
        by_correctness = self.args.dynamic_sampling and self.args.dynamic_sampling_signal == "correctness"
        without = (AXES["entropy"], AXES["position"])
        return by_correctness or any(not isinstance(axis, without) for axis in self.objective.axes)

    def _say_once(self, message: str, key: str | None = None) -> None:
        key = key or message
        if key not in self._said and self.accelerator.is_main_process:
            self._said.add(key)
            logger.warning(message + " This is said once.")

    # --- prompts ---------------------------------------------------------------------------------------------------

    def _set_signature_columns_if_needed(self):
        super()._set_signature_columns_if_needed()
        self._signature_columns = [*self._signature_columns, ROW_NUMBER]

    def _get_train_sampler(self, dataset=None):
        sampler = super()._get_train_sampler(dataset)
        prompts = len(sampler.data_source)
        if prompts < sampler.batch_size:  # the host would end at once, without an update and without an error
            raise UserError(
                f"the training data has {prompts} prompts but a generation batch needs {sampler.batch_size}: "
                "lower prompts_per_generation or give more data"
            )
        return EpochSeededRepeatSampler.like(sampler, epoch=lambda: int(self.state.epoch or 0))

    def _other_prompts(self, inputs: list[dict[str, Any]]) -> Iterator[int]:
        """Every prompt that is not in the batch, once; ordered by run seed and step, so that resume needs no state.

        Nothing is drawn before the first is asked for, which all processes do together.
        """
        local = torch.tensor([row.get(ROW_NUMBER, -1) for row in inputs], device=self.accelerator.device)
        seen = {*self.accelerator.gather(local).tolist(), *self._surplus_prompts()}
        order = np.random.default_rng((self.args.seed, self.state.global_step)).permutation(len(self.train_dataset))
        yield from (int(number) for number in order if number not in seen)

    def _surplus_prompts(self) -> set[int]:
        if self._surplus is None:
            return set()
        return {*self.accelerator.gather(self._surplus[PROMPT_ID]).tolist()}

    def _rows_of(self, prompts: list[int]) -> list[dict[str, Any]]:
        """This process's rows of a round that asks these prompts, G times each."""
        rows = [prompt for prompt in prompts for _ in range(self.num_generations)]
        share = len(rows) // self.accelerator.num_processes
        start = self.accelerator.process_index * share
        return [self.train_dataset[number] for number in rows[start : start + share]]

    # --- generation ------------------------------------------------------------------------------------------------

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        rewards = torch.where(rewards.isfinite(), rewards, torch.nan)  # one infinite reward would spoil every mean
        unscored = rewards[:, self._correctness].isnan().all(1)
        # The host leaves out of every mean, and gives no advantage to, what no function has scored.
        self._rewards = rewards.masked_fill(unscored.unsqueeze(1), torch.nan)
        return self._rewards

    def _generate_and_score_completions(self, inputs):
        if not self.model.training:
            batch, scores, _ = self._generate_round(inputs, self.num_generations_eval)
            self._metrics["eval"]["accuracy"].append(_accuracy([scores]))
            return batch
        first_metric = {name: len(values) for name, values in self._metrics["train"].items()}
        filling = Filling(
            positions=len(inputs) * self.accelerator.num_processes // self.num_generations,
            group_size=self.num_generations,
            local_rows=len(inputs),
        )
        if not self.args.dynamic_sampling:
            batch, scores, reasons = self._generate_round(inputs, self.num_generations)
            filling.offer(reasons, len(inputs))
            self._log_sampling(filling, [scores], first_metric)
            return batch
        others = self._other_prompts(inputs)
        rounds, judged = [], []
        if self._surplus is not None:
            rounds.append(self._surplus)
            filling.take_surplus(len(self._surplus[PROMPT_ID]))
        rows = inputs
        while rows:
            batch, scores, reasons = self._generate_round(rows, self.num_generations)
            rounds.append(batch)
            judged.append(scores)
            filling.offer(reasons, len(rows))
            rows = []
            if not filling.full and len(judged) < self.args.max_generation_rounds:
                wanted = filling.next_rows(exact="old_per_token_logps" not in batch)
                rows = self._rows_of(filling.whole_round(others, wanted))
        self._log_sampling(filling, judged, first_metric)
        if not filling.full:
            self._warn_unfilled(filling, len(judged))
        process, padding = self.accelerator.process_index, self._tokenizer.pad_token_id
        left_over = filling.local_surplus(process) if "old_per_token_logps" in batch else []
        self._surplus = assemble(rounds, left_over, padding) if left_over else None
        return assemble(rounds, filling.local_sources(process), padding)

    def _generate_round(self, inputs, group_size: int) -> tuple[dict[str, Any], Scores, list[str | None]]:
        """TRL's batch for `inputs` with correctness added; and over all processes the scores, and why each prompt's
        answers carry no signal."""
        mode = "train" if self.model.training else "eval"
        numbers = [row.get(ROW_NUMBER, -1) for row in inputs]
        inputs = [{name: value for name, value in row.items() if name != ROW_NUMBER} for row in inputs]
        batch = super()._generate_and_score_completions(inputs)
        scores = self._score(group_size)
        start = self.accelerator.process_index * len(inputs)
        local = slice(start, start + len(inputs))
        ids = batch["completion_ids"]
        batch |= {
            "correct": scores.correct[local],
            "group_accuracy": scores.group_accuracy[local],
            "reward": scores.reward[local],
            PROMPT_ID: torch.tensor(numbers, device=ids.device),
            JUDGEMENT: pack(judgements_of(self.reward_funcs, len(inputs)), ids.device),
        }
        if (
            self.scale_rewards == "group"
            and self.multi_objective_aggregation == "sum_then_normalize"
            and group_size > 1
        ):
            # TRL divides by std + 1e-4; the paper by std + 1e-6.
            advantage = group_relative_advantage(scores.reward, group_size, scored=scores.scored)
            batch["advantages"] = advantage[local]
        cut_off = self._cut_off(batch)
        self._leave_out_unscored(batch, scores, local)
        self._metrics[mode]["unscored_share"].append(1 - scores.scored.float().mean().item())
        reasons = without_signal(scores, group_size, self.args.dynamic_sampling_signal, cut_off)
        if self.mask_truncated_completions:  # then what is cut off is not trained on
            nothing_left = cut_off.view(-1, group_size).all(1).tolist()
            reasons = ["cut_off" if empty else reason for empty, reason in zip(nothing_left, reasons)]
        return batch, scores, reasons

    def _score(self, group_size: int) -> Scores:
        threshold = self.args.correctness_threshold
        judged = self._rewards[:, self._correctness]
        if threshold is None and not set(judged[judged.isfinite()].unique().tolist()) <= VERDICTS:
            names = " and ".join(repr(self.reward_func_names[column]) for column in self._correctness)
            self._say_once(
                f"{names} gives graded rewards (not only 0 and 1), and a response counts as correct above 0. If that "
                "is not what correct means, set correctness_threshold.",
                key="graded",
            )
        functions = self._rewards.shape[1]
        return score(
            self._rewards,
            self.reward_weights.to(self._rewards.device),
            group_size,
            correctness=self._correctness,
            threshold=threshold or 0.0,
            shaping=range(functions - self.shaping, functions),
        )

    def _cut_off(self, batch: dict[str, Any]) -> Tensor:
        """(N,) bool over all processes: responses whose last token does not end them. An environment's own may not."""
        ids, mask = batch["completion_ids"], batch["completion_mask"]
        if self.rollout_func is not None or self.tools or not ids.shape[1]:
            return torch.zeros(len(self._rewards), dtype=torch.bool, device=ids.device)
        last = ids.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        ends = torch.tensor(self.eos_token_ids, device=ids.device)
        return self.accelerator.gather(~torch.isin(last, ends))

    def _leave_out_unscored(self, batch: dict[str, Any], scores: Scores, local: slice) -> None:
        """Tokens of responses without a verdict belong to no group and enter no count."""
        unscored = ~scores.scored
        if not unscored.any():
            return
        names = " and ".join(repr(self.reward_func_names[column]) for column in self._correctness)
        self._say_once(
            f"{int(unscored.sum())} of {len(unscored)} responses have no verdict: {names} returned None or a number "
            "that is not finite. They are left out of training; their share is logged as unscored_share.",
            key="unscored",
        )
        for name in ("completion_mask", "tool_mask"):
            if name in batch:
                batch[name] = batch[name].masked_fill(unscored[local].unsqueeze(1), 0)
        batch["num_items_in_batch"] = self.accelerator.reduce(policy_mask(batch).sum(), reduction="sum")

    # --- what is said of it ----------------------------------------------------------------------------------------

    def _log_sampling(self, filling: Filling, judged: list[Scores], first_metric: dict[str, int]) -> None:
        """One value per metric for all rounds together, and what dynamic sampling did."""
        metrics = self._metrics["train"]
        weights = np.array([len(scores.scored) for scores in judged], dtype=float)
        for name, values in metrics.items():
            new = values[first_metric.get(name, 0) :]
            if len(new) != len(weights) or len(new) < 2:
                continue
            if name.endswith(("min", "min_length", "min_terminated_length")):
                joined = min(new)
            elif name.endswith(("max", "max_length", "max_terminated_length")):
                joined = max(new)
            else:
                known = ~np.isnan(new)
                joined = np.average(np.array(new)[known], weights=weights[known]) if known.any() else math.nan
            values[-len(new) :] = [float(joined)]
        metrics["accuracy"].append(_accuracy(judged))
        metrics["sampling/rounds"].append(len(judged))
        metrics["sampling/groups_drawn"].append(filling.drawn)
        for reason in NO_SIGNAL:
            metrics[f"sampling/groups_{reason}"].append(filling.dropped[reason])
        metrics["sampling/filled_share"].append(len(filling.source) / filling.positions)
        if self.args.dynamic_sampling:
            metrics["sampling/groups_from_surplus"].append(filling.taken)

    def _warn_unfilled(self, filling: Filling, rounds: int) -> None:
        open_positions = filling.positions - len(filling.source)
        dropped = filling.dropped
        why = " and ".join(f"{dropped[name]} {says}" for name, says in NO_SIGNAL.items() if dropped[name])
        stopped = f"after {rounds} rounds"
        if rounds < self.args.max_generation_rounds:
            stopped += " (no prompt of the data is left to try)"
        remedies = "Easier or harder prompts, more samples per prompt or a larger max_generation_rounds would help."
        most = max(dropped, key=dropped.get)
        if most == "cut_off":
            remedies = "A larger max_completion_length would help; check that the model ends its answers at all."
        elif most == "unscored":
            remedies = "See to the reward function first."
        self._say_once(
            f"Dynamic sampling stopped {stopped} with {open_positions} of {filling.positions} places open: "
            f"of {filling.drawn} prompts drawn, {why}. Training goes on with the rest; the share filled is logged as "
            f"sampling/filled_share. {remedies}",
            key="unfilled",
        )

    # --- resume ----------------------------------------------------------------------------------------------------

    def _surplus_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"surplus-{self.accelerator.process_index}.safetensors"

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        if self._surplus is not None:
            checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self._surplus.items()}
            save_file(tensors, self._surplus_file(checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        stored = self._surplus_file(Path(checkpoint))
        device = str(self.args.device)
        self._surplus = load_file(stored, device=device) if stored.is_file() else None


def _accuracy(judged: list[Scores]) -> float:
    """Share of correct among the scored responses of several rounds; NaN if there are none."""
    known = sum(scores.scored.sum().item() for scores in judged)
    return sum(scores.correct.sum().item() for scores in judged) / known if known else math.nan
