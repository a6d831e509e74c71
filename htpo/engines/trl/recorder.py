"""What a run keeps of its training: metrics of every update and a sample of rollouts, token by token."""

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from transformers import TrainerCallback

from htpo.engines.trl.judgements import JUDGEMENT, unpack
from htpo.engines.trl.sampling import PROMPT_ID
from htpo.engines.trl.token_batch import policy_mask
from htpo.objectives import Outcome, TokenBatch
from htpo.runs import RunDirectory

T = TypeVar("T")


class MetricsWriter(TrainerCallback):
    """Appends every log of the trainer to the run's `metrics.jsonl` (main process), and has the last update logged."""

    def __init__(self, run: RunDirectory):
        self.run = run

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= state.max_steps:
            control.should_log = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            self.run.append_metrics({"step": state.global_step, **logs})


class CheckpointMarker(TrainerCallback):
    """Marks every checkpoint once it is written whole, so that resume never starts from half of one."""

    def __init__(self, run: RunDirectory):
        self.run = run

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()  # every process writes a part of it
        if state.is_world_process_zero:
            self.run.mark_checkpoint_complete(self.run.path / f"checkpoint-{state.global_step}")


class RolloutWriter:
    """Writes up to `kept` rollouts of every `every`-th update, and of the first, to the run's `rollouts/`.

    They are drawn from the whole update, all its micro-batches on all processes, by seed and update: prompts with all
    their responses in it while there is room, and of further ones as many as fill it. Every process keeps its own on
    the CPU until the update is complete; the main process writes.
    """

    def __init__(self, run: RunDirectory, tokenizer, every: int, kept: int, seed: int):
        self.run, self.tokenizer, self.every, self.kept, self.seed = run, tokenizer, every, kept, seed
        self._chosen: list[dict[int, int]] = []
        self._records: list[tuple[int, dict[str, Any]]] = []

    def __call__(
        self,
        step: int,
        inputs: dict[str, Any],
        batch: TokenBatch,
        outcome: Outcome,
        index: int,
        update: list[dict[str, Any]],
    ) -> None:
        """See `RolloutRecorder`."""
        if not self.every or not (step == 1 or step % self.every == 0):
            return
        if index == 0:
            self._chosen, self._records = self._choose(step, update), []
        for row, place in self._chosen[index].items():
            self._records.append((place, self._record(row, inputs, batch, outcome)))
        if index < len(update) - 1:
            return
        records = [record for _, record in sorted(gather_object(self._records), key=lambda placed: placed[0])]
        if records and PartialState().is_main_process:
            self.run.write_rollouts(step, {name: [record[name] for record in records] for name in records[0]})

    def _choose(self, step: int, update: list[dict[str, Any]]) -> list[dict[int, int]]:
        """Of each of this process's micro-batches the rows to keep, and where each stands among all that are kept."""
        process = PartialState().process_index
        mine = [
            (key, process, index, row)
            for index, micro in enumerate(update)
            for row, (key, any_token) in enumerate(zip(_prompt_keys(micro), policy_mask(micro).any(1).tolist()))
            if any_token
        ]
        prompts: dict[int, list[tuple[int, int, int]]] = {}
        for key, *where in sorted(gather_object(mine)):
            prompts.setdefault(key, []).append(tuple(where))
        chosen: list[dict[int, int]] = [{} for _ in update]
        kept = draw_rows(list(prompts.values()), self.kept, np.random.default_rng((self.seed, step)))
        for place, (owner, index, row) in enumerate(kept):
            if owner == process:
                chosen[index][row] = place
        return chosen

    def _record(self, row: int, inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> dict[str, Any]:
        mask = batch.mask[row]

        def text(ids: Tensor | list[int]) -> str:
            return self.tokenizer.decode(ids, skip_special_tokens=True)

        token_ids = inputs["completion_ids"][row][mask].tolist()
        number = int(inputs[PROMPT_ID][row])
        group = None if outcome.group is None else outcome.group[row][mask].tolist()
        return {
            "prompt_id": None if number < 0 else number,
            "prompt": text(inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist()),
            "response": text(token_ids),
            **unpack(inputs[JUDGEMENT][row]),
            "correct": bool(batch.correct[row]),
            "group_accuracy": float(batch.group_accuracy[row]),
            "reward": float(inputs["reward"][row]),
            "advantage": float(batch.advantage[row].flatten()[0]),
            "token_ids": token_ids,
            "tokens": [self.tokenizer.decode([token]) for token in token_ids],
            "log_prob": batch.log_prob[row].detach()[mask].float().tolist(),
            "old_log_prob": batch.old_log_prob[row][mask].float().tolist(),
            "entropy": batch.entropy[row][mask].float().tolist(),
            "group": [0] * len(token_ids) if group is None else group,
            "weight": outcome.weight[row][mask].float().tolist(),
        }


def draw_rows(prompts: Sequence[Sequence[T]], kept: int, random: np.random.Generator) -> list[T]:
    """Up to `kept` rows of prompts in random order: whole prompts while they fit, then parts of others."""
    order = [prompts[index] for index in random.permutation(len(prompts))]
    whole, cut, room = [], [], kept
    for rows in order:
        if len(rows) <= room:
            whole += rows
            room -= len(rows)
        else:
            cut += rows
    return whole + cut[:room]


def _prompt_keys(micro: dict[str, Any]) -> list[int]:
    """A number for each row that rows of one prompt share on every process: its row in the data, or else a hash."""
    numbers = micro[PROMPT_ID].tolist()
    if min(numbers, default=0) >= 0:
        return numbers
    rows = zip(micro["prompt_ids"].tolist(), micro["prompt_mask"].tolist())
    return [zlib.crc32(repr([i for i, real in zip(ids, mask) if real]).encode()) for ids, mask in rows]
