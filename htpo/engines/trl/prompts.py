"""Which prompts are asked: all numbered, in an order that a resumed run finds again, and others to replace some."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from htpo.errors import UserError

PROMPT_ID = "prompt_id"  # among the host's tensors: the row of the training data, which tells prompts apart; else -1
ROW_NUMBER = "htpo_row_number"  # the same as a column of the training data; the user may have a prompt_id of their own


class NumberedPrompts(GRPOTrainer):
    """`GRPOTrainer` whose training data is numbered, and whose order of prompts a resumed run finds again."""

    train_dataset: Any
    _signature_columns: list[str]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        data = self.train_dataset
        if isinstance(data, Dataset):
            data = data.remove_columns([name for name in [ROW_NUMBER] if name in data.column_names])
            self.train_dataset = data.add_column(ROW_NUMBER, np.arange(len(data)))
            self._refuse_empty_prompts()

    def _refuse_empty_prompts(self) -> None:
        """A prompt without a token breaks the model's forward pass; where the tokenizer begins all texts, none is."""
        prompts = self.train_dataset["prompt"] if "prompt" in self.train_dataset.column_names else []
        row = next((number for number, prompt in enumerate(prompts, start=1) if prompt == ""), None)
        if row is not None and not self._tokenizer(text="")["input_ids"]:
            raise UserError(f"row {row} of the training data has an empty prompt: remove such rows")

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = [*self._signature_columns, ROW_NUMBER]

    def _get_train_sampler(self, dataset: Dataset | None = None) -> "EpochSeededRepeatSampler":
        sampler = super()._get_train_sampler(dataset)
        prompts = len(sampler.data_source)
        if prompts < sampler.batch_size:  # the host would end at once, without an update and without an error
            raise UserError(
                f"the training data has {prompts} prompts but a generation batch needs {sampler.batch_size}: "
                "lower prompts_per_generation or give more data"
            )
        return EpochSeededRepeatSampler.like(sampler, epoch=lambda: int(self.state.epoch or 0))

    def _prompt_numbers(self, rows: list[dict[str, Any]]) -> Tensor:
        """(len(rows),) int: -1 where a row is not of the training data."""
        return torch.tensor([row.get(ROW_NUMBER, -1) for row in rows], device=self.accelerator.device)

    def _other_prompts(self, taken: Tensor) -> Iterator[int]:
        """Every prompt but those taken, once; ordered by run seed and step, so that resume needs no state.

        Nothing is drawn before the first is asked for, which all processes do together.

        Args:
            taken: numbers of this process's, as many on every process.
        """
        seen = {*self.accelerator.gather(taken).tolist()}
        order = np.random.default_rng((self.args.seed, self.state.global_step)).permutation(len(self.train_dataset))
        yield from (int(number) for number in order if number not in seen)

    def _rows_of(self, prompts: list[int]) -> list[dict[str, Any]]:
        """This process's rows of a round that asks these prompts, G times each."""
        rows = [prompt for prompt in prompts for _ in range(self.num_generations)]
        share = len(rows) // self.accelerator.num_processes
        start = self.accelerator.process_index * share
        return [self.train_dataset[number] for number in rows[start : start + share]]


class EpochSeededRepeatSampler(RepeatSampler):
    """TRL's `RepeatSampler`, its shuffle seeded by (seed, epoch).

    TRL's draws every epoch's order from one generator, which a checkpoint does not hold: after resume, epoch k repeats
    epoch 1's order.
    """

    epoch: Callable[[], int]

    @classmethod
    def like(cls, sampler: RepeatSampler, epoch: Callable[[], int]) -> "EpochSeededRepeatSampler":
        """The same sampler; `epoch` is asked at the start of every pass."""
        seeded = cls(
            data_source=sampler.data_source,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
        )
        seeded.epoch = epoch
        return seeded

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:
            self.generator.manual_seed(self.seed + 1_000_003 * self.epoch())
        return super().__iter__()
