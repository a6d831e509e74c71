"""What objectives draw at random: numbers from a hash of seed, step, response and token.

So a batch draws the same however it is cut into micro-batches, over how many processes, and again after a resume.
"""

import torch
from torch import Tensor

from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import from_mask

# SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a counter's step and the two factors of its mixing, as int64.
STEP, *FACTORS = (x - 2**64 for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def response_seeds(seed: int, step: int, row: Tensor) -> Tensor:
    """(B,) int64: the `seed` of each response of a `TokenBatch`.

    Args:
        seed: of the run.
        step: of the optimiser, so that every update draws anew.
        row: (B,) int64, the response's number in the whole batch, over all micro-batches and processes.
    """
    state = mix(torch.full_like(row, seed) + STEP)
    return mix(mix(state + step) + row)


def token_lots(batch: TokenBatch) -> Tensor:
    """(B, T) int64 over its whole range: a number for every policy token, from the response's seed and its place."""
    place = from_mask(batch.mask, torch.int8).cumsum(1, dtype=torch.int64)
    return mix(place.mul_(STEP).add_(batch.seed.unsqueeze(1)))


def mix(x: Tensor) -> Tensor:
    """SplitMix64's mixing of int64: one to one, and every bit of the result depends on every bit of `x`."""
    x = _folded(x, 30).mul_(FACTORS[0])
    x = _folded(x, 27).mul_(FACTORS[1])
    return _folded(x, 31)


def _folded(x: Tensor, bits: int) -> Tensor:
    """`x` with its upper bits put over its lower ones by exclusive or; torch's shift would fill with the sign."""
    return (x >> bits).bitwise_and_(2 ** (64 - bits) - 1).bitwise_xor_(x)
