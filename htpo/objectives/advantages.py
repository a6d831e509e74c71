"""Advantages from rewards."""

import torch
from torch import Tensor


def group_relative_advantage(
    reward: Tensor, group_size: int, scale: str = "std", epsilon: float = 1e-6, scored: Tensor | None = None
) -> Tensor:
    """(R - mean of the prompt's group) / (sample std of the group + epsilon): GRPO (2402.03300).

    Args:
        reward: (N,) float, the samples of a prompt contiguous; N a multiple of `group_size`.
        group_size: samples per prompt, at least 2.
        scale: "std" as above, or "none" to leave out the division (Dr. GRPO, 2503.20783).
        epsilon: added to the standard deviation.
        scored: (N,) bool: responses that have a reward; the others count in no mean and have advantage 0, whatever
            stands in `reward`. None: all.

    Returns:
        (N,) float, in the dtype of `reward`; 0 for a group whose rewards are all equal.

    Raises:
        ValueError: `reward` or `scored` is not (N,), N is no multiple of `group_size`, or `scale` is unknown.
    """
    if reward.dim() != 1:
        raise ValueError(f"reward has shape {tuple(reward.shape)}, needs (N,)")
    if group_size < 2 or reward.shape[0] % group_size:
        raise ValueError(f"group_size is {group_size}, needs a divisor of the {reward.shape[0]} rewards, at least 2")
    if scale not in ("std", "none"):
        raise ValueError(f"scale is {scale!r}, needs 'std' or 'none'")
    if scored is None:
        scored = torch.ones_like(reward, dtype=torch.bool)
    if scored.shape != reward.shape:
        raise ValueError(f"scored has shape {tuple(scored.shape)}, needs that of reward, {tuple(reward.shape)}")
    known = scored.reshape(-1, group_size)
    grouped = reward.reshape(-1, group_size).masked_fill(~known, 0.0)
    count = known.sum(1, keepdim=True)
    deviation = (grouped - grouped.sum(1, keepdim=True) / count.clamp(min=1)).masked_fill(~known, 0.0)
    advantage = deviation
    if scale == "std":
        variance = deviation.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
        advantage = deviation / (variance.sqrt() + epsilon)
    lowest = grouped.masked_fill(~known, torch.inf).amin(1, keepdim=True)
    highest = grouped.masked_fill(~known, -torch.inf).amax(1, keepdim=True)
    return advantage.masked_fill(lowest >= highest, 0.0).reshape(-1)  # their mean need not equal equal rewards exactly
