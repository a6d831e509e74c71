"""The objectives HTPO is compared with: tables of one cell, and the 80/20 rule's of two."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from htpo.objectives import rules
from htpo.objectives.adaptive_clip import AdaptiveClip
from htpo.objectives.aggregation import fixed_length_mean, sequence_mean, token_mean
from htpo.objectives.axes import Axis, Entropy
from htpo.objectives.covariance import Covariance, CovarianceBand
from htpo.objectives.options import check_choice, check_clipping, check_fraction
from htpo.objectives.registry import register_objective
from htpo.objectives.table import Cell, TableObjective

NO_SAMPLING: Mapping[str, bool] = {}
DAPO_SAMPLING = {"dynamic_sampling": True, "overlong_shaping": True}


@register_objective(
    summary="REINFORCE makes every token of a right answer more likely and of a wrong one less likely.",
)
def reinforce() -> TableObjective:
    """REINFORCE (Williams, 1992) on group-relative advantages, token mean: A log pi, no ratio and no clip.

    Differs from `ppo` in that samples of an older policy are taken as if they were the current one's.
    """
    return _one_cell("reinforce", rules.reinforce, token_mean)


@register_objective(
    summary="PPO learns from every token alike, within a range around the policy that wrote the answers.",
)
def ppo(*, clip_low: float = 0.2, clip_high: float = 0.2, dual_clip: float | None = None) -> TableObjective:
    """PPO's clipped surrogate (1707.06347) on group-relative advantages (no critic), token mean over the batch.

    Args:
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _one_cell("ppo", rules.ppo, token_mean, clip=(clip_low, clip_high, dual_clip))


@register_objective(
    summary="GRPO learns from every token of an answer alike; every answer counts the same, however long.",
)
def grpo(*, clip_low: float = 0.2, clip_high: float = 0.2, dual_clip: float | None = None) -> TableObjective:
    """GRPO (2402.03300): PPO's clip, mean over responses of each response's token mean; no dynamic sampling.

    Args:
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _one_cell("grpo", rules.ppo, sequence_mean, clip=(clip_low, clip_high, dual_clip))


@register_objective(
    summary="Dr. GRPO is GRPO without its two normalisations, by answer length and by the spread of the rewards.",
)
def dr_grpo(*, clip_low: float = 0.2, clip_high: float = 0.2) -> TableObjective:
    """Dr. GRPO (2503.20783): `grpo` without its two biases, the division by length and by the standard deviation.

    Args:
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high.
    """
    clip = (clip_low, clip_high, None)
    return _one_cell("dr_grpo", rules.ppo, fixed_length_mean, clip=clip, scale_rewards="none")


@register_objective(
    summary="DAPO learns from every token alike. It leaves more room upwards than downwards, draws new problems "
    "in place of those that are always or never solved, and punishes answers near the length limit.",
)
def dapo(*, clip_low: float = 0.2, clip_high: float = 0.28, dual_clip: float | None = 10.0) -> TableObjective:
    """DAPO (2503.14476): clip-higher, token mean over the batch, dynamic sampling, soft overlong punishment.

    Args:
        clip_low: e_lo, the ratio is clipped below 1 - clip_low.
        clip_high: e_hi, the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _one_cell("dapo", rules.ppo, token_mean, clip=(clip_low, clip_high, dual_clip), sampling=DAPO_SAMPLING)


@register_objective(
    summary="GSPO judges how far the policy has moved by whole answers instead of tokens.",
)
def gspo(*, clip_low: float = 3e-4, clip_high: float = 4e-4) -> TableObjective:
    """GSPO (2507.18071): `grpo` with one ratio per response, the geometric mean of its tokens' ratios.

    Args:
        clip_low: the response's ratio is clipped below 1 - clip_low.
        clip_high: the response's ratio is clipped above 1 + clip_high.
    """
    return _one_cell("gspo", rules.ppo, sequence_mean, clip=(clip_low, clip_high, None), ratio_level="response")


@register_objective(
    summary="SAPO fades tokens out softly, the further the policy has moved on them.",
)
def sapo(*, tau_positive: float = 1.0, tau_negative: float = 1.05) -> TableObjective:
    """SAPO (2511.20347): `grpo` with a soft gate around r = 1 where the clip stood.

    Args:
        tau_positive: temperature of the gate where A > 0.
        tau_negative: temperature of the gate elsewhere; the larger, the narrower the gate.
    """
    return _one_cell("sapo", rules.sapo, sequence_mean, tau_positive=tau_positive, tau_negative=tau_negative)


@register_objective(
    summary="CISPO limits the weight of a token but never ignores one.",
)
def cispo(*, clip_high: float = 4.0) -> TableObjective:
    """CISPO (2506.13585): REINFORCE with the truncated ratio as its weight, token mean, DAPO's sampling and shaping.

    Differs from `dapo` in that no token loses its gradient.

    Args:
        clip_high: the weight is at most 1 + clip_high.
    """
    return _one_cell("cispo", rules.cispo, token_mean, sampling=DAPO_SAMPLING, clip_high=clip_high)


