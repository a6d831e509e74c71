"""Axes by a token's share in the covariance of log-probability and advantage, which drives entropy (2505.22617), and
the two objectives built on them."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from htpo.objectives import rules
from htpo.objectives.aggregation import token_mean
from htpo.objectives.axes import Cuts, register_axis, threshold
from htpo.objectives.batch import TokenBatch
from htpo.objectives.draws import token_lots
from htpo.objectives.indicators import from_mask, indicator
from htpo.objectives.options import check_fraction, check_number
from htpo.objectives.quantiles import as_written, rank_cut
from htpo.objectives.registry import register_objective
from htpo.objectives.table import Cell, TableObjective


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

        def take() -> Tensor:
            return rank_cut(value, from_mask(batch.mask, torch.int8), self.share, "batch", largest=True)

        return indicator(torch.ge, value, threshold(cuts, f"covariance {self.share}", "batch", take)).to(torch.int8)


@register_axis("covariance_band")
@dataclass(frozen=True)
class CovarianceBand:
    """Drawn for tokens picked among those with covariance between `low` and `high` (Clip-Cov's tokens).

    max(floor(share * policy tokens of the batch), 1) of them, or all that lie in the band if these are fewer; which, is
    drawn by `draws.token_lots`.
    """

    share: float = 2e-4
    low: float = 1.0
    high: float = 5.0
    scope = "batch"
    levels = ("usual", "drawn")

    def __post_init__(self) -> None:
        check_fraction("share of axis covariance_band", self.share)
        for name, bound in (("low", self.low), ("high", self.high)):
            of_axis = f"{name} of axis covariance_band"
            check_number(of_axis, bound, -math.inf, math.inf, includes_low=False, includes_high=False)
        if not self.low < self.high:
            raise ValueError(f"low of axis covariance_band is {self.low!r}, needs a number below high ({self.high!r})")

    def level(self, batch: TokenBatch, cuts: Cuts) -> Tensor:
        value = covariance(batch, cuts)
        above, below = indicator(torch.gt, value, self.low), indicator(torch.lt, value, self.high)
        member = (above * below).to(torch.int8) * from_mask(batch.mask, torch.int8)
        lot = token_lots(batch)

        def take() -> Tensor:
            return _lowest_winner(lot, member, batch.mask.sum(), self.share)

        cut = threshold(cuts, f"covariance_band {self.share} {self.low} {self.high}", "batch", take)
        return member * indicator(torch.ge, lot, cut).to(torch.int8)


def _lowest_winner(lot: Tensor, member: Tensor, tokens: Tensor, share: float) -> Tensor:
    """(1, 1) int64: the k-th largest number of a member, k = max(floor(share * tokens), 1); the least below k members.

    As `quantiles.rank_cut`, for integers, many of which would be the same as floats.
    """
    least = torch.iinfo(lot.dtype).min
    ranked = torch.where(member.view(torch.bool), lot, least).reshape(-1)
    ranked = torch.nn.functional.pad(ranked, (0, 1), value=least)  # where there is no token at all
    exact = as_written(share)
    most = max(lot.numel() * exact.numerator // exact.denominator, 1)
    rank = (tokens * exact.numerator // exact.denominator).clamp(min=1)
    return ranked.topk(most).values.gather(0, (rank - 1).reshape(1)).reshape(1, 1)


@register_objective(
    source="Clip-Cov, 2505.22617, eq. 12 and 13",
    equation="J = r A; 0 at `share` of all tokens, drawn where low < (log pi - mean) (A - mean) < high",
    differs={
        "dapo": "The ratio is not clipped. A few of the tokens that drive entropy down are left out instead. "
        "Answers near the length limit are not punished.",
        "kl_cov": "Tokens of high covariance are left out, where `kl_cov` makes them pay for moving.",
    },
)
def clip_cov(
    *,
    share: Annotated[float, "how many tokens are left out, of all tokens of the update"] = 2e-4,
    low: Annotated[float, "lower end of the band of covariance from which they are drawn"] = 1.0,
    high: Annotated[float, "its upper end"] = 5.0,
) -> TableObjective:
    """Clip-Cov leaves out a few of the tokens that would make the policy surer fastest.

    It draws exactly max(floor(share x tokens of the update), 1) of them, as its authors do, or all that lie in the band
    if these are fewer. Which ones follows from a hash (SplitMix64) of the run's seed, the update, the response's row
    and the token's place, so that a batch cut into micro-batches or over processes, and a resumed run, draw the same.
    """
    return TableObjective(
        name="clip_cov",
        axes=(CovarianceBand(share, low, high),),
        table={("usual",): Cell(rules.importance), ("drawn",): Cell(rules.zero)},
        aggregate=token_mean,
        dynamic_sampling=True,
    )


@register_objective(
    source="KL-Cov, 2505.22617, eq. 14 and 15",
    equation="J = r A; r A - coefficient abs(log r) at the `share` of tokens of highest (log pi - mean) (A - mean)",
    differs={
        "dapo": "The ratio is not clipped. The tokens that drive entropy down are held near the policy that "
        "sampled them. Answers near the length limit are not punished.",
        "clip_cov": "Tokens of high covariance are still learnt from, at a price.",
    },
)
def kl_cov(
    *,
    share: Annotated[
        float, "share of the update's tokens that pay (the paper: 2e-3 at 7 B parameters, 2e-4 at 32 B)"
    ] = 2e-3,
    coefficient: Annotated[float, "of the penalty, abs(log r)"] = 1.0,
) -> TableObjective:
    """KL-Cov holds back the tokens that would make the policy surer fastest."""
    return TableObjective(
        name="kl_cov",
        axes=(Covariance(share),),
        table={("usual",): Cell(rules.importance), ("covarying",): Cell.of("kl_penalised", coefficient=coefficient)},
        aggregate=token_mean,
        dynamic_sampling=True,
    )
