"""Prompts longer than a limit, counted in tokens as the model will see them: refused, or left out and counted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.prompts import tokenize_prompts
from htpo.tasks.task import Task


@dataclass(frozen=True)
class PromptLengths:
    """Lengths in tokens of a dataset's prompts, in the order of its rows."""

    rows: Dataset
    lengths: list[int]

    def within(self, limit: int) -> list[int]:
        """Indices of the rows whose prompt has at most `limit` tokens."""
        return [index for index, length in enumerate(self.lengths) if length <= limit]

    def excess(self, limit: int, part: str) -> str | None:
        """How many are longer and which is the longest, in words; None where none is."""
        too_long = len(self.lengths) - len(self.within(limit))
        if not too_long:
            return None
        index = max(range(len(self.lengths)), key=self.lengths.__getitem__)
        number = self.rows["row"][index] if "row" in self.rows.column_names else index + 1
        return (
            f"{too_long} of {len(self.lengths)} {part} are longer than {limit} tokens, the longest has "
            f"{self.lengths[index]} (row {number})"
        )


def prompt_lengths(rows: Dataset, tokenizer: Any, template_options: Mapping[str, Any] | None = None) -> PromptLengths:
    """Count the tokens of every prompt.

    Args:
        rows: with a column `prompt`.
        template_options: of the tokenizer's chat template.

    Raises:
        UserError: chat prompts meet a tokenizer without template.
    """
    lengths: list[int] = []
    for start in range(0, len(rows), 1000):
        lengths += map(len, tokenize_prompts(rows[start : start + 1000]["prompt"], tokenizer, template_options))
    return PromptLengths(rows, lengths)


def limit_prompt_lengths(
    task: Task,
    tokenizer: Any,
    limit: int,
    template_options: Mapping[str, Any] | None = None,
    *,
    leave_out: bool = False,
) -> Task:
    """The task, of whose prompts (training and held-out) none has more than `limit` tokens.

    Args:
        template_options: of the tokenizer's chat template.
        leave_out: whether longer prompts are left out, which the task's description then says with their number.

    Raises:
        UserError: there are longer prompts, with their number, the longest and its row; with `leave_out`, no others.
    """
    parts: dict[str, Dataset | None] = {}
    left_out = []
    for name, words, rows in (
        ("train", "training prompts", task.train),
        ("held_out", "held-out prompts", task.held_out),
    ):
        parts[name] = rows
        if rows is None:
            continue
        measured = prompt_lengths(rows, tokenizer, template_options)
        excess = measured.excess(limit, f"{words} of {task.name}")
        if excess is None:
            continue
        within = measured.within(limit)
        if not leave_out:
            raise UserError(
                f"{excess}: raise --max_prompt_length, remove them, or leave them out by --filter_overlong_prompts"
            )
        if not within:
            raise UserError(f"{excess}, and none would be left: raise --max_prompt_length")
        parts[name] = rows.select(within)
        left_out.append(f"{len(rows) - len(within)} of {len(rows)} {words}")
    if not left_out:
        return task
    description = f"{task.description}; left out as longer than {limit} tokens: {', '.join(left_out)}"
    return replace(task, train=parts["train"], held_out=parts["held_out"], description=description)
