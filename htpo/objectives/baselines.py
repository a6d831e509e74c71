"""The objectives HTPO is compared with: one rule for all tokens, and the 80/20 rule's two groups."""

from collections.abc import Callable
from typing import Annotated, Any

from torch import Tensor

from htpo.objectives import rules
from htpo.objectives.adaptive_clip import AdaptiveClip
from htpo.objectives.aggregation import fixed_length_mean, sequence_mean, token_mean
from htpo.objectives.axes import SCOPES, Entropy
from htpo.objectives.options import ClipHigh, ClipLow, DualClip, check_choice, check_clipping, check_fraction
from htpo.objectives.registry import register_objective
from htpo.objectives.table import Cell, TableObjective

CLIPPED = "J = min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)"


@register_objective(
    source="DAPO, 2503.14476",
    equation=f"{CLIPPED}; J = max(J, dual_clip A) where A < 0",
    differs={
        "grpo": "The range is wider above than below, so that unlikely tokens can grow; very negative terms are "
        "bounded (dual clip). Every token counts the same, so that a long answer weighs more than a short one. "
        "Problems that are always or never solved are replaced, and answers near the length limit are punished.",
        "htpo": "`htpo` is `dapo` with other rules for some tokens. All else is the same.",
    },
)
def dapo(*, clip_low: ClipLow = 0.2, clip_high: ClipHigh = 0.28, dual_clip: DualClip = 10.0) -> TableObjective:
    """DAPO learns from every token alike. It leaves more room upwards than downwards, draws new problems in place of
    those that are always or never solved, and punishes answers near the length limit.
    """
    clip = (clip_low, clip_high, dual_clip)
    return _clipped("dapo", token_mean, *clip, dynamic_sampling=True, overlong_shaping=True)


@register_objective(
    source="GRPO, 2402.03300, eq. 3",
    equation=CLIPPED,
    differs={
        "ppo": "Every answer counts the same, however long. With `ppo` every token does.",
        "dr_grpo": "An answer's tokens are divided by its length and its advantage by the spread of the rewards. "
        "`dr_grpo` does neither.",
    },
)
def grpo(*, clip_low: ClipLow = 0.2, clip_high: ClipHigh = 0.2, dual_clip: DualClip = None) -> TableObjective:
    """GRPO learns from every token of an answer alike; every answer counts the same, however long."""
    return _clipped("grpo", sequence_mean, clip_low, clip_high, dual_clip)


@register_objective(
    source="Dr. GRPO, 2503.20783",
    equation=CLIPPED,
    differs={
        "grpo": "`grpo` is mild on long wrong answers, whose punishment is divided by their length, and gives "
        "more weight to problems that are nearly always or nearly never solved, whose rewards hardly vary. Here "
        "the length limit stands in place of the length, and advantages are not divided by the standard "
        "deviation.",
    },
)
def dr_grpo(*, clip_low: ClipLow = 0.2, clip_high: ClipHigh = 0.2) -> TableObjective:
    """Dr. GRPO is GRPO without its two normalisations, by answer length and by the spread of the rewards."""
    return _clipped("dr_grpo", fixed_length_mean, clip_low, clip_high, scale_rewards="none")


@register_objective(
    source="GSPO, 2507.18071, eq. 5 and 7",
    equation="J = min(s A, clip(s, 1 - clip_low, 1 + clip_high) A), s = exp(mean of log r over the answer)",
    differs={
        "grpo": "One ratio for the whole answer stands where `grpo` has one per token, so that an answer is "
        "clipped as a whole or not at all. Such a mean hardly moves, hence the narrow range.",
    },
)
def gspo(*, clip_low: ClipLow = 3e-4, clip_high: ClipHigh = 4e-4) -> TableObjective:
    """GSPO judges how far the policy has moved by whole answers instead of tokens."""
    return _clipped("gspo", sequence_mean, clip_low, clip_high, ratio_level="response")


@register_objective(
    source="SAPO, 2511.20347, eq. 5 and 6",
    equation="J = 4 / tau sigmoid(tau (r - 1)) A, tau = tau_positive where A > 0, else tau_negative",
    differs={
        "grpo": "A soft gate around r = 1 stands where the clip stood: a token's weight falls the further the "
        "policy has moved on it, and never all at once.",
    },
)
def sapo(
    *,
    tau_positive: Annotated[float, "temperature of the gate where A > 0"] = 1.0,
    tau_negative: Annotated[float, "temperature of the gate elsewhere; the larger, the narrower the gate"] = 1.05,
) -> TableObjective:
    """SAPO fades tokens out softly, the further the policy has moved on them."""
    cell = Cell.of("sapo", tau_positive=tau_positive, tau_negative=tau_negative)
    return TableObjective(name="sapo", table={(): cell}, aggregate=sequence_mean)


