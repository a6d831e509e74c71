"""Means over problems with their 95 % intervals, and paired differences between two models on the same problems.

The population is that of problems like those measured; problems are drawn with all their samples, so the sampling of
answers is in the intervals, and another run of training is not (`htpo.statistics.seeds`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from htpo.statistics.estimate import Difference, Estimate
from htpo.statistics.student import p_values, quantile

TAIL = 0.025  # of each side
FAR_WEIGHT = 0.5  # observations that an unseen extreme counts as
ROUNDING = 1e-12  # rates closer than this are the same
SINGLE = "a single problem says nothing of others"


def rate_interval(values: ArrayLike) -> Estimate:
    """Of the mean of a rate over problems; see `rate_intervals`.

    Args:
        values: (problems,) between 0 and 1, at least one.
    """
    mean, low, high = (float(end[0]) for end in rate_intervals(np.asarray(values, dtype=np.float64)[:, None]))
    return Estimate(mean, why=SINGLE) if np.isnan(low) else Estimate(mean, low, high)


def rate_intervals(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means of rates over problems, and intervals for what other problems of the same kind would give.

    The lower end is the 2.5 % quantile of a mean of the values and half an observation of 0, with weights drawn from
    a Dirichlet distribution (1 for each value, 1/2 for the 0), by the beta distribution of the same mean and variance;
    the upper end is the same for 1 - values. The half stands for what few problems have not shown: with a whole one it
    would be the bound of Gaffke (2005), which for values of 0 and 1 is that of Clopper and Pearson, and too wide;
    without it the Bayesian bootstrap (Rubin 1981), too narrow. So problems that are all right, or all alike, have an
    interval, too. `docs/statistics.md` has the coverage.

    Args:
        values: (problems, columns) between 0 and 1, at least one problem.

    Returns:
        Mean, lower and upper end, each (columns,); the ends of a single problem are NaN.

    Raises:
        ValueError: there is no problem, or a value is not between 0 and 1.
    """
    if not len(values):
        raise ValueError("a mean needs at least one problem")
    if not ((values >= -ROUNDING) & (values <= 1 + ROUNDING)).all():
        raise ValueError("rates must be between 0 and 1")
    means = values.mean(0)
    if len(values) == 1:
        return means, np.full_like(means, np.nan), np.full_like(means, np.nan)
    within = np.clip(values, 0.0, 1.0)
    return means, _lower_end(within), 1 - _lower_end(1 - within)


def mean_interval(values: ArrayLike) -> Estimate:
    """Of the mean over problems of a quantity without bounds, as a length: Student's t.

    Args:
        values: (problems,) at least one.
    """
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise ValueError("a mean needs at least one problem")
    mean = float(array.mean())
    if array.size == 1:
        return Estimate(mean, why=SINGLE)
    reach = quantile(array.size - 1) * float(array.std(ddof=1)) / np.sqrt(array.size)
    return Estimate(mean, mean - reach, mean + reach) if reach else Estimate(mean, why="the problems are all alike")


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """first - second on the same problems; see `paired_differences`.

    Args:
        first, second: (problems,) rates in the same order.
    """
    columns = (np.asarray(values, dtype=np.float64)[:, None] for values in (first, second))
    mean, low, high, p_value = (float(found[0]) for found in paired_differences(*columns))
    return Difference(mean, why=SINGLE) if np.isnan(low) else Difference(mean, low, high, p_value=p_value)


def paired_differences(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """first - second on the same problems: intervals, and p-values of no difference (two-sided), which agree.

    Student's t with problems - 1 degrees of freedom, after the squares of the differences were given one more of the
    typical size sum d^2 / sum |d| (1 where no problem differs). It stands for the problem of the other kind that few
    problems have not shown: for differences of -1, 0 and 1 that are rare, t alone is far too narrow and most often has
    no spread at all (as Bonett and Price, 2012, add one of each for such pairs). Cut to [-1, 1].

    Args:
        first, second: (problems, columns) rates in the same order.

    Returns:
        Mean difference, lower end, upper end and p-value, each (columns,); of one problem all but the mean are NaN.

    Raises:
        ValueError: they are not equally many, or none.
    """
    if first.shape != second.shape or not len(first):
        raise ValueError(f"paired values must be equally many and at least one, got {first.shape} and {second.shape}")
    differences = np.where(np.abs(first - second) > ROUNDING, first - second, 0.0)
    problems, means = len(differences), differences.mean(0)
    if problems == 1:
        return means, *np.full((3, len(means)), np.nan)
    size = np.abs(differences).sum(0)
    typical = np.divide((differences**2).sum(0), size, out=np.ones_like(size), where=size > 0)
    squares = ((differences - means) ** 2).sum(0) + typical**2
    error = np.sqrt(squares / problems / (problems - 1))
    reach = quantile(problems - 1) * error
    low, high = np.maximum(means - reach, -1.0), np.minimum(means + reach, 1.0)
    return means, low, high, p_values(means / error, problems - 1)


def _lower_end(values: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = len(values) + FAR_WEIGHT
    mean = values.sum(0) / weight
    variance = ((values**2).sum(0) / weight - mean**2) / (weight + 1)
    some = mean > ROUNDING
    spread = np.divide(mean * (1 - mean), variance, out=np.ones_like(mean), where=some) - 1
    alpha, beta = (np.where(some, part * spread, 1.0) for part in (mean, 1 - mean))
    return np.where(some, special.betaincinv(alpha, beta, TAIL), 0.0)
