"""The vocabulary of objectives: what goes into one (`TokenBatch`) and what comes out (`Outcome`)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from htpo.objectives.once import once
from htpo.objectives.statistics import summarize

THINKING, ACTION = 1, 2  # in `TokenBatch.segment`


@dataclass(frozen=True)
class TokenBatch:
    """B responses of at most T tokens each.

    What stands where `mask` is False (padding, prompt, tool output) may be anything, NaN included: it is never read.

    Raises:
        ValueError: a shape or dtype is wrong; the message names the argument, what it was and what it must be.
    """

    log_prob: Tensor  # (B, T) float, nats: log-probability of each token under the current policy, with gradient
    old_log_prob: Tensor  # (B, T) float, nats: the same under the policy that sampled the response
    advantage: Tensor  # (B,), (B, 1) or (B, T) float
    # (B, T) float, nats, of the full next-token distribution: the current policy's, or that of another one by which
    # tokens are to be told apart; never gets gradient
    entropy: Tensor
    mask: Tensor  # (B, T) bool: tokens that the policy sampled
    correct: Tensor  # (B,) bool: the verifier's verdict, before any shaping of the reward
    group_accuracy: Tensor  # (B,) float in [0, 1]: mean correctness over all samples of the response's prompt
    # (B,) int64: what is drawn at random (see `draws`); without it, the rows of this batch are numbered
    seed: Tensor = None  # type: ignore[assignment]
    # (B, T) int32: the turn of an episode in which a token was sampled, from 1; 0 where none was. None: not known
    turn: Tensor | None = None
    # (B, T) int8: what a token of an episode is a part of, `THINKING` or `ACTION`; 0 where none was sampled
    segment: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.log_prob, Tensor) or self.log_prob.dim() != 2:
            shape = getattr(self.log_prob, "shape", None)
            given = tuple(shape) if shape is not None else type(self.log_prob).__name__
            raise ValueError(f"log_prob must be a float tensor of shape (B, T), got {given}")
        rows, tokens = self.log_prob.shape
        per_token, per_row = (rows, tokens), (rows,)
        if self.seed is None:
            object.__setattr__(self, "seed", torch.arange(rows, device=self.log_prob.device))
        _check("log_prob", self.log_prob, [per_token], "float")
        _check("old_log_prob", self.old_log_prob, [per_token], "float")
        _check("advantage", self.advantage, [per_row, per_token, (rows, 1)], "float")
        _check("entropy", self.entropy, [per_token], "float")
        _check("mask", self.mask, [per_token], "bool")
        _check("correct", self.correct, [per_row], "bool")
        _check("group_accuracy", self.group_accuracy, [per_row], "float")
        _check("seed", self.seed, [per_row], "int64")
        if self.turn is not None:
            _check("turn", self.turn, [per_token], "int32")
        if self.segment is not None:
            _check("segment", self.segment, [per_token], "int8")

    @property
    def compute_dtype(self) -> torch.dtype:
        """The dtype objectives compute in: that of `log_prob`, but at least float32."""
        return torch.promote_types(self.log_prob.dtype, torch.float32)

    def of_episodes(self, name: str) -> Tensor:
        """The field `name`, which batches of episodes alone have.

        Raises:
            ValueError: this one does not have it.
        """
        field: Tensor | None = getattr(self, name)
        if field is None:
            raise ValueError(f"the objective tells tokens apart by their {name}, and the batch has no `{name}`")
        return field

    def log_ratio(self) -> Tensor:
        """(B, T) in the compute dtype, without gradient: log_prob - old_log_prob; 0 outside the mask."""
        current, old = (x.detach().to(self.compute_dtype) for x in (self.log_prob, self.old_log_prob))
        return torch.where(self.mask, current - old, 0.0)

    def advantage_column(self) -> Tensor:
        """(B, 1) or (B, T) in the compute dtype: the advantage as given, garbage included."""
        advantage = self.advantage.detach().to(self.compute_dtype)
        return advantage.unsqueeze(1) if advantage.dim() == 1 else advantage


@dataclass(frozen=True)
class Outcome:
    """What an objective says of every token of a `TokenBatch`, and of the batch as a whole."""

    value: Tensor  # (B, T) J_t to maximise, 0 outside the mask, NaN at a policy token with a non-finite input
    weight: Tensor  # (B, T) w_t without gradient: the gradient of J_t is w_t A_t grad log_prob_t
    slope: Tensor  # (B, T) w_t A_t without gradient
    group: Tensor | None  # (B, T) int8: 1.. = the table's groups in order, 0 outside the mask; None if unpartitioned
    detached: Tensor | None  # (B, T) bool: tokens whose J the table sets to 0; None if unpartitioned
    sum_up: Callable[[], dict[str, Tensor]] = field(repr=False)  # what `sums` is computed by, when asked for

    @once
    def sums(self) -> dict[str, Tensor]:
        """Sums per group, (groups,) each, that add over micro-batches and ranks; see `statistics.group_sums`."""
        return self.sum_up()

    @once
    def stats(self) -> dict[str, Tensor]:
        """Scalar tensors by name, computed from `sums` without a host synchronisation."""
        return summarize(self.sums)


def _check(name: str, tensor: Tensor, shapes: list[tuple[int, ...]], kind: str) -> None:
    needed = " or ".join(str(shape) for shape in shapes)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a {kind} tensor of shape {needed}, got {type(tensor).__name__}")
    if tuple(tensor.shape) not in shapes:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, needs {needed}")
    if not (tensor.is_floating_point() if kind == "float" else tensor.dtype == getattr(torch, kind)):
        raise ValueError(f"{name} has dtype {tensor.dtype}, needs {kind}")
