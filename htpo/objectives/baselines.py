"""The objectives HTPO is compared with, each a table of one cell."""

from htpo.objectives.aggregation import sequence_mean, token_mean
from htpo.objectives.options import check_clipping
from htpo.objectives.rules import ppo as clipped_surrogate
from htpo.objectives.table import Cell, TableObjective


def dapo(*, clip_low: float = 0.2, clip_high: float = 0.28, dual_clip: float | None = 10.0) -> TableObjective:
    """DAPO (2503.14476): clip-higher, token mean over the batch, dynamic sampling, soft overlong punishment.

    Args:
        clip_low: e_lo, the ratio is clipped below 1 - clip_low.
        clip_high: e_hi, the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _unpartitioned("dapo", token_mean, clip_low, clip_high, dual_clip, as_published=True)


def grpo(*, clip_low: float = 0.2, clip_high: float = 0.2, dual_clip: float | None = None) -> TableObjective:
    """GRPO (2402.03300): PPO's clip, mean over responses of each response's token mean; no dynamic sampling.

    Args:
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _unpartitioned("grpo", sequence_mean, clip_low, clip_high, dual_clip)


def ppo(*, clip_low: float = 0.2, clip_high: float = 0.2, dual_clip: float | None = None) -> TableObjective:
    """PPO's clipped surrogate (1707.06347) on group-relative advantages (no critic), token mean over the batch.

    Args:
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high.
        dual_clip: c, J is at least c * A where A < 0; None switches it off.
    """
    return _unpartitioned("ppo", token_mean, clip_low, clip_high, dual_clip)


def _unpartitioned(name, aggregate, clip_low, clip_high, dual_clip, as_published=False) -> TableObjective:
    check_clipping(clip_low, clip_high, dual_clip)
    return TableObjective(
        name=name,
        axes=(),
        table={(): Cell(clipped_surrogate)},
        aggregate=aggregate,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
        dynamic_sampling=as_published,
        overlong_shaping=as_published,
    )
