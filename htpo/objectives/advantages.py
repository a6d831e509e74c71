"""Advantages from rewards."""

from torch import Tensor


def group_relative_advantage(reward: Tensor, group_size: int, scale: str = "std", epsilon: float = 1e-6) -> Tensor:
    """(R - mean of the prompt's group) / (sample std of the group + epsilon): GRPO (2402.03300), SPEC section 1.

    Args:
        reward: (N,) float, the samples of a prompt contiguous; N a multiple of `group_size`.
        group_size: samples per prompt, at least 2.
        scale: "std" as above, or "none" to leave out the division (Dr. GRPO, 2503.20783).
        epsilon: added to the standard deviation.

    Returns:
        (N,) float, in the dtype of `reward`; 0 for a group whose rewards are all equal.

    Raises:
        ValueError: `reward` is not (N,), N is no multiple of `group_size`, or `scale` is unknown.
    """
    if reward.dim() != 1:
        raise ValueError(f"reward has shape {tuple(reward.shape)}, needs (N,)")
    if group_size < 2 or reward.shape[0] % group_size:
        raise ValueError(f"group_size is {group_size}, needs a divisor of the {reward.shape[0]} rewards, at least 2")
    if scale not in ("std", "none"):
        raise ValueError(f"scale is {scale!r}, needs 'std' or 'none'")
    grouped = reward.reshape(-1, group_size)
    advantage = grouped - grouped.mean(1, keepdim=True)
    if scale == "std":
        advantage = advantage / (grouped.std(1, keepdim=True) + epsilon)
    same = (grouped == grouped[:, :1]).all(1, keepdim=True)  # the mean of equal rewards need not equal them exactly
    return advantage.masked_fill(same, 0.0).reshape(-1)
