"""Axes of the partition: each assigns every token a level, and the product of the levels is the table's groups."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import from_mask, indicator
from htpo.objectives.options import check_fraction

Cuts = dict[str, Tensor]  # thresholds by name, each (B, 1), or (1, 1) when taken over the whole batch


class Axis(Protocol):
    """One way of telling tokens apart."""

    levels: tuple[str, ...]

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        """Index into `levels` of every token: int8, (B, 1) or (B, T).

        A threshold that depends on many tokens is read from `cuts`, or computed from `batch` and left there.
        """


AXES: dict[str, type[Axis]] = {}


def register_axis(name: str) -> Callable[[type[Axis]], type[Axis]]:
    """Make an axis known by name, to tables in configurations too; its options are the arguments it is made with."""

    def register(axis: type[Axis]) -> type[Axis]:
        AXES[name] = axis
        return axis

    return register


@register_axis("difficulty")
@dataclass(frozen=True)
class Difficulty:
    """Hard when 1 - group_accuracy > threshold (SPEC section 2, axis 1)."""

    threshold: float
    levels = ("hard", "easy")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        # A mean such as 3/5 is not exact in binary; half a unit in its last place must not make it hard.
        rounding = max(1e-6, torch.finfo(batch.group_accuracy.dtype).eps / 4)
        hard = batch.group_accuracy < 1 - self.threshold - rounding
        return from_mask(~hard.unsqueeze(1), torch.int8)


@register_axis("correctness")
@dataclass(frozen=True)
class Correctness:
    """Whether the verifier accepted the response (SPEC section 2, axis 2)."""

    levels = ("correct", "wrong")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        return from_mask(~batch.correct.unsqueeze(1), torch.int8)


@register_axis("entropy")
@dataclass(frozen=True)
class Entropy:
    """High for the top `fraction` of tokens by entropy, ties included (SPEC section 2, axis 3).

    `scope` says among which tokens: those of the same "response", or all policy tokens of the "batch".
    """

    fraction: float
    scope: str
    levels = ("low", "high")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        if "entropy" not in cuts:
            member = from_mask(batch.mask, torch.int8)
            cuts["entropy"] = rank_cut(batch.entropy, member, self.fraction, self.scope, largest=True)
        return indicator(torch.ge, batch.entropy, cuts["entropy"]).to(torch.int8)


@register_axis("position")
@dataclass(frozen=True)
class Position:
    """Early for the first `share` of a response's policy tokens, late for the rest."""

    share: float = 0.5
    levels = ("early", "late")

    def __post_init__(self) -> None:
        check_fraction("share of axis position", self.share)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        place = from_mask(batch.mask, torch.int32).cumsum(1, dtype=torch.int32) - 1
        length = batch.mask.sum(1, keepdim=True)
        return from_mask(place >= self.share * length, torch.int8)


def rank_cut(
    values: Tensor, member: Tensor, fraction: float, scope: str, *, largest: bool, among: Tensor | None = None
) -> Tensor:
    """The k-th largest (or smallest) member's value, k = max(floor(fraction * members), 1), per response or batch.

    The product is floored exactly, the fraction being the decimal it is written as. Cost is linear in the tokens and
    nothing is read back to the host: the rank is bounded by the shape.

    Args:
        values: (B, T) float, finite also where there is no member.
        member: (B, T) int8, 1 or 0.
        fraction: in (0, 1].
        scope: "response" or "batch".
        among: (B, T) int8: what the fraction is taken of, where that is not the members themselves.

    Returns:
        (B, 1) for scope "response", (1, 1) for "batch"; with fewer than k members an infinity that excludes nothing.
    """
    among = member if among is None else among
    if scope == "batch":
        values, member, among = (x.reshape(1, -1) for x in (values, member, among))
    exact = _as_written(fraction)
    most = max(values.shape[1] * exact.numerator // exact.denominator, 1)
    rank = (among.sum(1, keepdim=True) * exact.numerator // exact.denominator).clamp(min=1)
    worst = -torch.inf if largest else torch.inf
    reach = (member.to(values.dtype) - 0.5) * -worst  # the best infinity for members, the worst one for the others
    ranked = torch.minimum(values, reach) if largest else torch.maximum(values, reach)
    # Responses differ in rank: with as many best values added as a rank falls short of `most`, one rank serves all.
    added = torch.arange(most, device=values.device) < most - rank
    ranked = torch.cat([ranked, torch.where(added, -worst, worst).to(values.dtype)], 1)
    top = ranked.topk(most, dim=1, largest=largest, sorted=False).values
    return top.amin(1, keepdim=True) if largest else top.amax(1, keepdim=True)


@lru_cache
def _as_written(fraction: float) -> Fraction:
    return Fraction(str(fraction))
