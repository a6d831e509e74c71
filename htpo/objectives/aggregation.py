"""From token values to one number, independently of how the batch is cut."""

import torch
from torch import Tensor


def token_mean(x: Tensor, mask: Tensor, denominator: Tensor | float | None = None) -> Tensor:
    """Sum of `x` over the mask, divided by the number of tokens: DAPO's token-level loss (2503.14476, eq. 8).

    Args:
        x: (B, T) float.
        mask: (B, T) bool.
        denominator: the number of policy tokens of the whole optimisation batch (all micro-batches and ranks);
            without it, those of this batch. Losses of micro-batches given the same denominator add up.

    Returns:
        A scalar; 0 for a batch without tokens.
    """
    total = torch.where(mask, x, 0.0).sum()
    return total / (mask.sum().clamp(min=1) if denominator is None else denominator)


def sequence_mean(x: Tensor, mask: Tensor, denominator: Tensor | float | None = None) -> Tensor:
    """Mean over responses of each response's token mean: GRPO's sequence-level loss (2402.03300, eq. 3).

    A response without tokens contributes nothing and is not counted.

    Args:
        x: (B, T) float.
        mask: (B, T) bool.
        denominator: the number of non-empty responses of the whole optimisation batch; without it, of this batch.

    Returns:
        A scalar; 0 for a batch without tokens.
    """
    length = mask.sum(1)
    total = (torch.where(mask, x, 0.0).sum(1) / length.clamp(min=1)).sum()
    return total / ((length > 0).sum().clamp(min=1) if denominator is None else denominator)


def fixed_length_mean(x: Tensor, mask: Tensor, denominator: Tensor | float | None = None) -> Tensor:
    """Sum of `x` over the mask, divided by responses x length limit: Dr. GRPO's loss (2503.20783, eq. 3 and appendix).

    A long response weighs as much per token as a short one.

    Args:
        x: (B, T) float.
        mask: (B, T) bool.
        denominator: number of responses of the whole optimisation batch times the longest length allowed; without it,
            B times T.

    Returns:
        A scalar.
    """
    total = torch.where(mask, x, 0.0).sum()
    return total / (max(mask.numel(), 1) if denominator is None else denominator)
