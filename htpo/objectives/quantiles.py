"""The k-th largest or smallest value among tokens that are compared: of a response, a turn of it, or the batch."""

from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import indicator


def scoped_cut(
    batch: TokenBatch, values: Tensor, member: Tensor, fraction: float, scope: str, *, largest: bool
) -> Tensor:
    """`rank_cut`, or for scope "turn" `turn_cut` with the turns of the batch. Raises ValueError where it has none."""
    if scope != "turn":
        return rank_cut(values, member, fraction, scope, largest=largest)
    return turn_cut(values, member, fraction, batch.of_episodes("turn"), largest=largest)


def rank_cut(values: Tensor, member: Tensor, fraction: float, scope: str, *, largest: bool) -> Tensor:
    """The k-th largest (or smallest) member's value, k = max(floor(fraction * members), 1), per response or batch.

    The product is floored exactly, the fraction being the decimal it is written as, or the closest one with a
    denominator up to 10^9. Cost is linear in the tokens and nothing is read back to the host: the rank is bounded by
    the shape.

    Args:
        values: (B, T) float, finite also where there is no member.
        member: (B, T) int8, 1 or 0.
        fraction: in (0, 1].
        scope: "response" or "batch".

    Returns:
        (B, 1) for scope "response", (1, 1) for "batch"; with no member an infinity that excludes nothing.
    """
    if scope == "batch":
        values, member = values.reshape(1, -1), member.reshape(1, -1)
    exact = as_written(fraction)
    most = max(values.shape[1] * exact.numerator // exact.denominator, 1)
    rank = (member.sum(1, keepdim=True) * exact.numerator // exact.denominator).clamp(min=1)
    worst = -torch.inf if largest else torch.inf
    reach = (member.to(values.dtype) - 0.5) * -worst  # the best infinity for members, the worst one for the others
    ranked = torch.minimum(values, reach) if largest else torch.maximum(values, reach)
    # Responses differ in rank: with as many best values added as a rank falls short of `most`, one rank serves all.
    added = torch.arange(most, device=values.device) < most - rank
    ranked = torch.cat([ranked, torch.where(added, -worst, worst).to(values.dtype)], 1)
    top = ranked.topk(most, dim=1, largest=largest, sorted=False).values
    return top.amin(1, keepdim=True) if largest else top.amax(1, keepdim=True)


def turn_cut(values: Tensor, member: Tensor, fraction: float, turn: Tensor, *, largest: bool) -> Tensor:
    """`rank_cut` within each turn of each response, by sorting; nothing is read back to the host.

    Args:
        values, member, fraction: as for `rank_cut`.
        turn: (B, T) int, the turn of every token. A turn's tokens need not stand together.

    Returns:
        (B, T): at every member its turn's value; elsewhere an infinity that excludes nothing.
    """
    exact = as_written(fraction)
    # By turn, members alone (the others are the turn 0, which comes first), and within a turn the best first.
    order = values.argsort(dim=1, descending=largest, stable=True)
    number = (turn.to(torch.int64) + 1) * member
    order = order.gather(1, number.gather(1, order).argsort(dim=1, stable=True))
    number = number.gather(1, order)
    place = torch.arange(values.shape[1], device=values.device).expand_as(number)
    begins = indicator(torch.ne, number, number.roll(1, 1))
    begins[:, :1] = 1
    start = (place * begins).cummax(1).values
    ends = indicator(torch.ne, number, number.roll(-1, 1))
    ends[:, -1:] = 1
    last = values.shape[1] - 1
    end = last - ((last - place) * ends).flip(1).cummax(1).values.flip(1)
    rank = ((end - start + 1) * exact.numerator // exact.denominator).clamp(min=1)
    cut = values.gather(1, order).gather(1, start + rank - 1)
    cut = torch.empty_like(cut).scatter_(1, order, cut)
    return cut.masked_fill_(~member.view(torch.bool), -torch.inf if largest else torch.inf)


@lru_cache
def as_written(fraction: float) -> Fraction:
    """The decimal; with a denominator that int64 can multiply by the tokens of any batch."""
    return Fraction(str(fraction)).limit_denominator(10**9)