@register_objective(
    source="CISPO, 2506.13585",
    equation="J = sg[min(r, 1 + clip_high)] A log pi",
    differs={
        "dapo": "No token loses its gradient: beyond the limit the ratio is cut, not the token.",
        "reinforce": "Tokens are weighted by the ratio, up to a limit, to make up for answers of an older policy.",
    },
)
def cispo(*, clip_high: Annotated[float, "the weight is at most 1 + clip_high"] = 4.0) -> TableObjective:
    """CISPO limits the weight of a token but never ignores one."""
    return TableObjective(
        name="cispo",
        table={(): Cell.of("cispo", clip_high=clip_high)},
        aggregate=token_mean,
        dynamic_sampling=True,
        overlong_shaping=True,
    )


@register_objective(
    source="BAPO, 2510.18927, algorithm 1",
    equation="J = min(r A, clip(r, low, high) A), bounds widened until tokens with A > 0 give `target` of sum abs(J)",
    differs={
        "ppo": "The range is not fixed. At every update it is widened until right answers make up their share of "
        "what is learnt, for where they are few, a fixed range takes away what little they teach.",
    },
)
def bapo(
    *,
    target: Annotated[float, "share of sum abs(J) that tokens with A > 0 should give"] = 0.4,
    low: Annotated[float, "where the lower bound of the ratio starts"] = 0.6,
    low_end: Annotated[float, "where the lower bound ends at most"] = 0.9,
    low_step: Annotated[float, "by how much the lower bound moves at a time"] = 0.02,
    high: Annotated[float, "where the upper bound of the ratio starts"] = 1.2,
    high_end: Annotated[float, "where the upper bound ends at most"] = 3.0,
    high_step: Annotated[float, "by how much the upper bound moves at a time"] = 0.05,
) -> TableObjective:
    """BAPO sets the room for each token anew at every update, so that right answers keep their say.

    The upper bound moves first, as in the paper. Its authors' code moves the lower one first.
    """
    adaptive = AdaptiveClip(target, low, low_end, low_step, high, high_end, high_step)
    return _clipped("bapo", token_mean, 1 - low, high - 1, adaptive_clip=adaptive)


@register_objective(
    source="80/20 rule, 2506.01939",
    equation="J of `dapo` at the `fraction` of tokens with the highest entropy; 0 at the others",
    differs={"dapo": "Four of five tokens are not learnt from. All else is the same."},
)
def entropy_mask(
    *,
    fraction: Annotated[float, "share of tokens that are learnt from"] = 0.2,
    entropy_scope: Annotated[
        str,
        '"batch" takes the quantile over all tokens of the update, as in the paper; "response" within '
        'each answer (or episode); "turn" within each turn of an episode',
    ] = "batch",
    clip_low: ClipLow = 0.2,
    clip_high: ClipHigh = 0.28,
    dual_clip: DualClip = 10.0,
) -> TableObjective:
    """The 80/20 rule learns only from the fifth of the tokens at which the policy is least sure."""
    check_clipping(clip_low, clip_high, dual_clip)
    check_fraction("fraction", fraction)
    check_choice("entropy_scope", entropy_scope, SCOPES)
    return TableObjective(
        name="entropy_mask",
        axes=(Entropy(fraction, entropy_scope),),
        table={("low",): Cell(rules.zero), ("high",): Cell(rules.ppo)},
        aggregate=token_mean,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
        dynamic_sampling=True,
        overlong_shaping=True,
    )


@register_objective(
    source="PPO, 1707.06347",
    equation=CLIPPED,
    differs={
        "reinforce": "Tokens are weighted by the ratio, and one that has moved out of the range in the direction "
        "that pays is no longer learnt from.",
        "dapo": "The range is as wide above as below and there is no dual clip. Problems are not replaced, and "
        "answers near the length limit are not punished.",
    },
)
def ppo(*, clip_low: ClipLow = 0.2, clip_high: ClipHigh = 0.2, dual_clip: DualClip = None) -> TableObjective:
    """PPO learns from every token alike, within a range around the policy that wrote the answers.

    There is no critic: advantages are relative to the problem's other answers, as for all objectives here.
    """
    return _clipped("ppo", token_mean, clip_low, clip_high, dual_clip)


@register_objective(
    source="REINFORCE, Williams, 1992",
    equation="J = A log pi",
    differs={
        "ppo": "There is no ratio and no clip: answers of an older policy are taken as if they were the current "
        "one's. With one update per generation they are.",
    },
)
def reinforce() -> TableObjective:
    """REINFORCE makes every token of a right answer more likely and of a wrong one less likely."""
    return TableObjective(name="reinforce", table={(): Cell(rules.reinforce)}, aggregate=token_mean)


def _clipped(
    name: str,
    aggregate: Callable[..., Tensor],
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
    **settings: Any,
) -> TableObjective:
    """PPO's clip for all tokens."""
    return TableObjective(
        name, {(): Cell(rules.ppo)}, aggregate, (), clip_low, clip_high, dual_clip=dual_clip, **settings
    )
