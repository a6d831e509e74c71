"""What a run keeps of its training: metrics of every update and a sample of rollouts, token by token."""

from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback

from htpo.objectives import Outcome, TokenBatch
from htpo.runs import RunDirectory


class MetricsWriter(TrainerCallback):
    """Appends every log of the trainer to the run's `metrics.jsonl` (main process)."""

    def __init__(self, run: RunDirectory):
        self.run = run

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
    """Writes up to `kept` rollouts of every `every`-th update, and of the first, to the run's `rollouts/`."""

    def __init__(self, run: RunDirectory, tokenizer, every: int, kept: int):
        self.run, self.tokenizer, self.every, self.kept = run, tokenizer, every, kept
        self._last_step = None

    def __call__(self, step: int, inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> None:
        due = self.every and (step == 1 or step % self.every == 0)
        if not due or step == self._last_step:
            return
        self._last_step = step
        rows = batch.mask.any(1).nonzero().flatten().tolist()[: self.kept]
        if rows:
            self.run.write_rollouts(step, self._columns(rows, inputs, batch, outcome))

    def _columns(self, rows: list[int], inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> dict[str, list]:
        def per_token(tensor) -> list[list]:
            return [tensor[row][batch.mask[row]].tolist() for row in rows]

        token_ids = per_token(inputs["completion_ids"])
        prompt_ids = [inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()] for row in rows]
        advantage = batch.advantage if batch.advantage.dim() == 1 else batch.advantage[:, 0]
        group = torch.zeros_like(batch.mask, dtype=torch.int8) if outcome.group is None else outcome.group
        return {
            "prompt": self.tokenizer.batch_decode(prompt_ids, skip_special_tokens=True),
            "response": self.tokenizer.batch_decode(token_ids, skip_special_tokens=True),
            "correct": [bool(batch.correct[row]) for row in rows],
            "group_accuracy": [float(batch.group_accuracy[row]) for row in rows],
            "reward": [float(inputs["reward"][row]) for row in rows],
            "advantage": [float(advantage[row]) for row in rows],
            "token_ids": token_ids,
            "tokens": [[self.tokenizer.decode([token]) for token in ids] for ids in token_ids],
            "log_prob": per_token(batch.log_prob.detach().float()),
            "old_log_prob": per_token(batch.old_log_prob.float()),
            "entropy": per_token(batch.entropy.float()),
            "group": per_token(group),
            "weight": per_token(outcome.weight.float()),
        }
