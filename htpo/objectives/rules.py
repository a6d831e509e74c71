"""Token rules: what one cell of the table optimises.

Every rule returns (coefficient, weight), both new (B, T) tensors without gradient, of an objective whose value is
J = A * coefficient and whose gradient is weight * A * grad log_prob. That is the paper's decomposition of the policy
gradient (appendix); it makes a stop-gradient term such as c * pi/sg[pi] A (coefficient c, weight c) and a clipped one
(coefficient c, weight 0) plain data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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
    below: Tensor  # (B, T) bool: r < low
    above: Tensor  # (B, T) bool: r > high

    @classmethod
    def of(cls, log_ratio: Tensor, advantage: Tensor, clip_low: float, clip_high: float) -> "Ratio":
        value = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp_()
        slope = value * (log_ratio.abs() <= LOG_RATIO_LIMIT)
        low, high = 1 - clip_low, 1 + clip_high
        return cls(value, slope, advantage, low, high, value < low, value > high)

    @property
    def clipped(self) -> tuple[Tensor, Tensor]:
        """(B, T) bool masks of tokens at which PPO's clip binds: below the range, above the range."""
        return self.below & (self.advantage < 0), self.above & (self.advantage > 0)


def ppo(ratio: Ratio) -> Terms:
    """min(r A, clip(r) A): outside the range, on the side that pays, constant (1707.06347; two bounds: 2503.14476)."""
    at_least = torch.zeros_like(ratio.advantage).masked_fill_(ratio.advantage < 0, ratio.low)
    at_most = torch.full_like(ratio.advantage, torch.inf).masked_fill_(ratio.advantage > 0, ratio.high)
    coefficient = ratio.value.clamp(at_least, at_most)
    return coefficient, ratio.slope * (coefficient == ratio.value)


def encourage_forking(ratio: Ratio) -> Terms:
    """G2: r > high -> high * pi/sg[pi] A; r < low -> (1/sg[r]) * pi/sg[pi] A; else r A (the paper's table)."""
    coefficient = torch.where(ratio.below, ratio.value.reciprocal(), ratio.value.clamp(max=ratio.high))
    return coefficient, coefficient.clone()


def penalise_forking(ratio: Ratio) -> Terms:
    """G4 and G8: r < low -> low * pi/sg[pi] A; else r A (the paper's table)."""
    return ratio.value.clamp(min=ratio.low), torch.where(ratio.below, ratio.low, ratio.slope)


def encourage_forking_release(ratio: Ratio) -> Terms:
    """`encourage_forking` as the authors' release computes it: both clipped branches with the sign flipped."""
    coefficient, weight = encourage_forking(ratio)
    flip = 1 - 2 * (ratio.below | ratio.above).to(coefficient.dtype)
    return coefficient.mul_(flip), weight.mul_(flip)


def penalise_forking_release(ratio: Ratio) -> Terms:
    """`penalise_forking` as the authors' release computes it: the clipped branch with the sign flipped."""
    coefficient, weight = penalise_forking(ratio)
    flip = 1 - 2 * ratio.below.to(coefficient.dtype)
    return coefficient.mul_(flip), weight.mul_(flip)