@register_objective(
    summary="BAPO sets the room for each token anew at every update, so that right answers keep their say.",
)
def bapo(
    *,
    target: float = 0.4,
    low: float = 0.6,
    low_end: float = 0.9,
    low_step: float = 0.02,
    high: float = 1.2,
    high_end: float = 3.0,
    high_step: float = 0.05,
) -> TableObjective:
    """BAPO (2510.18927, algorithm 1): `grpo` by token mean with a clip range that widens with every batch's need.

    The order of the paper, the upper bound first; its authors' code moves the lower one first.

    Args:
        target: share of sum |min(r A, clip(r) A)| that tokens with A > 0 should give, rho_0.
        low, low_end, low_step: where the lower bound of the ratio starts, may end, and moves by.
        high, high_end, high_step: where the upper bound of the ratio starts, may end, and moves by.
    """
    adaptive = AdaptiveClip(target, low, low_end, low_step, high, high_end, high_step)
    objective = _one_cell("bapo", rules.ppo, token_mean, clip=(1 - low, high - 1, None))
    return replace(objective, adaptive_clip=adaptive)


@register_objective(
    summary="The 80/20 rule learns only from the fifth of the tokens at which the policy is least sure.",
)
def entropy_mask(
    *,
    fraction: float = 0.2,
    entropy_scope: str = "batch",
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = 10.0,
) -> TableObjective:
    """The 80/20 rule (2506.01939): `dapo` on the top `fraction` of tokens by entropy, nothing on the others.

    Args:
        fraction: share of tokens that are learnt from.
        entropy_scope: "batch" (the paper's) takes the quantile over all policy tokens, "response" within each response.
        clip_low: e_lo, the ratio is clipped below 1 - clip_low.
        clip_high: e_hi, the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    check_clipping(clip_low, clip_high, dual_clip)
    check_fraction("fraction", fraction)
    check_choice("entropy_scope", entropy_scope, ("response", "batch"))
    return TableObjective(
        name="entropy_mask",
        axes=(Entropy(fraction, entropy_scope),),
        table={("low",): Cell(rules.zero), ("high",): Cell(rules.ppo)},
        aggregate=token_mean,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
        **DAPO_SAMPLING,
    )


@register_objective(
    summary="Clip-Cov leaves out a few of the tokens that would make the policy surer fastest.",
)
def clip_cov(*, share: float = 2e-4, low: float = 1.0, high: float = 5.0) -> TableObjective:
    """Clip-Cov (2505.22617, eq. 12 and 13): r A without a clip, and nothing at a few tokens of high covariance.

    Differs from `dapo` in what is kept from growing: not the ratio but the tokens that drive entropy down.

    Args:
        share: how many tokens are detached, of all policy tokens of the batch.
        low, high: the band of (log_prob - mean) (A - mean) among which they are drawn.
    """
    axis = CovarianceBand(share, low, high)
    table = {("usual",): Cell(rules.importance), ("drawn",): Cell(rules.zero)}
    return _by_covariance("clip_cov", axis, table)


@register_objective(
    summary="KL-Cov holds back the tokens that would make the policy surer fastest.",
)
def kl_cov(*, share: float = 2e-3, coefficient: float = 1.0) -> TableObjective:
    """KL-Cov (2505.22617, eq. 14 and 15): r A without a clip, and a KL penalty on the tokens of highest covariance.

    Args:
        share: share of the batch's policy tokens that are penalised (the paper: 2e-3 at 7 B parameters, 2e-4 at 32 B).
        coefficient: of the penalty, |log r|.
    """
    options = {"coefficient": coefficient}
    penalised = Cell(rules.find_rule("kl_penalised", options), options=tuple(options.items()))
    table = {("usual",): Cell(rules.importance), ("covarying",): penalised}
    return _by_covariance("kl_cov", Covariance(share), table)


def _by_covariance(name: str, axis: Axis, table: Mapping[tuple[str, ...], Cell]) -> TableObjective:
    """The clip range is that against which clip shares are counted; these methods have none."""
    return TableObjective(
        name=name,
        axes=(axis,),
        table=table,
        aggregate=token_mean,
        clip_low=0.2,
        clip_high=0.2,
        dual_clip=None,
        dynamic_sampling=True,
    )


def _one_cell(
    name: str,
    rule: rules.Rule,
    aggregate: Callable,
    *,
    clip: tuple[float, float, float | None] = (0.2, 0.2, None),
    ratio_level: str = "token",
    scale_rewards: str = "group",
    sampling: Mapping[str, bool] = NO_SAMPLING,
    **options: float,
) -> TableObjective:
    """`clip` is also the range against which the clip shares of rules without a clip are counted."""
    check_clipping(*clip)
    rules.find_rule(rule.__name__, options)
    return TableObjective(
        name=name,
        axes=(),
        table={(): Cell(rule, options=tuple(options.items()))},
        aggregate=aggregate,
        clip_low=clip[0],
        clip_high=clip[1],
        dual_clip=clip[2],
        ratio_level=ratio_level,
        scale_rewards=scale_rewards,
        **sampling,
    )
