"""Means over problems with their 95 % intervals, and paired differences with their p-values."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000  # of the bootstrap
FLIPS = 9999  # random sign flips of a paired test; all of them where there are no more
COLUMNS_AT_ONCE = 256  # bounds the memory of a bootstrap of many columns
ROUNDING = 1e-12  # rates closer than this are the same


@dataclass(frozen=True)
class Interval:
    """A mean over problems with its 95 % interval; None where the problems do not tell how it would vary."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference of two means, with the p-value of no difference (two-sided)."""

    p_value: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def mean_interval(values: ArrayLike) -> Interval:
    """Of one quantity; see `mean_intervals`.

    Args:
        values: (problems,), at least one.
    """
    means, low, high = mean_intervals(np.asarray(values, dtype=np.float64)[:, None])
    return Interval(float(means[0]), *(None if np.isnan(end[0]) else float(end[0]) for end in (low, high)))


def mean_intervals(values: NDArray[np.float64]) -> tuple[NDArray, NDArray, NDArray]:
    """Means over problems and intervals for what other problems of the same kind would give.

    Where every problem has 0 or 1 (all solved or none, one sample each, pass@n of n samples) their sum is binomial and
    the interval is exact (Clopper and Pearson). Elsewhere it is a percentile bootstrap that draws problems with all
    their samples, 2000 times, with the same draws for all columns. Without spread there is no interval (NaN).

    Args:
        values: (problems, columns), at least one problem.

    Returns:
        Mean, lower and upper end, each (columns,).
    """
    problems, columns = values.shape
    if not problems:
        raise ValueError("a mean needs at least one problem")
    means = values.mean(0)
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    binary = ((values == 0) | (values == 1)).all(0)
    for column in np.flatnonzero(binary):
        found = stats.binomtest(int(values[:, column].sum()), problems).proportion_ci(CONFIDENCE, "exact")
        low[column], high[column] = found.low, found.high
    varying = np.flatnonzero(~binary & (np.ptp(values, axis=0) > ROUNDING))
    for start in range(0, len(varying), COLUMNS_AT_ONCE):
        chunk = varying[start : start + COLUMNS_AT_ONCE]
        low[chunk], high[chunk] = _percentiles(values[:, chunk])
    return means, low, high


def paired_difference(first: ArrayLike, second: ArrayLike) -> Difference:
    """first - second on the same problems, with a bootstrap interval over problems and a sign-flip test.

    The p-value is the share of random exchanges of the two within problems whose mean difference is at least as large,
    two-sided: all 2^problems of them where they are fewer than 9999, else 9999 drawn with a fixed seed (so it is at
    least 0.0002). It is 1 when no problem differs, and of a single problem.

    Args:
        first, second: (problems,) in the same order.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"paired values must be equally many and at least one, got {a.shape} and {b.shape}")
    differences = a - b
    mean = float(differences.mean())
    if np.ptp(differences) > ROUNDING:
        low, high = (float(end[0]) for end in _percentiles(differences[:, None]))
    else:
        low = high = None
    if len(differences) == 1 or not (np.abs(differences) > ROUNDING).any():
        return Difference(mean, low, high, 1.0)
    found = stats.permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=COLUMNS_AT_ONCE,
        rng=np.random.default_rng(0),
    )
    return Difference(mean, low, high, float(found.pvalue))


def _percentiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, columns) the ends of the bootstrap interval of the means of (problems, columns)."""
    problems = len(values)
    draws = np.random.default_rng(0).multinomial(problems, np.full(problems, 1 / problems), size=RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    return np.quantile(draws / problems @ values, [tail, 1 - tail], axis=0)
