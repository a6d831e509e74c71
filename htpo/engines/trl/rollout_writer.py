"""Keeps a sample of an update's rollouts, token by token, whichever processes they lie on."""

import zlib
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object

from htpo.engines.recording import draw_rows, rollout
from htpo.engines.trl.judgements import JUDGEMENT, unpack
from htpo.engines.trl.prompts import PROMPT_ID
from htpo.engines.trl.token_batch import policy_mask
from htpo.objectives import Outcome, TokenBatch
from htpo.runs import RunDirectory


class RolloutWriter:
    """Writes up to `kept` rollouts of every `every`-th update, and of the first, to the run's `rollouts/`.

    They are drawn from the whole update, all its micro-batches on all processes, by seed and update: prompts with all
    their responses in it while there is room, and of further ones as many as fill it. Every process keeps its own on
    the CPU until the update is complete; the main process writes.
    """

    def __init__(self, run: RunDirectory, tokenizer: Any, every: int, kept: int, seed: int):
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
            self._records.append((place, self._rollout(row, inputs, batch, outcome)))
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

    def _rollout(self, row: int, inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> dict[str, Any]:
        return rollout(
            row,
            batch,
            outcome,
            self.tokenizer,
            prompt=inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist(),
            response=inputs["completion_ids"][row],
            prompt_id=int(inputs[PROMPT_ID][row]),
            reward=float(inputs["reward"][row]),
            said=unpack(inputs[JUDGEMENT][row]),
        )


def _prompt_keys(micro: dict[str, Any]) -> list[int]:
    """A number for each row that rows of one prompt share on every process: its row in the data, or else a hash."""
    numbers = micro[PROMPT_ID].tolist()
    if min(numbers, default=0) >= 0:
        return numbers
    rows = zip(micro["prompt_ids"].tolist(), micro["prompt_mask"].tolist())
    return [zlib.crc32(repr([i for i, real in zip(ids, mask) if real]).encode()) for ids, mask in rows]
