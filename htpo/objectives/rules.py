"""Token rules: what one cell of the table optimises.

Every rule returns (coefficient, weight), both new (B, T) tensors without gradient, of an objective whose value is
J = A * coefficient and whose gradient is weight * A * grad log_prob. That is the paper's decomposition of the policy
gradient (appendix); it makes a stop-gradient term such as c * pi/sg[pi] A (coefficient c, weight c) and a clipped one
(coefficient c, weight 0) plain data.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, overload

import torch
from torch import Tensor

from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import indicator
from htpo.objectives.once import once
from htpo.objectives.options import check_number
from htpo.objectives.registration import register_once

LOG_RATIO_LIMIT = 20.0

Terms = tuple[Tensor, Tensor]
Rule = Callable[..., Terms]  # (ratio, *, options of the rule) -> (coefficient, weight)
R = TypeVar("R", bound=Rule)

RULES: dict[str, Rule] = {}
RULES_IN_WORDS: dict[str, str] = {}  # what a rule does, for readers who do not know the method
WITHOUT_RANGE: set[str] = set()  # rules that read neither end of the clip range


@overload
def register_rule(rule: R) -> R: ...
@overload
def register_rule(*, words: str, clips: bool = True) -> Callable[[R], R]: ...
def register_rule(rule: R | None = None, *, words: str = "", clips: bool = True) -> R | Callable[[R], R]:
    """Make a rule known under its function's name, to tables in configurations too.

    Args:
        words: what it does, in plain words, for the run's report.
        clips: whether it reads `Ratio.low` or `Ratio.high`; a cell's own range is refused for a rule that does not.

    Raises:
        ValueError: another rule has that name.
    """

    def register(rule: R) -> R:
        register_once(RULES, "rule", rule.__name__, rule)
        RULES_IN_WORDS[rule.__name__] = words
        if not clips:
            WITHOUT_RANGE.add(rule.__name__)
        return rule

    return register if rule is None else register(rule)


def find_rule(name: object, options: Mapping[str, object]) -> Rule:
    """The rule of that name.

    Raises:
        ValueError: there is none, or it has no such option; the message names it and what there is.
    """
    known = rule_options(name)
    assert isinstance(name, str)
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"rule {name!r} has no option {option!r}, it has {', '.join(known) or 'none'}")
        most = 1 if option == "clip_low" else math.inf
        check_number(option, value, 0, most, includes_low=False, includes_high=False)
    return RULES[name]


def rule_options(name: object) -> list[str]:
    """The options of a rule. Raises ValueError where there is none of that name."""
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(f"unknown rule {name!r}, there are {', '.join(RULES)}")
    return [p.name for p in inspect.signature(RULES[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]


@dataclass(frozen=True)
class Ratio:
    """The importance ratio r = exp(clamp(log_prob - old_log_prob, -20, 20)) and the range it is clipped to."""

    batch: TokenBatch
    log_ratio: Tensor  # (B, T), 0 outside the mask
    advantage: Tensor  # (B, 1) or (B, T), finite
    low: float | Tensor  # 1 - clip_low; (1, 1) where the range follows the batch, (B, T) where it differs by cell
    high: float | Tensor  # 1 + clip_high

    @once
    def value(self) -> Tensor:
        """(B, T): r."""
        return self.log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp_()

    @once
    def slope(self) -> Tensor:
        """(B, T): dr / dlog_prob, that is r inside the clamp and 0 outside."""
        return indicator(torch.le, self.log_ratio.abs(), LOG_RATIO_LIMIT).mul_(self.value)

    @once
    def log_prob(self) -> Tensor:
        """(B, T): of the current policy, 0 outside the mask."""
        return torch.where(self.batch.mask, self.batch.log_prob.detach().to(self.log_ratio.dtype), 0.0)

    def per_response(self) -> "Ratio":
        """The geometric mean of a response's ratios in place of each of them (GSPO, 2507.18071, eq. 7)."""
        length = self.batch.mask.sum(1, keepdim=True).clamp(min=1)
        mean = self.log_ratio.sum(1, keepdim=True) / length
        return replace(self, log_ratio=mean.expand_as(self.log_ratio))

    @once
    def below(self) -> Tensor:
        """(B, T): 1 where r < low, else 0."""
        return indicator(torch.lt, self.value, self.low)

    @once
    def above(self) -> Tensor:
        """(B, T): 1 where r > high, else 0."""
        return indicator(torch.gt, self.value, self.high)

    @property
    def clipped(self) -> tuple[Tensor, Tensor]:
        """(B, T) each: 1 at tokens where PPO's clip binds, below the range and above it."""
        negative, positive = (indicator(compare, self.advantage, 0) for compare in (torch.lt, torch.gt))
        return self.below * negative, self.above * positive


