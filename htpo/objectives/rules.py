"""Token rules: what one cell of the table optimises.

Every rule returns (coefficient, weight), both new (B, T) tensors without gradient, of an objective whose value is
J = A * coefficient and whose gradient is weight * A * grad log_prob. That is the paper's decomposition of the policy
gradient (appendix); it makes a stop-gradient term such as c * pi/sg[pi] A (coefficient c, weight c) and a clipped one
(coefficient c, weight 0) plain data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from htpo.objectives.indicators import indicator

LOG_RATIO_LIMIT = 20.0

Terms = tuple[Tensor, Tensor]
Rule = Callable[["Ratio"], Terms]


@dataclass(frozen=True)
class Ratio:
    """The importance ratio r = exp(clamp(log_prob - old_log_prob, -20, 20)) and the range it is clipped to."""

    value: Tensor  # (B, T)
    slope: Tensor  # (B, T): dr / dlog_prob, that is r inside the clamp and 0 outside
    advantage: Tensor  # (B, 1) or (B, T)
    low: float  # 1 - clip_low
    high: float  # 1 + clip_high

    @classmethod
    def of(cls, log_ratio: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> "Ratio":
        value = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp_()
        slope = indicator(torch.le, log_ratio.abs(), LOG_RATIO_LIMIT).mul_(value)
        return cls(value, slope, advantage, 1 - clip_low, 1 + clip_high)

    @cached_property
    def below(self) -> Tensor:
        """(B, T): 1 where r < low, else 0."""
        return indicator(torch.lt, self.value, self.low)

    @cached_property
    def above(self) -> Tensor:
        """(B, T): 1 where r > high, else 0."""
        return indicator(torch.gt, self.value, self.high)

    @property
    def clipped(self) -> tuple[Tensor, Tensor]:
        """(B, T) each: 1 at tokens where PPO's clip binds, below the range and above it."""
        negative, positive = (indicator(compare, self.advantage, 0) for compare in (torch.lt, torch.gt))
        return self.below * negative, self.above * positive


def ppo(ratio: Ratio) -> Terms:
    """min(r A, clip(r) A): outside the range, on the side that pays, constant (1707.06347; two bounds: 2503.14476)."""
    at_least = torch.zeros_like(ratio.advantage).masked_fill_(ratio.advantage < 0, ratio.low)
    at_most = torch.full_like(ratio.advantage, torch.inf).masked_fill_(ratio.advantage > 0, ratio.high)
    coefficient = ratio.value.clamp(at_least, at_most)
    return coefficient, indicator(torch.eq, coefficient, ratio.value).mul_(ratio.slope)


def encourage_forking(ratio: Ratio) -> Terms:
    """G2: r > high -> high * pi/sg[pi] A; r < low -> (1/sg[r]) * pi/sg[pi] A; else r A (the paper's table)."""
    coefficient = ratio.value.clamp(max=ratio.high).lerp_(ratio.value.reciprocal(), ratio.below)
    return coefficient, coefficient.clone()


def penalise_forking(ratio: Ratio) -> Terms:
    """G4 and G8: r < low -> low * pi/sg[pi] A; else r A (the paper's table)."""
    coefficient = ratio.value.clamp(min=ratio.low)
    return coefficient, torch.lerp(ratio.slope, coefficient, ratio.below)


def encourage_forking_release(ratio: Ratio) -> Terms:
    """`encourage_forking` as the authors' release computes it: both clipped branches with the sign flipped."""
    coefficient, weight = encourage_forking(ratio)
    flip = 1 - 2 * (ratio.below + ratio.above)
    return coefficient.mul_(flip), weight.mul_(flip)


def penalise_forking_release(ratio: Ratio) -> Terms:
    """`penalise_forking` as the authors' release computes it: the clipped branch with the sign flipped."""
    coefficient, weight = penalise_forking(ratio)
    flip = 1 - 2 * ratio.below
    return coefficient.mul_(flip), weight.mul_(flip)
