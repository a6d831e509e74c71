"""Random batches in which every branch of every rule acts, and their translation for the oracle."""

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import torch
from torch import Tensor

from htpo.objectives import Outcome, TableObjective, TokenBatch
from tests.objectives.oracle import Response

ACCURACIES = (0 / 8, 1 / 8, 4 / 8, 3 / 5, 5 / 8, 7 / 8, 8 / 8)  # hard: below 0.6


def random_batch(
    seed: int,
    lengths: list[int],
    *,
    dtype: torch.dtype = torch.float64,
    per_token_advantage: bool = False,
    distinct_entropies: int = 0,
    gaps: bool = True,
    turns: int = 0,
) -> TokenBatch:
    """A batch with a response of every given length, of all four kinds of prompt and verdict.

    With `turns` the tokens belong to so many turns of an episode at most, some of which have one token or none, and to
    its segments; what is masked may stand inside a turn.
    Log-ratios reach from deep below the clip range to past the dual clip. With `distinct_entropies` the entropies take
    only so many values, so that ties are common; with `gaps` some positions between policy tokens are masked.
    """
    g = torch.Generator().manual_seed(seed)
    rows, width = len(lengths), max(lengths, default=0) * (2 if gaps else 1)
    mask = torch.zeros(rows, width, dtype=torch.bool)
    for row, length in enumerate(lengths):
        places = torch.randperm(width, generator=g)[:length] if gaps else torch.arange(length)
        mask[row, places] = True

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64) * (high - low) + low

    edges = torch.tensor([[-22.0, -2.4], [-2.2, -0.25], [-0.2, 0.1], [0.1, 0.24], [0.27, 2.2], [2.4, 22.0]])
    chosen = edges.double()[torch.randint(len(edges), (rows, width), generator=g)]
    log_ratio = chosen[..., 0] + (chosen[..., 1] - chosen[..., 0]) * uniform(0, 1, rows, width)
    log_prob = uniform(-3, -0.01, rows, width)
    entropy = uniform(0, 4, rows, width)
    if distinct_entropies:
        entropy = (entropy / 4 * distinct_entropies).floor()
    sign = 1 - 2 * torch.randint(2, (rows, width) if per_token_advantage else (rows,), generator=g)
    # Fixed cycles, so that a few rows hold every kind: hard and easy, right and wrong.
    accuracy = torch.tensor([ACCURACIES[(3 * (i // 2) + seed) % len(ACCURACIES)] for i in range(rows)])
    turn = torch.randint(1, max(turns, 1) + 1, (rows, width), generator=g).sort(1).values
    segment = torch.randint(1, 3, (rows, width), generator=g)
    return TokenBatch(
        log_prob=log_prob.to(dtype),
        old_log_prob=(log_prob - log_ratio).to(dtype),
        advantage=(sign * uniform(0.3, 1.5, *sign.shape)).to(dtype),
        entropy=entropy.to(dtype),
        mask=mask,
        correct=torch.arange(rows) % 2 == 0,
        group_accuracy=accuracy.to(dtype),
        turn=turn.int().masked_fill(~mask, 0) if turns else None,
        segment=segment.to(torch.int8).masked_fill(~mask, 0) if turns else None,
    )


def batches_of(**more: st.SearchStrategy) -> st.SearchStrategy[TokenBatch]:
    """Small random batches for properties; `more` are strategies of other arguments of `random_batch`."""
    return st.builds(
        random_batch,
        st.integers(0, 2**16),
        st.lists(st.integers(0, 12), min_size=1, max_size=9),
        per_token_advantage=st.booleans(),
        distinct_entropies=st.sampled_from([0, 0, 1, 3]),
        turns=st.integers(1, 4),
        **more,
    )


def as_responses(batch: TokenBatch) -> list[Response]:
    """The batch as the oracle reads it; every number as rounded in the batch's dtype."""
    advantage = batch.advantage if batch.advantage.dim() == 2 else batch.advantage.unsqueeze(1)
    columns = [x.double().tolist() for x in (batch.log_prob, batch.old_log_prob, advantage.expand(batch.mask.shape))]
    rest = (batch.entropy.double(), batch.mask, batch.correct, batch.group_accuracy.double(), batch.seed)
    nothing = [None] * len(batch.mask)
    episodes = [nothing if x is None else x.tolist() for x in (batch.turn, batch.segment)]
    return [Response(*row) for row in zip(*columns, *(x.tolist() for x in rest), *episodes, strict=True)]


def rows_of(batch: TokenBatch, rows: Tensor | slice) -> TokenBatch:
    """Some of the responses."""
    return each_field(batch, lambda x: x[rows])


def micro_batches(batch: TokenBatch, sizes: list[int]) -> list[TokenBatch]:
    """The batch in order, cut into parts of these sizes and one of what is left."""
    parts, start = [], 0
    for size in [*sizes, batch.mask.shape[0]]:
        parts.append(rows_of(batch, slice(start, start + size)))
        start += size
    return parts


def fields_of(batch: TokenBatch) -> dict[str, Tensor]:
    """The tensors that a batch has, by name."""
    return {name: x for name, x in vars(batch).items() if x is not None}


def each_field(batch: TokenBatch, change: Callable[[Tensor], Tensor]) -> TokenBatch:
    """The batch with every tensor changed alike."""
    return TokenBatch(**{name: change(x) for name, x in fields_of(batch).items()})


def evaluate(
    objective: TableObjective, batch: TokenBatch, cuts: dict[str, Tensor] | None = None
) -> tuple[Outcome, Tensor]:
    """The outcome and the gradient of the sum of its values with respect to `log_prob`."""
    leaf = batch.log_prob.detach().clone().requires_grad_()
    out = objective(replace(batch, log_prob=leaf), cuts)
    (gradient,) = torch.autograd.grad(out.value.sum(), leaf)
    return out, gradient