@register_rule(words="learn, as long as the token's probability stays within the clip range")
def ppo(ratio: Ratio) -> Terms:
    """min(r A, clip(r) A): outside the range, on the side that pays, constant (1707.06347; two bounds: 2503.14476)."""
    at_least = indicator(torch.lt, ratio.advantage, 0) * ratio.low
    at_most = ratio.high / indicator(torch.gt, ratio.advantage, 0)  # infinity where A <= 0
    coefficient = ratio.value.clamp(at_least, at_most)
    return coefficient, indicator(torch.eq, coefficient, ratio.value).mul_(ratio.slope)


@register_rule(words="learn, also beyond the clip range: go on exploring at forks that led to right answers")
def encourage_forking(ratio: Ratio) -> Terms:
    """G2: r > high -> high * pi/sg[pi] A; r < low -> (1/sg[r]) * pi/sg[pi] A; else r A (the paper's table)."""
    coefficient = ratio.value.clamp(max=ratio.high).lerp_(ratio.value.reciprocal(), ratio.below)
    return coefficient, coefficient.clone()


@register_rule(words="learn, also below the clip range: go on leaving forks that led to wrong answers")
def penalise_forking(ratio: Ratio) -> Terms:
    """G4 and G8: r < low -> low * pi/sg[pi] A; else r A (the paper's table)."""
    coefficient = ratio.value.clamp(min=ratio.low)
    return coefficient, torch.lerp(ratio.slope, coefficient, ratio.below)


@register_rule(words="as encourage forking, with the authors' code's flipped sign beyond the range")
def encourage_forking_release(ratio: Ratio) -> Terms:
    """`encourage_forking` as the authors' release computes it: both clipped branches with the sign flipped."""
    coefficient, weight = encourage_forking(ratio)
    flip = 1 - 2 * (ratio.below + ratio.above)
    return coefficient.mul_(flip), weight.mul_(flip)


@register_rule(words="as penalise forking, with the authors' code's flipped sign below the range")
def penalise_forking_release(ratio: Ratio) -> Terms:
    """`penalise_forking` as the authors' release computes it: the clipped branch with the sign flipped."""
    coefficient, weight = penalise_forking(ratio)
    flip = 1 - 2 * ratio.below
    return coefficient.mul_(flip), weight.mul_(flip)


@register_rule(words="nothing is learnt from these tokens", clips=False)
def zero(ratio: Ratio) -> Terms:
    """0, and no gradient."""
    return torch.zeros_like(ratio.value), torch.zeros_like(ratio.value)


@register_rule(words="learn, without any weight", clips=False)
def reinforce(ratio: Ratio) -> Terms:
    """A log pi: the likelihood-ratio gradient, without importance weight (Williams, 1992)."""
    return ratio.log_prob.clone(), torch.ones_like(ratio.value)


@register_rule(words="learn, as long as the whole answer stays within the clip range", clips=False)
def gspo(ratio: Ratio, *, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Terms:
    """PPO's clip on the response's ratio s, gradient s A grad log pi at each token (GSPO, 2507.18071, eq. 5)."""
    return ppo(replace(ratio.per_response(), low=1 - clip_low, high=1 + clip_high))


@register_rule(words="learn, with a weight that is cut at the limit", clips=False)
def cispo(ratio: Ratio, *, clip_high: float = 4.0) -> Terms:
    """sg[min(r, 1 + clip_high)] A log pi: the weight is truncated, no token loses its gradient (CISPO, 2506.13585)."""
    weight = ratio.value.clamp(max=1 + clip_high)
    return weight * ratio.log_prob, weight


@register_rule(words="learn, the less the further the policy has moved", clips=False)
def sapo(ratio: Ratio, *, tau_positive: float = 1.0, tau_negative: float = 1.05) -> Terms:
    """4 / tau sigmoid(tau (r - 1)) A: a soft gate with a temperature per sign of A (SAPO, 2511.20347, eq. 5 and 6)."""
    positive = indicator(torch.gt, ratio.advantage, 0)
    tau = tau_negative + (tau_positive - tau_negative) * positive
    x = (ratio.value - 1) * tau
    gate = torch.sigmoid(x)
    return 4 / tau * gate, 4 * gate * torch.sigmoid(-x) * ratio.slope  # 1 - gate would be 0 in float32 from x = 17 on


@register_rule(words="learn, weighted by how much likelier the token has become; no clip", clips=False)
def importance(ratio: Ratio) -> Terms:
    """r A, without any clip."""
    return ratio.value.clone(), ratio.slope.clone()


@register_rule(words="learn, but pay for moving", clips=False)
def kl_penalised(ratio: Ratio, *, coefficient: float = 1.0) -> Terms:
    """r A - coefficient |log r|: the penalty of KL-Cov, |log r| as its authors estimate the divergence (2505.22617).

    A token with A = 0 feels no penalty, for terms are multiples of A.
    """
    apart = indicator(torch.ne, ratio.advantage, 0)
    per_advantage = coefficient * apart / (ratio.advantage + (1 - apart))
    penalty = ratio.log_ratio.abs() * per_advantage
    return ratio.value - penalty, ratio.slope - ratio.log_ratio.sign() * per_advantage
