"""A clip range that follows the batch (BAPO, 2510.18927, algorithm 1)."""

import math
from dataclasses import dataclass

import torch

from htpo.objectives.axes import Cuts
from htpo.objectives.batch import TokenBatch
from htpo.objectives.indicators import indicator
from htpo.objectives.options import check_fraction, check_number

MOST_STEPS = 1000  # of a bound: each is a pass over the batch's tokens


@dataclass(frozen=True)
class AdaptiveClip:
    """Widens the range until tokens with A > 0 give at least `target` of sum |min(r A, clip(r) A)| over the batch.

    First the upper bound rises from `high` to `high_end` by `high_step`, then the lower one from `low` to `low_end` by
    `low_step`. The range found, or the last one, is left in `cuts`, (1, 1) each.
    """

    target: float
    low: float  # bounds of the ratio itself, not distances from 1
    low_end: float
    low_step: float
    high: float
    high_end: float
    high_step: float
    scope = "batch"

    def __post_init__(self) -> None:
        check_fraction("target", self.target)
        check_number("low", self.low, 0, 1, includes_low=False, includes_high=False)
        check_number("low_end", self.low_end, self.low, 1, includes_low=True, includes_high=True)
        check_number("high", self.high, 1, math.inf, includes_low=False, includes_high=False)
        check_number("high_end", self.high_end, self.high, math.inf, includes_low=True, includes_high=False)
        for name, start, end in (("low", self.low, self.low_end), ("high", self.high, self.high_end)):
            least = max((end - start) / MOST_STEPS, 1e-3)
            step = getattr(self, f"{name}_step")
            check_number(f"{name}_step", step, least, math.inf, includes_low=True, includes_high=False)

    def ranges(self) -> list[tuple[float, float]]:
        """All ranges, in the order in which they are tried."""
        highs = [self.high + i * self.high_step for i in range(_steps(self.high, self.high_end, self.high_step) + 1)]
        lows = [self.low + i * self.low_step for i in range(1, _steps(self.low, self.low_end, self.low_step) + 1)]
        return [(self.low, high) for high in highs] + [(low, highs[-1]) for low in lows]

    def settle(self, batch: TokenBatch, cuts: Cuts) -> None:
        """Leave the range for this batch in `cuts`, unless it is there."""
        if "clip_low" in cuts:
            return
        ratio = batch.log_ratio().clamp(-20, 20).exp_().reshape(-1)
        advantage = torch.where(batch.mask, batch.advantage_column(), 0.0).reshape(-1)
        positive, negative = advantage.clamp(min=0), -advantage.clamp(max=0)
        ranges = self.ranges()
        gains = {high: torch.dot(ratio.clamp(max=high), positive) for high in dict.fromkeys(h for _, h in ranges)}
        losses = {low: torch.dot(ratio.clamp(min=low), negative) for low in dict.fromkeys(low for low, _ in ranges)}
        gain = torch.stack([gains[high] for _, high in ranges])
        loss = torch.stack([losses[low] for low, _ in ranges])
        reached = indicator(torch.ge, gain, self.target * (gain + loss))
        reached[-1] = 1  # the last range stands when none suffices
        first = reached.argmax().reshape(1)
        bounds = torch.tensor(ranges, dtype=ratio.dtype, device=ratio.device)
        cuts["clip_low"], cuts["clip_high"] = (x.reshape(1, 1) for x in bounds[first].unbind(1))


def _steps(start: float, end: float, step: float) -> int:
    return int((end - start) / step + 1e-9)
