"""Axes by a token's share in the covariance of log-probability and advantage, which drives entropy (2505.22617)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from htpo.objectives.axes import Cuts, rank_cut, register_axis
from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import from_mask, indicator
from htpo.objectives.options import check_fraction


def covariance(batch: TokenBatch, cuts: Cuts) -> Tensor:
    """(B, T): (log_prob - mean log_prob) (A - mean A), means over the policy tokens of the batch; 0 outside the mask.

    The means are read from `cuts`, or computed and left there (2505.22617, eq. 10).
    """
    tokens = batch.mask.sum().clamp(min=1)
    parts = {"log_prob": batch.log_prob.detach().to(batch.compute_dtype), "advantage": batch.advantage_column()}
    product: Tensor | float = 1.0
    for name, x in parts.items():
        x = torch.where(batch.mask, x, 0.0)
        if f"mean {name}" not in cuts:
            cuts[f"mean {name}"] = (x.sum() / tokens).reshape(1, 1)
        product = product * (x - cuts[f"mean {name}"])
    return torch.where(batch.mask, product, 0.0)


@register_axis("covariance")
@dataclass(frozen=True)
class Covariance:
    """Covarying for the top `share` of the batch's policy tokens by covariance, ties included (KL-Cov's tokens)."""

    share: float = 2e-3
    scope = "batch"
    levels = ("usual", "covarying")

    def __post_init__(self) -> None:
        check_fraction("share of axis covariance", self.share)

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        value = covariance(batch, cuts)
        if "covariance" not in cuts:
            member = from_mask(batch.mask, torch.int8)
            cuts["covariance"] = rank_cut(value, member, self.share, "batch", largest=True)
        return indicator(torch.ge, value, cuts["covariance"]).to(torch.int8)


@register_axis("covariance_band")
@dataclass(frozen=True)
class CovarianceBand:
    """Drawn for tokens picked among those with covariance between `low` and `high` (Clip-Cov's tokens).

    As many as `share` of all policy tokens of the batch, at least one, at most all that lie in the band. The paper
    draws them at random; here a token's place in the draw follows from the digits of its old log-probability, so that
    a batch cut into micro-batches and a resumed run draw the same.
    """

    share: float = 2e-4
    low: float = 1.0
    high: float = 5.0
    scope = "batch"
    levels = ("usual", "drawn")

    def __post_init__(self) -> None:
        check_fraction("share of axis covariance_band", self.share)
        if not self.low < self.high:
            raise ValueError(f"low is {self.low!r}, needs a number below high ({self.high!r})")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        value = covariance(batch, cuts)
        above, below = indicator(torch.gt, value, self.low), indicator(torch.lt, value, self.high)
        member = (above * below).to(torch.int8) * from_mask(batch.mask, torch.int8)
        lot = draw(batch)
        if "covariance_band" not in cuts:
            everyone = from_mask(batch.mask, torch.int8)
            cuts["covariance_band"] = rank_cut(lot, member, self.share, "batch", largest=True, among=everyone)
        return member * indicator(torch.ge, lot, cuts["covariance_band"]).to(torch.int8)


def draw(batch: TokenBatch) -> Tensor:
    """(B, T) in [0, 1): a number that looks random, from the old log-probability; 0 outside the mask."""
    old = torch.where(batch.mask, batch.old_log_prob.detach().to(batch.compute_dtype), 0.0)
    return (old * (1e4 * math.pi)).frac().abs()
