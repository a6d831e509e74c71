"""Screening (SPEED-RL, 2506.09016): a few answers to each prompt first, the rest of a group where these differ.

What it keeps and drops differs from DAPO's rule, and by how much: docs/performance.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from htpo.engines.rewards import Scores, group_accuracy
from htpo.engines.trl.assembly import assemble
from htpo.engines.trl.rounds import JudgedRounds, Round
from htpo.objectives import group_relative_advantage


@dataclass(frozen=True)
class Sampled:
    """What a round of dynamic sampling gave, all answers at once or screened; all but the batch over all processes.

    Attributes:
        batch: this process's.
        usable: of each whole group, whether it has a signal; empty where no group is whole.
        reasons: of each prompt drawn, why its answers carry no signal; None: they do.
        scores: of a fair sample of answers to the prompts drawn.
        weights: how many answers of that sample each generation of the host's made.
        tokens: of all responses.
        saved: tokens of answers that were not sampled since those before were alike; an estimate.
    """

    batch: dict[str, Any]
    usable: list[bool]
    reasons: list[str | None]
    scores: Scores
    weights: list[int]
    tokens: int
    saved: float


class Screening(JudgedRounds):
    """A trainer that can screen prompts (`args.screening_samples`); see `HTPOTrainer`."""

    def _sample(self, rows: list[dict[str, Any]]) -> Sampled:
        """Answer each row's prompt; the G rows of a prompt are contiguous, and on one process where it is screened."""
        if not self.args.screening_samples:
            asked = self._generate_round(rows, self.num_generations)
            usable = [reason is None for reason in asked.reasons]
            tokens = int(asked.length.sum())
            return Sampled(asked.batch, usable, asked.reasons, asked.scores, [len(asked.length)], tokens, 0.0)
        first, others = self.args.screening_samples, self.num_generations - self.args.screening_samples
        prompts = rows[:: self.num_generations]
        with self._group_size(first):
            screened = self._generate_round([row for row in prompts for _ in range(first)], first)
        batch, weights, tokens = screened.batch, [len(screened.length)], int(screened.length.sum())
        completed, usable = self._to_complete(screened.reasons)
        if completed:
            with self._group_size(others):
                rest = self._generate_round([prompts[group] for group in completed for _ in range(others)], others)
            batch = self._join(screened, rest, completed)
            weights, tokens = [*weights, 0], tokens + int(rest.length.sum())
        alike = torch.tensor([reason is not None for reason in screened.reasons], device=screened.length.device)
        saved = (screened.length.view(-1, first).sum(1) * alike).sum().item() * others / first
        return Sampled(batch, usable, screened.reasons, screened.scores, weights, tokens, saved)

    @contextmanager
    def _group_size(self, samples: int) -> Iterator[None]:
        """Have the host take so many rows for a group."""
        size = self.num_generations
        self.num_generations = samples
        try:
            yield
        finally:
            self.num_generations = size

    def _to_complete(self, reasons: list[str | None]) -> tuple[list[int], list[bool]]:
        """(this process's groups to complete, of the groups completed over all processes whether each is usable).

        All processes generate as many rows. One with fewer groups to complete takes others, which are not used.
        """
        processes = self.accelerator.num_processes
        share = len(reasons) // processes
        kept = [
            [group for group in range(share) if reasons[process * share + group] is None]
            for process in range(processes)
        ]
        most = max(map(len, kept))
        mine = kept[self.accelerator.process_index]
        usable = [place < len(groups) for groups in kept for place in range(most)]
        return [*mine, *[0] * (most - len(mine))], usable

    def _join(self, screened: Round, rest: Round, completed: list[int]) -> dict[str, Any]:
        """Whole groups: the screened answers, then the others; what is said of a group is said anew."""
        size, first = self.num_generations, self.args.screening_samples
        sources = []
        for place, group in enumerate(completed):
            sources += [(0, group * first + sample) for sample in range(first)]
            sources += [(1, place * (size - first) + sample) for sample in range(size - first)]
        batch = assemble([screened.batch, rest.batch], sources, self._tokenizer.pad_token_id)
        scored = ~batch["reward"].isnan()
        batch["group_accuracy"] = group_accuracy(batch["correct"] & scored, scored, size)
        scale = "std" if self.scale_rewards == "group" else "none"
        batch["advantages"] = group_relative_advantage(batch["reward"], size, scale=scale, scored=scored)
        return batch
