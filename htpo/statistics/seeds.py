"""Means over seeds, and paired comparisons of two methods under the same seeds.

The population is that of further seeds: of the training's randomness and, where each seed has held-out problems of its
own, of problems. The measured mean of a seed holds both, and the sampling of answers, so nothing but the spread of the
seeds' means is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from htpo.statistics.estimate import Difference, Estimate
from htpo.statistics.student import p_values, quantile

ROUNDING = 1e-12  # spreads below this are floating-point noise: rates are of order 1
ONE_SEED = "one seed does not tell how others would differ"
ALIKE = "all seeds are alike"


@dataclass(frozen=True)
class SeedDifference(Difference):
    """A paired difference between two methods over seeds."""

    effect_size: float | None = None  # Cohen's d_z: mean over standard deviation of the seeds' differences


def mean_over_seeds(rates: ArrayLike) -> Estimate:
    """The mean of a rate over seeds; see `means_over_seeds`.

    Args:
        rates: (seeds,) a rate for each, between 0 and 1.
    """
    array = np.asarray(rates, dtype=np.float64)
    mean, low, high = (float(found[0]) for found in means_over_seeds(array[:, None]))
    if np.isnan(low):
        return Estimate(mean, why=ONE_SEED if len(array) == 1 else ALIKE)
    return Estimate(mean, low, high)


def means_over_seeds(
    rates: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means of rates over seeds and their 95 % intervals, within [0, 1].

    mean +- t * error on the logit scale, with seeds - 1 degrees of freedom and the error by the delta method, error /
    (mean (1 - mean)): close to 0 or 1 the means of seeds are skewed and a symmetric interval misses. (A bootstrap of
    few seeds is too narrow: its variance is (S - 1) / S of the right one, and it has no t quantile.)

    Args:
        rates: (seeds, columns) between 0 and 1, at least one seed.

    Returns:
        Mean, lower and upper end, each (columns,); the ends are NaN with one seed, and where all seeds are alike.

    Raises:
        ValueError: there is no seed.
    """
    if not len(rates):
        raise ValueError("a mean needs at least one seed")
    means = rates.mean(0)
    ends = np.full((2, len(means)), np.nan)
    if len(rates) > 1:
        spread = rates.std(0, ddof=1)
        known = spread > ROUNDING
        mean, error = means[known], spread[known] / np.sqrt(len(rates))
        reach = quantile(len(rates) - 1) * error / (mean * (1 - mean))
        ends[:, known] = expit(logit(mean) - reach), expit(logit(mean) + reach)
    return means, *ends


def compare_seeds(first: Sequence[float], second: Sequence[float]) -> SeedDifference:
    """first - second, paired by seed: the paired t-test over the seeds' rates, and the interval that goes with it.

    The interval is cut to [-1, 1]. Cohen's d_z is None where the seeds' differences have no spread. A difference that
    is the same for all seeds has no interval; its p-value is 1 when it is 0, and None otherwise.

    Args:
        first, second: (seeds,) rates, in the same order of seeds.

    Raises:
        ValueError: the two do not have the same number of seeds, or none.
    """
    differences = np.array([a - b for a, b in zip(first, second, strict=True)])
    if not differences.size:
        raise ValueError("a mean needs at least one seed")
    seeds, mean = len(differences), float(differences.mean())
    if seeds == 1:
        return SeedDifference(mean, why=ONE_SEED)
    spread = float(differences.std(ddof=1))
    if spread <= ROUNDING:
        return SeedDifference(mean, why=ALIKE, p_value=1.0 if abs(mean) <= ROUNDING else None)
    error = spread / np.sqrt(seeds)
    reach = quantile(seeds - 1) * error
    p_value = float(p_values(mean / error, seeds - 1))
    return SeedDifference(mean, max(mean - reach, -1.0), min(mean + reach, 1.0), "", p_value, mean / spread)
