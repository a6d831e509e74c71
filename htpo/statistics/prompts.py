"""Ratios of sums over responses or tokens, and their intervals for what other prompts would give."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from htpo.statistics.estimate import Estimate
from htpo.statistics.student import quantile

EVERYWHERE = (-np.inf, np.inf)


class PromptSample:
    """Responses to prompts, drawn update by update; responses to one prompt are alike, so prompts are what is counted.

    The interval is value +- t * error with the stratified delete-one-prompt jackknife's error (Wolter, Introduction to
    Variance Estimation, 2007, chapter 4): prompts are the clusters, updates the strata, so that what training changes
    is no uncertainty. An update with a single prompt is taken together with its neighbour, and lone neighbours pair by
    pair, which is a little too wide where training changes much between them. The degrees of freedom are
    Satterthwaite's, for clusters whose spread is proportional to their denominators: few where few prompts have any.
    """

    def __init__(self, prompts: ArrayLike, updates: ArrayLike):
        """What each response belongs to.

        Args:
            prompts: (responses,) the prompt; one prompt in two updates has two names.
            updates: (responses,) the update, numbered in the order of training.
        """
        self._cluster, names = pd.factorize(np.asarray(prompts))
        self.prompts = len(names)
        update = np.zeros(self.prompts, dtype=np.int64)
        update[self._cluster] = np.asarray(updates)
        self._stratum = _strata(update)
        self._size = np.bincount(self._stratum)[self._stratum]  # (prompts,) prompts in the same stratum

    @property
    def described(self) -> str:
        """What the intervals are, for captions."""
        return f"95 % intervals over {self.prompts:,} prompt{'s' * (self.prompts != 1)}"

    def ratio(
        self,
        numerator: NDArray[np.float64],
        denominator: NDArray[np.float64],
        of: str,
        within: tuple[float, float] = EVERYWHERE,
    ) -> Estimate:
        """Sum of one quantity over sum of another; both (responses,), NaN counted as 0.

        Args:
            of: what the denominator counts, in the singular, for the reason where there is none.
            within: smallest and largest possible value, to which the interval is cut.
        """
        value, change, pull = self._jackknife(numerator, denominator)
        return self._estimate(value, change, pull**2, f"no {of}", within)

    def difference(
        self, first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]], of: Sequence[str]
    ) -> Estimate:
        """The first ratio minus the second; each a numerator and a denominator, (responses,).

        Args:
            of: what each denominator counts, as in `ratio`.
        """
        (one, one_change, one_pull), (other, other_change, other_pull) = (
            self._jackknife(*ratio) for ratio in (first, second)
        )
        missing = of[0] if not np.isfinite(one) else of[1]
        return self._estimate(
            one - other, one_change - other_change, one_pull**2 + other_pull**2, f"no {missing}", EVERYWHERE
        )

    def _jackknife(
        self, numerator: NDArray[np.float64], denominator: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The ratio, what it changes by without each prompt (the others of its stratum standing in), and each prompt's
        share of the denominator; NaN where it is not defined."""
        above, below = (
            np.bincount(
                self._cluster, np.nan_to_num(np.asarray(values, dtype=np.float64)), minlength=self.prompts
            ).astype(np.float64)
            for values in (numerator, denominator)
        )
        if not below.any():
            return np.nan, np.full(self.prompts, np.nan), np.full(self.prompts, np.nan)
        value = above.sum() / below.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            left = below.sum() + self._without(below)
            change = np.where(left > 0, self._without(above - value * below) / left, np.nan)
        return float(value), change, below / below.sum()

    def _without(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(prompts,) what the sum changes by when the others of its stratum stand in for a prompt."""
        totals = np.bincount(self._stratum, values)[self._stratum]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self._size > 1, (totals - self._size * values) / (self._size - 1), np.nan)

    def _estimate(
        self,
        value: float,
        change: NDArray[np.float64],
        pull: NDArray[np.float64],
        missing: str,
        within: tuple[float, float],
    ) -> Estimate:
        if not np.isfinite(value):
            return Estimate.absent(missing)
        if self.prompts == 1 or (pull > 0).sum() == 1:
            return Estimate(value, why="a single prompt says nothing of others")
        if not np.isfinite(change).all():
            return Estimate(value, why="too few prompts")
        error = np.sqrt(((self._size - 1) / self._size * change**2).sum())
        if error <= 1e-12 * abs(value):
            return Estimate(value, why="the prompts are all alike")
        reach = quantile(self._degrees(pull)) * error
        return Estimate(value, float(max(value - reach, within[0])), float(min(value + reach, within[1])))

    def _degrees(self, spread: NDArray[np.float64]) -> float:
        """Satterthwaite's degrees of freedom of the jackknife's variance.

        Args:
            spread: (prompts,) what each cluster's variance is proportional to.
        """
        totals, squares = (np.bincount(self._stratum, values)[self._stratum] for values in (spread, spread**2))
        both = (squares + (totals**2 - squares) / (self._size - 1) ** 2) / self._size  # a stratum's, spread over it
        return float(spread.sum() ** 2 / both.sum())


def _strata(updates: NDArray[np.int64]) -> NDArray[np.int64]:
    """(prompts,) the stratum of each: its update, single ones joined so that each stratum has two prompts at least."""
    _, place, counts = np.unique(updates, return_inverse=True, return_counts=True)
    numbers: list[int] = []
    held = 2  # prompts in the stratum so far
    for count in counts:
        starts = held > 1
        numbers.append((numbers[-1] if numbers else -1) + starts)
        held = count if starts else held + count
    if held == 1 and len(numbers) > 1:
        numbers[-1] -= 1
    return np.array(numbers)[place]
